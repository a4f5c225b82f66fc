"""What is drawn over the stones: marks, move numbers, candidates, variations, heat map, ownership, territory."""

import math

import numpy as np
import pygame

from gui.analysis import Analysis, win_rate
from gui.board import BoardView
from gui.geometry import Square
from gui.model import Match, Node
from gui.theme import Style, contrast, mix

BEST, GOOD, FAIR = (30, 110, 220), (24, 128, 96), (120, 92, 40)  # also told by the numbers in them
HEAT = (255, 96, 32)
INKS = (255, 255, 255), (20, 12, 6)
LAST_NUMBER = (226, 52, 42)
Centre = tuple[float, float]


def target(match: Match, action: int, node: Node | None = None) -> Square | None:
    """The square where an action shows: where the stone comes to lie, or where a step ends. None for pass."""
    squares = match.actions.squares(action)
    if not squares:
        return None
    if match.game.geometry == "drop":
        column = (node or match.node).state.stones()[:, squares[0][1]]
        empty = np.nonzero(column == 0)[0]
        return (int(empty[-1]), squares[0][1]) if len(empty) else squares[0]
    return squares[-1]


def put_text(surface: pygame.Surface, style: Style, text: str, centre: Centre, pixels: float, colour,
             bold: bool = False) -> None:
    image = style.text(text, max(7.0, pixels / style.scale), colour, bold)
    surface.blit(image, image.get_rect(center=(round(centre[0]), round(centre[1]))))


def veil(surface: pygame.Surface, centre: Centre, radius: float, colour, alpha: int) -> None:
    """A translucent disc with a smooth edge."""
    size = 2 * math.ceil(radius) + 2
    patch = pygame.Surface((size, size), pygame.SRCALPHA)
    pygame.draw.aacircle(patch, (*colour, alpha), (size / 2, size / 2), radius)
    surface.blit(patch, patch.get_rect(center=(round(centre[0]), round(centre[1]))))


def last_move(surface, view: BoardView, match: Match) -> None:
    """A ring on the last stone; a frame at the square a step came from."""
    node = match.node
    if node.action is None:
        return
    squares = match.actions.squares(node.action)
    spot = landed(match, node)
    if spot is None:
        return
    unit, layout = view.layout.unit, view.layout
    if len(squares) > 1:
        _frame(surface, layout.centre(squares[0]), unit, (255, 255, 255))
    owner = int(node.colours()[spot])
    if view.look.pieces == "marks" or view.look.pieces == "pawns":
        _frame(surface, layout.centre(spot), unit, BEST)
    else:
        width = max(2, round(unit * 0.05))
        pygame.draw.aacircle(surface, view.ink_on(owner), layout.centre(spot), unit * 0.2, width)


def landed(match: Match, node: Node) -> Square | None:
    """The square of the move that led to a node."""
    return target(match, node.action, node.parent) if node.parent else None


def _frame(surface, centre: Centre, unit: float, colour) -> None:
    size = round(unit * 0.92)
    rect = pygame.Rect(0, 0, size, size)
    rect.center = round(centre[0]), round(centre[1])
    width = min(4, max(2, round(unit * 0.05)))
    pygame.draw.rect(surface, colour, rect, width, border_radius=max(2, round(unit * 0.08)))


def cursor(surface, view: BoardView, square: Square, colour) -> None:
    """The keyboard's place: four corners."""
    x, y = view.layout.centre(square)
    half, arm, width = view.layout.unit * 0.44, view.layout.unit * 0.16, max(2, round(view.layout.unit * 0.06))
    for sx in (-1, 1):
        for sy in (-1, 1):
            corner = (x + sx * half, y + sy * half)
            pygame.draw.line(surface, colour, corner, (corner[0] - sx * arm, corner[1]), width)
            pygame.draw.line(surface, colour, corner, (corner[0], corner[1] - sy * arm), width)


def move_numbers(surface, style: Style, view: BoardView, match: Match, last: int) -> None:
    """The numbers of the last so many moves on their stones, where those still stand."""
    stones, taken = match.node.colours(), set()
    for node in match.node.line():
        ply = node.ply
        if not node.parent or ply <= match.node.ply - last:
            break
        spot = landed(match, node)
        if spot is None or spot in taken or not stones[spot]:
            continue
        taken.add(spot)
        colour = _number_ink(view, int(stones[spot]), node is match.node)
        put_text(surface, style, str(ply), view.layout.centre(spot), view.layout.unit * 0.34, colour, bold=True)


def candidates(surface, style: Style, view: BoardView, match: Match, analysis: Analysis,
               chosen: str | None = None) -> None:
    """Discs with win rate (large), visits and prior, the rank as a number at the rim; steps as arrows."""
    unit = view.layout.unit
    most = max((m.visits for m in analysis.moves), default=0)
    for rank, move in reversed(list(enumerate(analysis.moves))):
        if most and not move.visits:
            continue  # the search has not tried it: there is no win rate to show
        action = action_of(match, move.move)
        spot = target(match, action) if action is not None else None
        if spot is None:
            continue
        colour = BEST if rank == 0 else GOOD if move.visits > most * 0.25 else FAIR
        centre = view.layout.centre(spot)
        squares = match.actions.squares(action)
        if len(squares) > 1:
            arrow(surface, view.layout.centre(squares[0]), centre, unit * (0.05 + 0.13 * move.visits / max(1, most)),
                  colour)
            if rank > 2 and move.move != chosen:
                continue
        veil(surface, centre, unit * 0.45, colour, 235)
        if move.move == chosen:
            pygame.draw.aacircle(surface, (255, 255, 255), centre, unit * 0.45, max(2, round(unit * 0.05)))
        x, y = centre
        white = (255, 255, 255)
        put_text(surface, style, f"{100 * win_rate(move.value):.0f}", (x, y - unit * 0.13), unit * 0.31, white, True)
        put_text(surface, style, short(move.visits), (x, y + unit * 0.15), unit * 0.21, white)
        if unit >= 44 * style.scale:
            put_text(surface, style, f"{100 * move.prior:.0f}%", (x, y + unit * 0.33), unit * 0.15, white)
        if rank < 3:
            put_text(surface, style, str(rank + 1), (x - unit * 0.29, y - unit * 0.2), unit * 0.16, white, True)


def short(n: int) -> str:
    """`950`, `1.2k`, `3.4M`."""
    if n < 1000:
        return str(n)
    if n < 999_500:
        return f"{n / 1000:.1f}k" if n < 99_950 else f"{n / 1000:.0f}k"
    return f"{n / 1e6:.1f}M"


def arrow(surface, start: Centre, end: Centre, width: float, colour) -> None:
    angle = math.atan2(end[1] - start[1], end[0] - start[0])
    width = max(2.0, width)
    head = width * 2.2 + 4
    neck = (end[0] - head * math.cos(angle), end[1] - head * math.sin(angle))
    pygame.draw.aaline(surface, colour, start, neck, round(width))
    side = [(neck[0] + head * 0.6 * math.cos(angle + s), neck[1] + head * 0.6 * math.sin(angle + s))
            for s in (math.pi / 2, -math.pi / 2)]
    pygame.draw.polygon(surface, colour, [end, *side])


def variation(surface, style: Style, view: BoardView, match: Match, moves: tuple[str, ...], shown: int) -> None:
    """The first `shown` moves of a line as numbered translucent pieces; captures on the way are left on the board."""
    node, taken = Node(match.state.copy(), swapped=match.node.swapped), {}
    for number, text in enumerate(moves[:shown], 1):
        try:
            action = match.game.text_to_action(text)
            colour, at = match.stone_colour(node, action), _line_target(match, node.state, action)
            node.state.play(action)
        except ValueError:
            return
        if at is not None:
            taken[at] = (number, colour)
    for spot, (number, owner) in taken.items():
        centre = view.layout.centre(spot)
        view.draw_piece(surface, centre, owner, 205)
        colour = _number_ink(view, owner, number == min(shown, len(moves)))
        put_text(surface, style, str(number), centre, view.layout.unit * 0.38, colour, bold=True)


def _number_ink(view: BoardView, owner: int, last: bool):
    """The last number is red where pieces are black and white."""
    return LAST_NUMBER if last and view.look.pieces == "stones" else view.ink_on(owner)


def _line_target(match: Match, state, action: int) -> Square | None:
    squares = match.actions.squares(action)
    if squares and match.game.geometry == "drop":
        empty = np.nonzero(state.stones()[:, squares[0][1]] == 0)[0]
        return (int(empty[-1]), squares[0][1])
    return squares[-1] if squares else None


def heat_map(surface, style: Style, view: BoardView, match: Match, policy: dict[str, float]) -> None:
    """The raw policy: the stronger the colour and the larger the square, the more probable; percent from 1 up."""
    by_spot: dict[Square, float] = {}
    for text, share in policy.items():
        action = action_of(match, text)
        spot = target(match, action) if action is not None else None
        if spot is not None:
            by_spot[spot] = by_spot.get(spot, 0.0) + share
    most = max(by_spot.values(), default=1.0) or 1.0
    for spot, share in by_spot.items():
        strength = math.sqrt(share / most)
        size = round(view.layout.unit * (0.25 + 0.6 * strength))
        patch = pygame.Surface((size, size), pygame.SRCALPHA)
        pygame.draw.rect(patch, (*HEAT, round(50 + 160 * strength)), patch.get_rect(), border_radius=max(2, size // 6))
        centre = view.layout.centre(spot)
        surface.blit(patch, patch.get_rect(center=(round(centre[0]), round(centre[1]))))
        if share >= 0.01:
            ground = tuple(surface.get_at((round(centre[0]), round(centre[1]))))[:3]
            ink = max(INKS, key=lambda ink: contrast(ink, ground))
            put_text(surface, style, f"{100 * share:.0f}", centre, view.layout.unit * 0.28, ink, bold=strength > 0.7)


def ownership(surface, view: BoardView, owned: np.ndarray, stones: np.ndarray) -> None:
    """`owned` [rows, cols], +1 the first player's, -1 the second's: squares in their colours, larger when surer.

    A stone bears one only where it belongs to the other side: it is held dead.
    """
    unit = view.layout.unit
    for row, col in np.ndindex(owned.shape):
        sure = float(owned[row, col])
        if abs(sure) < 0.1 or stones[row, col] == (1 if sure > 0 else 2):
            continue
        size = max(3, round(unit * 0.42 * abs(sure)))
        rect = pygame.Rect(0, 0, size, size)
        centre = view.layout.centre((row, col))
        rect.center = round(centre[0]), round(centre[1])
        colour = view.look.colours[0 if sure > 0 else 1]
        pygame.draw.rect(surface, colour, rect)
        pygame.draw.rect(surface, mix(colour, (128, 128, 128), 0.7), rect, 1)


def territory(surface, view: BoardView, owner: np.ndarray, stones: np.ndarray) -> None:
    """Empty points that belong to a side."""
    ownership(surface, view, np.choose(owner, (0.0, 1.0, -1.0)), stones)


def action_of(match: Match, text: str) -> int | None:
    try:
        return match.game.text_to_action(text)
    except ValueError:
        return None

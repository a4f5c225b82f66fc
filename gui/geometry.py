"""Where the squares of a board are: pure arithmetic from a game's declared geometry to pixels and back.

Rows count from the top, columns from the left. Four kinds: `points` (grid intersections), `cells`, `hex` (rows shifted
by half a cell), `drop` (cells, a whole column answers).
"""

import math
import re
from dataclasses import dataclass, field

from mcts_ext.state import Game

Square = tuple[int, int]
ROOT3 = math.sqrt(3)
_SQUARE = re.compile(r"([A-Za-z])(\d+)")
_STEP = re.compile(r"([A-Za-z]\d+)[-x:]?([A-Za-z]\d+)")


@dataclass(frozen=True)
class ActionMap:
    """Which actions a square stands for.

    `place` maps a square to its action, `steps` a (from, to) pair of squares to its action, `named` the text of the
    others (pass, swap) to theirs. In a drop game every square of a column stands for that column.
    """

    place: dict[Square, int] = field(default_factory=dict)
    steps: dict[tuple[Square, Square], int] = field(default_factory=dict)
    named: dict[str, int] = field(default_factory=dict)

    def squares(self, action: int) -> list[Square]:
        """The squares an action touches: one, two (from, to), or none."""
        return self._squares.get(action, [])

    def __post_init__(self):
        squares = {action: [square] for square, action in reversed(self.place.items())}
        squares |= {action: list(pair) for pair, action in self.steps.items()}
        object.__setattr__(self, "_squares", squares)


def action_map(game: Game) -> ActionMap:
    """Reads the actions from their texts: `d4` a square, `a2a3` a step, a column in a drop game, else a name."""
    texts = [game.action_to_text(action) for action in range(game.num_actions)]
    up = _rank_one_is_below(game, texts)
    place, steps, named = {}, {}, {}
    for action, text in enumerate(texts):
        step = _STEP.fullmatch(text)
        if step:
            steps[_named_square(step[1], game.rows, up), _named_square(step[2], game.rows, up)] = action
        elif game.geometry == "drop" and action < game.cols:
            place.update({(row, action): action for row in range(game.rows)})
        elif action < game.rows * game.cols:
            place[divmod(action, game.cols)] = action
        else:
            named[text] = action
    return ActionMap(place, steps, named)


def _named_square(text: str, rows: int, up: bool) -> Square:
    letter, number = _SQUARE.fullmatch(text).groups()
    row = int(number) - 1
    return (rows - 1 - row if up else row), ord(letter.lower()) - ord("a")


def _rank_one_is_below(game: Game, texts: list[str]) -> bool:
    """Whether row 1 is the lowest: the legal steps of the first player start on their own stones."""
    state = game.new_state()
    steps = [match for a in state.legal_actions() if (match := _STEP.fullmatch(texts[a]))]
    stones = state.stones()
    return all(stones[_named_square(step[1], game.rows, True)] == state.to_move + 1 for step in steps)


@dataclass(frozen=True)
class Labels:
    """Names of the columns (left to right) and of the rows (top to bottom), empty where the board has none."""

    cols: tuple[str, ...]
    rows: tuple[str, ...]


def labels(game: Game, actions: ActionMap) -> Labels:
    """The coordinates in the game's own notation."""
    if game.geometry == "drop":
        return Labels(tuple(game.action_to_text(c) for c in range(game.cols)), ())
    if actions.place:
        def part(square: Square, group: int) -> str:
            match = _SQUARE.fullmatch(game.action_to_text(actions.place[square])) if square in actions.place else None
            return match[group] if match else ""

        across, down = range(game.cols), range(game.rows)
        return Labels(tuple(part((0, c), 1) for c in across), tuple(part((r, 0), 2) for r in down))
    up = _rank_one_is_below(game, [game.action_to_text(a) for a in range(game.num_actions)])
    ranks = [str(r + 1) for r in range(game.rows)]
    return Labels(tuple("abcdefghijklmnopqrstuvwxyz"[:game.cols]), tuple(reversed(ranks) if up else ranks))


@dataclass(frozen=True)
class Layout:
    """A board placed on the screen. `unit`: the width of a cell; `left`, `top`: the centre of square (0, 0)."""

    kind: str
    rows: int
    cols: int
    unit: float
    left: float
    top: float

    def centre(self, square: tuple[float, float]) -> tuple[float, float]:
        row, col = square
        if self.kind == "hex":
            return self.left + (col + row / 2) * self.unit, self.top + row * self.unit * ROOT3 / 2
        return self.left + col * self.unit, self.top + row * self.unit

    def at(self, pos: tuple[int, int]) -> Square | None:
        """The square at a position, or None outside the board."""
        x, y = pos[0] - self.left, pos[1] - self.top
        if self.kind == "hex":
            return self._hex_at(pos)
        row, col = math.floor(y / self.unit + 0.5), math.floor(x / self.unit + 0.5)
        return (row, col) if 0 <= row < self.rows and 0 <= col < self.cols else None

    def _hex_at(self, pos: tuple[int, int]) -> Square | None:
        """The nearest centre: hexagons are the cells of their centres' Voronoi diagram."""
        row = round((pos[1] - self.top) / (self.unit * ROOT3 / 2))
        best = None
        for r in (row - 1, row, row + 1):
            col = round((pos[0] - self.left) / self.unit - r / 2)
            for c in (col - 1, col, col + 1):
                if 0 <= r < self.rows and 0 <= c < self.cols:
                    distance = math.dist(pos, self.centre((r, c)))
                    best = min(best or (distance, (r, c)), (distance, (r, c)))
        return best[1] if best and best[0] <= self.unit / ROOT3 else None

    def hexagon(self, square: Square, scale: float = 1.0) -> list[tuple[float, float]]:
        """The six corners, the upper one first, clockwise."""
        x, y = self.centre(square)
        radius = self.unit / ROOT3 * scale
        return [(x + radius * math.sin(k * math.pi / 3), y - radius * math.cos(k * math.pi / 3)) for k in range(6)]


def fit(kind: str, rows: int, cols: int, area: tuple[int, int, int, int], margin: float) -> Layout:
    """The largest board in `area` (x, y, width, height); `margin`: cells kept free around it for coordinates."""
    x, y, width, height = area
    if kind == "hex":
        across, down = cols + (rows - 1) / 2 + 2 * margin, (rows - 1) * ROOT3 / 2 + 2 / ROOT3 + 2 * margin
        unit = min(width / across, height / down)
        left = x + width / 2 - (cols - 1 + (rows - 1) / 2) * unit / 2
        return Layout(kind, rows, cols, unit, left, y + height / 2 - (rows - 1) * unit * ROOT3 / 4)
    unit = min(width / (cols + 2 * margin), height / (rows + 2 * margin))
    if unit >= 8:
        unit = float(int(unit))  # whole pixels keep the lines of a grid crisp
    left, top = x + (width - (cols - 1) * unit) / 2, y + (height - (rows - 1) * unit) / 2
    return Layout(kind, rows, cols, unit, float(round(left)), float(round(top)))

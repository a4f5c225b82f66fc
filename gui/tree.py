"""The game tree drawn: a stone for each move, plies to the right, variations below the line they leave."""

from dataclasses import dataclass, field

import pygame

from gui.board import piece
from gui.looks import look
from gui.model import Match, Node
from gui.widgets import Rect, Region, Ui

STEP = 28  # design pixels from a ply to the next, and from a lane to the next
STONE = 20


def lanes(root: Node) -> dict[Node, tuple[int, int]]:
    """(ply, lane) of every node, lanes counted downward from 0, the main line.

    A variation gets the first lane that is free from its parent's ply to its own end. Those that leave a line late
    are placed before those that leave it early, so that no branch crosses another.
    """
    places: dict[Node, tuple[int, int]] = {}
    lowest: dict[int, int] = {}  # by ply, the last lane in use
    todo = [(root, 0)]
    while todo:
        start, ply = todo.pop()
        line = [start]
        while line[-1].children:
            line.append(line[-1].children[0])
        plies = range(max(0, ply - 1), ply + len(line))
        lane = 1 + max(lowest.get(p, -1) for p in plies)
        lowest.update(dict.fromkeys(plies, lane))
        for p, node in enumerate(line, ply):
            places[node] = (p, lane)
            todo += [(child, p + 1) for child in reversed(node.children[1:])]
    return places


@dataclass
class TreeView:
    """The tab of the tree. The present node stays in view; the wheel and dragging look elsewhere until it moves."""

    places: dict[Node, tuple[int, int]] = field(default_factory=dict)
    generation: int = -1
    shift: tuple[float, float] = (0.0, 0.0)  # design pixels, of the drawing against the corner of the tab
    grabbed: tuple[int, int] | None = None

    def draw(self, ui: Ui, rect: Rect, match: Match) -> None:
        px, theme, surface = ui.style.px, ui.style.theme, ui.surface
        ui.box(rect, theme.window, border=theme.border)
        inner = rect.inflate(-px(4), -px(4))
        if self.generation != match.generation:
            self.generation, self.places = match.generation, lanes(match.root)
            self._follow(match.node, inner.w / ui.style.scale, inner.h / ui.style.scale)
        ui.add(Region("tree", rect, press=self._grab, drag=lambda pos: self._drag(pos, ui.style.scale),
                      wheel=self._scroll, focusable=False))
        spots = {node: self._spot(ui, inner, place) for node, place in self.places.items()}
        clip = surface.get_clip()
        surface.set_clip(inner.clip(clip))
        path = set(match.node.line())
        for node, spot in spots.items():
            if node.parent:
                colour = theme.text if node in path else theme.faint
                self._branch(surface, spots[node.parent], spot, px(STEP), colour, px(2 if node in path else 1))
        for number, (node, spot) in enumerate(spots.items()):
            if inner.inflate(px(STEP), px(STEP)).collidepoint(spot):
                self._stone(ui, match, node, spot)
                area = Rect(0, 0, px(STEP), px(STEP))
                area.center = spot
                tip = f"{self.places[node][0]}. {node.text}" if node.parent else "0."
                ui.add(Region(f"tree.{number}", area.clip(inner), click=lambda node=node: match.go(node),
                              wheel=self._scroll, focusable=False, tip=tip))
        surface.set_clip(clip)

    def _spot(self, ui: Ui, inner: Rect, place: tuple[int, int]) -> tuple[int, int]:
        px = ui.style.px
        return (inner.x + px(place[0] * STEP + STEP / 2 + self.shift[0]),
                inner.y + px(place[1] * STEP + STEP / 2 + self.shift[1]))

    @staticmethod
    def _branch(surface, parent, child, step: int, colour, width: int) -> None:
        """Along the parent's lane, or down below the parent and then aslant into the lane of the variation."""
        if parent[1] == child[1]:
            pygame.draw.line(surface, colour, parent, child, width)
        else:
            knee = (parent[0], child[1] - step)
            pygame.draw.line(surface, colour, parent, knee, width)
            pygame.draw.aaline(surface, colour, knee, child, 2)

    @staticmethod
    def _stone(ui: Ui, match: Match, node: Node, spot: tuple[int, int]) -> None:
        px, theme = ui.style.px, ui.style.theme
        if node is match.node:
            pygame.draw.aacircle(ui.surface, theme.accent, spot, px(STONE / 2 + 4))
        if node.parent is None:
            square = Rect(0, 0, px(STONE * 0.6), px(STONE * 0.6))
            square.center = spot
            pygame.draw.rect(ui.surface, theme.text, square)
            return
        pygame.draw.aacircle(ui.surface, (214, 186, 140), spot, px(STONE / 2 + 1))  # the colour of a board
        image = piece(look(match.setup.game), px(STONE), match.stone_colour(node.parent, node.action))
        ui.surface.blit(image, image.get_rect(center=spot))
        if node.comment:
            corner = (spot[0] + px(STONE / 2), spot[1] - px(STONE / 2))
            pygame.draw.aacircle(ui.surface, theme.warn, corner, px(4))

    # -- looking elsewhere -----------------------------------------------------------------------------------------

    def _follow(self, node: Node, width: float, height: float) -> None:
        """Shifts as little as brings the node, and one step around it, into view."""
        shift = []
        for place, have, room in zip(self.places[node], self.shift, (width, height), strict=True):
            low, high = STEP - place * STEP, room - (place + 2) * STEP
            shift.append(min(0.0, max(min(have, high), low)))
        self.shift = tuple(shift)

    def _move(self, x: float, y: float) -> None:
        plies, rows = (max(place[axis] for place in self.places.values()) for axis in (0, 1))
        self.shift = (min(0.0, max(self.shift[0] + x, -plies * STEP)), min(0.0, max(self.shift[1] + y, -rows * STEP)))

    def _scroll(self, steps: int) -> None:
        self._move(0, steps * STEP)

    def _grab(self, pos: tuple[int, int]) -> None:
        self.grabbed = pos

    def _drag(self, pos: tuple[int, int], scale: float) -> None:
        self._move((pos[0] - self.grabbed[0]) / scale, (pos[1] - self.grabbed[1]) / scale)
        self.grabbed = pos

"""Draws a board and what stands on it. The empty board is painted once per size and kept; a frame only copies."""

import numpy as np
import pygame

from gui import pieces
from gui.geometry import Labels, Layout, Square, fit
from gui.looks import Look
from gui.theme import Style, mix

WOOD, WOOD_DARK, LINE = (222, 178, 108), (188, 138, 72), (58, 40, 22)
FELT, FELT_LINE = (34, 108, 70), (16, 62, 40)
PLASTIC, HOLE = (36, 84, 178), (20, 34, 66)
LIGHT_SQUARE, DARK_SQUARE = (232, 212, 176), (168, 122, 84)
TONES = 20  # shades of the wood: fewer make the pictures small, more cannot be told apart
OVERSAMPLE = 3
MARGINS = {"points": 0.75, "cells": 0.5, "hex": 0.75, "drop": 0.5}


class BoardView:
    """One game's board. `layout` is where it stood at the last `draw`."""

    def __init__(self, look: Look, kind: str, rows: int, cols: int, labels: Labels):
        self.look, self.kind, self.rows, self.cols, self.labels = look, kind, rows, cols, labels
        self.layout: Layout | None = None
        self._key = None
        self._back = self._front = None

    def place(self, style: Style, area: pygame.Rect, coordinates: bool = True) -> Layout:
        """Fits the board into `area` and paints its layers if anything changed."""
        key = (tuple(area), style.theme.name, style.scale, coordinates)
        if key != self._key:
            self._key = key
            self.layout = fit(self.kind, self.rows, self.cols, tuple(area), MARGINS[self.kind] if coordinates else 0.12)
            self._back = pygame.Surface(area.size)
            self._back.fill(style.theme.window)
            self._front = None
            painter = _Painter(self._back, self.layout, self.look, area.topleft)
            painter.paint()
            if coordinates:
                _coordinates(self._back, self.layout, self.labels, style, area.topleft, self.look)
            if self.look.board == "plastic":
                self._front = painter.front()
        return self.layout

    def draw_back(self, surface: pygame.Surface, area: pygame.Rect) -> None:
        surface.blit(self._back, area)

    def draw_front(self, surface: pygame.Surface, area: pygame.Rect) -> None:
        """What lies before the pieces (the panel of a drop game)."""
        if self._front:
            surface.blit(self._front, area)

    def draw_stones(self, surface: pygame.Surface, stones: np.ndarray, skip: Square | None = None) -> None:
        """`stones` int8 [rows, cols]: 0 empty, 1 first player's, 2 second's; `skip`: one that is being animated."""
        for row, col in zip(*np.nonzero(stones), strict=True):
            if (row, col) != skip:
                self.draw_piece(surface, self.layout.centre((row, col)), int(stones[row, col]))

    def piece_size(self) -> int:
        share = {"stones": 0.96, "discs": 0.84, "marks": 0.62, "pawns": 0.92}[self.look.pieces]
        return max(4, round(self.layout.unit * (0.78 if self.kind == "hex" else share)))

    def draw_piece(self, surface: pygame.Surface, centre: tuple[float, float], owner: int, alpha: int = 255) -> None:
        """The piece of player `owner` (1 or 2)."""
        size, look = self.piece_size(), self.look
        if look.pieces in ("stones", "discs") and self._front is None and alpha == 255:
            dark = pieces.shadow(round(size * 1.12))
            surface.blit(dark, dark.get_rect(center=(centre[0] + size * 0.05, centre[1] + size * 0.07)))
        image = piece(look, size, owner)
        if alpha < 255:
            image = image.copy()
            image.fill((255, 255, 255, alpha), special_flags=pygame.BLEND_RGBA_MULT)
        surface.blit(image, image.get_rect(center=(round(centre[0]), round(centre[1]))))

    def ink_on(self, owner: int):
        """A colour that reads well on that player's piece, or on the empty board (0)."""
        if owner == 0:
            return (255, 255, 255) if self.look.board in ("felt", "plastic") else (30, 22, 14)
        return (250, 250, 250) if sum(self.look.colours[owner - 1]) < 380 else (20, 20, 20)


def piece(look: Look, size: int, owner: int) -> pygame.Surface:
    """The image of player `owner`'s piece, also for the panels."""
    colour, emblem = look.colours[owner - 1], look.emblems[owner - 1]
    if look.pieces == "stones":
        return pieces.stone(size, colour)
    if look.pieces == "pawns":
        return pieces.pawn(size, colour)
    if look.pieces == "marks":
        return pieces.mark(size, colour, look.sides[owner - 1])
    return pieces.disc(size, colour, emblem)


class _Painter:
    """Paints the layers of an empty board onto a surface whose upper left corner is at `origin` of the window."""

    def __init__(self, surface: pygame.Surface, layout: Layout, look: Look, origin: tuple[int, int]):
        self.surface, self.look = surface, look
        self.rows, self.cols, self.unit, self.kind = layout.rows, layout.cols, layout.unit, layout.kind
        self.local = Layout(layout.kind, layout.rows, layout.cols, layout.unit, layout.left - origin[0],
                            layout.top - origin[1])

    def paint(self) -> None:
        {"wood": self._wood, "felt": self._felt, "plain": self._plain, "chequer": self._chequer,
         "plastic": self._plastic, "hex": self._hex}[self.look.board]()

    def _rect(self, margin: float) -> pygame.Rect:
        """The rectangle of the cells, grown by `margin` cells."""
        left, top = self.local.centre((0, 0))
        grow = self.unit * (0.5 + margin)
        width, height = (self.cols - 1) * self.unit, (self.rows - 1) * self.unit
        return pygame.Rect(round(left - grow), round(top - grow), round(width + 2 * grow), round(height + 2 * grow))

    def _wood(self) -> None:
        rect = self._rect(0.72).clip(self.surface.get_rect())
        self.surface.blit(_rounded(wood_texture(rect.size), max(3, round(self.unit * 0.12))), rect)
        x0, y0 = self.local.centre((0, 0))
        x1, y1 = self.local.centre((self.rows - 1, self.cols - 1))
        thin = max(1, round(self.unit / 34))
        for r in range(self.rows):
            y = round(y0 + r * self.unit)
            pygame.draw.line(self.surface, LINE, (round(x0), y), (round(x1), y), thin)
        for c in range(self.cols):
            x = round(x0 + c * self.unit)
            pygame.draw.line(self.surface, LINE, (x, round(y0)), (x, round(y1)), thin)
        frame = pygame.Rect(round(x0), round(y0), round(x1 - x0) + 1, round(y1 - y0) + 1).inflate(2, 2)
        pygame.draw.rect(self.surface, LINE, frame, max(2, thin + 1))
        for point in star_points(self.rows, self.cols):
            pygame.draw.aacircle(self.surface, LINE, self.local.centre(point), max(2, self.unit * 0.085))

    def _felt(self) -> None:
        border = self._rect(0.42).clip(self.surface.get_rect())
        pygame.draw.rect(self.surface, (44, 34, 28), border, border_radius=max(3, round(self.unit * 0.14)))
        rect = self._rect(0)
        self.surface.blit(felt_texture(rect.size), rect)
        self._grid(rect, FELT_LINE, max(1, round(self.unit / 40)))
        for r in (2, self.rows - 2):
            for c in (2, self.cols - 2):
                spot = (rect.x + c * self.unit, rect.y + r * self.unit)
                pygame.draw.aacircle(self.surface, FELT_LINE, spot, max(2, self.unit * 0.06))

    def _plain(self) -> None:
        rect = self._rect(0)
        outer = self._rect(0.40).clip(self.surface.get_rect())
        pygame.draw.rect(self.surface, (240, 236, 226), outer, border_radius=max(3, round(self.unit * 0.1)))
        inner_only = self.look.pieces == "marks"
        self._grid(rect, (120, 112, 100), max(2, round(self.unit / 40)), outer=not inner_only)

    def _chequer(self) -> None:
        frame = self._rect(0.42).clip(self.surface.get_rect())
        pygame.draw.rect(self.surface, (74, 52, 38), frame, border_radius=max(3, round(self.unit * 0.1)))
        rect = self._rect(0)
        for r in range(self.rows):
            for c in range(self.cols):
                colour = LIGHT_SQUARE if (r + c) % 2 == 0 else DARK_SQUARE
                x, y = round(rect.x + c * self.unit), round(rect.y + r * self.unit)
                size = (round(self.unit + 0.5), round(self.unit + 0.5))
                pygame.draw.rect(self.surface, colour, (x, y, *size))

    def _grid(self, rect: pygame.Rect, colour, width: int, outer: bool = True) -> None:
        first, cut = (0, 0) if outer else (1, 1)
        for r in range(first, self.rows + 1 - cut):
            y = round(rect.y + r * self.unit)
            pygame.draw.line(self.surface, colour, (rect.x, y), (rect.right, y), width)
        for c in range(first, self.cols + 1 - cut):
            x = round(rect.x + c * self.unit)
            pygame.draw.line(self.surface, colour, (x, rect.y), (x, rect.bottom), width)

    def _plastic(self) -> None:
        pygame.draw.rect(self.surface, HOLE, self._rect(0.1), border_radius=max(3, round(self.unit * 0.2)))

    def front(self) -> pygame.Surface:
        """The blue panel with round holes; discs fall behind it."""
        big = pygame.Surface([n * OVERSAMPLE for n in self.surface.get_size()], pygame.SRCALPHA)
        rect, s = self._rect(0.12), OVERSAMPLE
        area = pygame.Rect(rect.x * s, rect.y * s, rect.w * s, rect.h * s)
        pygame.draw.rect(big, PLASTIC, area, border_radius=round(self.unit * 0.24 * s))
        pygame.draw.rect(big, mix(PLASTIC, (255, 255, 255), 0.22), area, width=max(s, round(self.unit * 0.03 * s)),
                         border_radius=round(self.unit * 0.24 * s))
        for r in range(self.rows):
            for c in range(self.cols):
                x, y = self.local.centre((r, c))
                radius = self.unit * 0.405 * s
                pygame.draw.circle(big, mix(PLASTIC, (0, 0, 0), 0.35), (x * s, y * s), radius + self.unit * 0.035 * s)
                pygame.draw.circle(big, (0, 0, 0, 0), (x * s, y * s), radius)
        return pygame.transform.smoothscale(big, self.surface.get_size())

    def _hex(self) -> None:
        s = OVERSAMPLE
        big = pygame.Surface([n * s for n in self.surface.get_size()], pygame.SRCALPHA)
        for square in self._squares():
            self._hex_sides(big, square, s)
        for square in self._squares():
            row, col = square
            fill = ((236, 228, 210), (226, 216, 194), (244, 238, 224))[(row - col) % 3]
            points = [(x * s, y * s) for x, y in self.local.hexagon(square)]
            pygame.draw.polygon(big, fill, points)
            pygame.draw.polygon(big, (130, 118, 98), points, width=max(s, round(self.unit * 0.035 * s)))
        self.surface.blit(pygame.transform.smoothscale(big, self.surface.get_size()), (0, 0))

    def _squares(self):
        return ((r, c) for r in range(self.rows) for c in range(self.cols))

    def _hex_sides(self, big: pygame.Surface, square: Square, s: int) -> None:
        """The goal edges: the first player joins top and bottom, the second left and right."""
        row, col = square
        first, second = self.look.colours
        sides = [(row == 0, first, (5, 0, 1)), (row == self.rows - 1, first, (2, 3, 4)),
                 (col == 0, second, (4, 5)), (col == self.cols - 1, second, (1, 2))]
        corners = [(x * s, y * s) for x, y in self.local.hexagon(square)]
        width = max(s * 2, round(self.unit * 0.26 * s))
        for on_edge, colour, ends in sides:
            if on_edge:
                for a, b in zip(ends, ends[1:], strict=False):
                    pygame.draw.line(big, colour, corners[a], corners[b], width)
                for a in ends:
                    pygame.draw.circle(big, colour, corners[a], width / 2)


def star_points(rows: int, cols: int) -> list[Square]:
    """The marked points of a Go board; none on boards that are not square."""
    if rows != cols or rows < 5 or rows % 2 == 0:
        return []
    mid = rows // 2
    if rows < 9:
        return [(mid, mid)]
    low = 2 if rows < 13 else 3
    lines = (low, mid, rows - 1 - low)
    points = [(r, c) for r in lines for c in lines]
    return points if rows > 13 else [p for p in points if (p[0] == mid) == (p[1] == mid)]


def wood_texture(size: tuple[int, int]) -> pygame.Surface:
    """Long, slightly bent grain: smooth noise stretched along the board."""
    w, h = size
    rng = np.random.default_rng(9)
    bend = _smooth(rng.standard_normal(8), h) * 14
    x = np.arange(w)[:, None] + bend[None, :]
    rings = np.interp((x * 0.9) % 720, np.arange(720), _smooth(rng.standard_normal(120), 720))
    fine = np.interp((x * 2.3) % 720, np.arange(720), _smooth(rng.standard_normal(360), 720))
    tone = np.round(np.clip(0.22 + 0.10 * rings + 0.06 * fine, 0, 1) * TONES)[..., None] / TONES
    rgb = np.array(WOOD) * (1 - tone) + np.array(WOOD_DARK) * tone
    surface = pygame.Surface(size)
    pygame.surfarray.blit_array(surface, np.round(rgb).astype(np.uint8))
    return surface


def _smooth(knots: np.ndarray, length: int) -> np.ndarray:
    """Values at `length` places between the knots, eased so that no corner shows."""
    at = np.linspace(0, len(knots) - 1.001, length)
    low = at.astype(int)
    t = at - low
    t = t * t * (3 - 2 * t)
    return knots[low] * (1 - t) + knots[low + 1] * t


def felt_texture(size: tuple[int, int]) -> pygame.Surface:
    """A faint weave of darker threads."""
    dark = np.random.default_rng(1).random(size) < 0.12
    surface = pygame.Surface(size)
    pygame.surfarray.blit_array(surface, np.where(dark[..., None], mix(FELT, FELT_LINE, 0.16), FELT).astype(np.uint8))
    return surface


def _rounded(image: pygame.Surface, radius: int) -> pygame.Surface:
    mask = pygame.Surface(image.get_size(), pygame.SRCALPHA)
    pygame.draw.rect(mask, (255, 255, 255, 255), mask.get_rect(), border_radius=radius)
    mask.blit(image, (0, 0), special_flags=pygame.BLEND_RGBA_MULT)
    return mask


def _coordinates(surface, layout: Layout, labels: Labels, style: Style, origin, look: Look) -> None:
    on_board = {"wood": LINE, "felt": (214, 206, 196), "plain": (88, 82, 72), "chequer": (236, 222, 200)}
    colour = on_board.get(look.board, style.theme.faint)
    size = min(15.0, max(8.0, layout.unit * 0.3 / style.scale))
    x0, y0 = layout.centre((0, 0))
    gap = layout.unit * {"wood": 0.86, "plastic": 0.86}.get(look.board, 0.71)

    def put(text: str, x: float, y: float) -> None:
        image = style.text(text, size, colour)
        surface.blit(image, image.get_rect(center=(round(x - origin[0]), round(y - origin[1]))))

    for col, text in enumerate(labels.cols):
        x, _ = layout.centre((0, col))
        if layout.kind == "hex":
            put(text, x - layout.unit * 0.47, y0 - layout.unit * 0.88)
        elif look.board == "plastic":
            put(text, x, y0 + (layout.rows - 1) * layout.unit + gap)
        else:
            put(text, x, y0 - gap)
            put(text, x, y0 + (layout.rows - 1) * layout.unit + gap)
    for row, text in enumerate(labels.rows):
        x, y = layout.centre((row, 0))
        if layout.kind == "hex":
            put(text, x - layout.unit * 0.94, y + layout.unit * 0.14)
        else:
            put(text, x0 - gap, y)
            put(text, x0 + (layout.cols - 1) * layout.unit + gap, y)

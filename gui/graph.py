"""Curves: the win rate of a game, and the measurements of a run."""

from collections.abc import Callable, Sequence

import pygame

from gui.widgets import Rect, Region, Ui

Points = Sequence[tuple[float, float]]


def win_rate_graph(ui: Ui, rect: Rect, values: Sequence[float | None], here: int, pick: Callable[[int], None],
                   marks: Sequence[int], tip: str = "") -> None:
    """The first player's win rate over the plies; a click goes to the ply. `marks`: plies of mistakes (triangles)."""
    px, theme, surface = ui.style.px, ui.style.theme, ui.surface
    ui.box(rect, theme.panel, border=theme.border)
    axis = px(30)
    inner = Rect(rect.x + axis, rect.y + px(8), rect.w - axis - px(10), rect.h - px(16))
    last = max(len(values) - 1, 10)

    def spot(ply: int, value: float) -> tuple[float, float]:
        return inner.x + inner.w * ply / last, inner.bottom - inner.h * value

    for share, text in ((0.0, "0"), (0.5, "50"), (1.0, "100")):
        y = spot(0, share)[1]
        pygame.draw.line(surface, theme.border, (inner.x, y), (inner.right, y))
        label = Rect(rect.x + px(2), round(y) - px(7), axis - px(6), px(14))
        ui.label(label, text, 10, theme.faint, align="right")
    known = [(ply, v) for ply, v in enumerate(values) if v is not None]
    _polyline(surface, theme.accent, [spot(*p) for p in known], px(2))
    for ply in marks:
        if ply < len(values) and values[ply] is not None:
            x, y = spot(ply, values[ply])
            size = px(5)
            corners = [(x - size, y - 2 * size), (x + size, y - 2 * size), (x, y - px(2))]
            pygame.draw.polygon(surface, theme.bad, corners)
    x = spot(here, 0)[0]
    pygame.draw.line(surface, theme.faint, (x, inner.y), (x, inner.bottom), px(1))
    if here < len(values) and values[here] is not None:
        pygame.draw.aacircle(surface, theme.text, spot(here, values[here]), px(4))

    def go(pos) -> None:
        ply = round((pos[0] - inner.x) / max(1, inner.w) * last)
        pick(min(len(values) - 1, max(0, ply)))

    ui.add(Region("graph", rect, drag=go, wheel=lambda steps: pick(min(len(values) - 1, max(0, here - steps))),
                  focusable=False, tip=tip))


def chart(ui: Ui, rect: Rect, title: str, series: Sequence[tuple[str, Points]], bars: Points = (),
          scale: tuple[float, float] | None = None) -> None:
    """Curves, each with its last value. `bars`: (x, half width) error bars of the first series; `scale`: the lowest and
    highest value of the axis, those of the curves if none is given."""
    px, theme, surface = ui.style.px, ui.style.theme, ui.surface
    ui.box(rect, theme.panel, border=theme.border)
    ui.label(Rect(rect.x + px(10), rect.y + px(4), rect.w - px(20), px(22)), title, bold=True)
    inner = Rect(rect.x + px(52), rect.y + px(32), rect.w - px(64), rect.h - px(56))
    points = [p for _, ps in series for p in ps]
    if not points:
        ui.label(inner, "–", colour=theme.faint, align="centre")
        return
    half = dict(bars)
    x0, x1 = min(p[0] for p in points), max(p[0] for p in points)
    y0 = min(y - half.get(x, 0) for x, y in points)
    y1 = max(y + half.get(x, 0) for x, y in points)
    pad = (y1 - y0) * 0.06 or abs(y1) * 0.1 or 1.0
    y0, y1 = scale or ((max(0.0, y0 - pad) if y0 >= 0 else y0 - pad), y1 + pad)

    def spot(x: float, y: float) -> tuple[float, float]:
        return inner.x + inner.w * (x - x0) / ((x1 - x0) or 1), inner.bottom - inner.h * (y - y0) / (y1 - y0)

    for share in (0.0, 0.5, 1.0):
        value = y0 + (y1 - y0) * share
        y = spot(x0, value)[1]
        pygame.draw.line(surface, theme.border, (inner.x, y), (inner.right, y))
        ui.label(Rect(rect.x + px(4), round(y) - px(7), px(44), px(14)), _tick(value), 10, theme.faint, align="right")
    for x, share in ((x0, "left"), (x1, "right")):
        ui.label(Rect(inner.x, inner.bottom + px(4), inner.w, px(14)), f"{x:g}", 10, theme.faint, align=share)
    colours = (theme.accent, theme.warn, theme.good)
    legend = rect.right - px(12)
    for (name, ps), colour in reversed(list(zip(series, colours, strict=False))):
        for x, y in ps if series[0][0] == name else ():
            if x in half:
                pygame.draw.line(surface, colour, spot(x, y - half[x]), spot(x, y + half[x]), px(1))
        _polyline(surface, colour, [spot(*p) for p in ps], px(2))
        if ps:
            pygame.draw.aacircle(surface, colour, spot(*ps[-1]), px(3))
        if len(series) > 1:
            image = ui.style.text(f"{name} {ps[-1][1]:.3g}" if ps else name, "small", colour)
            legend -= image.get_width() + px(12)
            surface.blit(image, (legend + px(12), rect.y + px(8)))


def _tick(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _polyline(surface, colour, points, width: int) -> None:
    for a, b in zip(points, points[1:], strict=False):
        pygame.draw.aaline(surface, colour, a, b, width)
    if len(points) == 1:
        pygame.draw.aacircle(surface, colour, points[0], width + 1)

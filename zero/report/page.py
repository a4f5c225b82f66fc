"""One self-contained HTML page: style, charts as inline SVG, no network."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

STYLE = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
_COLOURS = ("var(--blue)", "var(--red)", "#2f9e44", "#8250df")
_W, _H, _LEFT, _RIGHT, _TOP, _BOTTOM = 420, 250, 48, 18, 20, 34


@dataclass(frozen=True)
class Series:
    """Points of a line, those that are finite; `error` are half-widths of bars, `marks` draws dots."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    error: Sequence[float] | None = None
    marks: bool = False


def escape(text: object) -> str:
    return html.escape(str(text))


def page(title: str, body: str, script: str = "") -> str:
    return (f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
            f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style></head>'
            f"<body>{body}<script>{script}</script></body></html>\n")


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Numbers stand to the right."""
    def cell(value: object) -> str:
        kind = ' class="n"' if isinstance(value, (int, float)) else ""
        return f"<td{kind}>{escape(f'{value:,.4g}' if isinstance(value, float) else value)}</td>"

    body = "".join("<tr>" + "".join(map(cell, row)) + "</tr>" for row in rows)
    return "<table><tr>" + "".join(f"<th>{escape(name)}</th>" for name in head) + f"</tr>{body}</table>"


def _ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers within the range."""
    raw = (high - low) / count
    power = 10 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw)
    first = math.ceil(low / step)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _short(value: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if unit == 'k' else size):g}{unit}"
    return f"{value:.4g}"


def chart(title: str, series: Sequence[Series], x_label: str = "", y_range: tuple[float, float] | None = None) -> str:
    """A figure with lines. What has no points says so."""
    points = [[(x, y, series_.error[k] if series_.error is not None else 0.0)
               for k, (x, y) in enumerate(zip(series_.x, series_.y, strict=True)) if math.isfinite(x + y)]
              for series_ in series]
    flat = [point for line in points for point in line]
    if not flat:
        return f"<figure><figcaption>{escape(title)}</figcaption><p>nothing to show yet</p></figure>"
    x_low, x_high = min(p[0] for p in flat), max(p[0] for p in flat)
    y_low, y_high = y_range or (min(p[1] - p[2] for p in flat), max(p[1] + p[2] for p in flat))
    x_high, y_high = (high if high > low else low + 1 for low, high in ((x_low, x_high), (y_low, y_high)))

    def place(x: float, y: float) -> tuple[float, float]:
        return (_LEFT + (x - x_low) / (x_high - x_low) * (_W - _LEFT - _RIGHT),
                _H - _BOTTOM - (y - y_low) / (y_high - y_low) * (_H - _TOP - _BOTTOM))

    parts = [_axes(place, (x_low, x_high), (y_low, y_high), x_label)]
    for k, (series_, line) in enumerate(zip(series, points, strict=True)):
        parts.append(_line(place, series_, line, _COLOURS[k % len(_COLOURS)]))
    if len(series) > 1:
        parts += [f'<text x="{_LEFT + 8 + 110 * k}" y="{_TOP - 6}" style="fill:{_COLOURS[k % len(_COLOURS)]}">'
                  f"{escape(series_.name)}</text>" for k, series_ in enumerate(series)]
    return (f"<figure><figcaption>{escape(title)}</figcaption>"
            f'<svg viewBox="0 0 {_W} {_H}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg></figure>')


def _axes(place, x_range: tuple[float, float], y_range: tuple[float, float], x_label: str) -> str:
    parts = []
    for tick in _ticks(*y_range):
        _, y = place(x_range[0], tick)
        parts.append(f'<line x1="{_LEFT}" x2="{_W - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="var(--line)"/>'
                     f'<text x="{_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{_short(tick)}</text>')
    for tick in _ticks(*x_range):
        x, _ = place(tick, y_range[0])
        parts.append(f'<text x="{x:.1f}" y="{_H - _BOTTOM + 14}" text-anchor="middle">{_short(tick)}</text>')
    parts.append(f'<text x="{(_LEFT + _W) / 2}" y="{_H - 4}" text-anchor="middle">{escape(x_label)}</text>')
    return "".join(parts)


def _line(place, series: Series, points: list[tuple[float, float, float]], colour: str) -> str:
    spots = [place(x, y) for x, y, _ in points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
    parts = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"/>']
    if series.marks or len(points) == 1:
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in spots]
    for (x, y, error), (at, _) in zip(points, spots, strict=True):
        if error:
            top, bottom = place(x, y + error)[1], place(x, y - error)[1]
            parts.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{top:.1f}" y2="{bottom:.1f}" stroke="{colour}"/>')
    return "".join(parts)

"""Cutting strips off a rectangle: the whole of our layout. Each cut shrinks the rectangle given."""

from pygame import Rect


def top(rect: Rect, height: int, gap: int = 0) -> Rect:
    strip = Rect(rect.x, rect.y, rect.w, height)
    rect.update(rect.x, rect.y + height + gap, rect.w, max(0, rect.h - height - gap))
    return strip


def bottom(rect: Rect, height: int, gap: int = 0) -> Rect:
    strip = Rect(rect.x, rect.bottom - height, rect.w, height)
    rect.update(rect.x, rect.y, rect.w, max(0, rect.h - height - gap))
    return strip


def left(rect: Rect, width: int, gap: int = 0) -> Rect:
    strip = Rect(rect.x, rect.y, width, rect.h)
    rect.update(rect.x + width + gap, rect.y, max(0, rect.w - width - gap), rect.h)
    return strip


def right(rect: Rect, width: int, gap: int = 0) -> Rect:
    strip = Rect(rect.right - width, rect.y, width, rect.h)
    rect.update(rect.x, rect.y, max(0, rect.w - width - gap), rect.h)
    return strip


def columns(rect: Rect, n: int, gap: int) -> list[Rect]:
    """`n` columns of equal width."""
    width = (rect.w - gap * (n - 1)) / n
    edges = [rect.x + round(i * (width + gap)) for i in range(n)]
    return [Rect(x, rect.y, round(width), rect.h) for x in edges]

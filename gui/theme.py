"""Colours, type sizes and the one scale factor; text is rendered once and kept."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pygame

ASSETS = Path(__file__).parent / "assets"
Colour = tuple[int, int, int]
SIZES = {"small": 12, "body": 14, "title": 18, "huge": 28}  # points at scale 1
MAX_CACHED_TEXTS = 2000


@dataclass(frozen=True)
class Theme:
    """Named colours of a theme. Text on any of the surfaces has a contrast of 4.5:1 or more."""

    name: str
    window: Colour
    panel: Colour
    raised: Colour
    hover: Colour
    border: Colour
    text: Colour
    faint: Colour
    accent: Colour
    on_accent: Colour
    good: Colour
    warn: Colour
    bad: Colour


DARK = Theme("dark", window=(24, 26, 30), panel=(34, 37, 43), raised=(49, 53, 61), hover=(64, 69, 80),
             border=(70, 75, 86), text=(235, 237, 240), faint=(168, 174, 184), accent=(104, 170, 255),
             on_accent=(10, 18, 32), good=(112, 200, 130), warn=(240, 180, 80), bad=(255, 128, 118))
LIGHT = Theme("light", window=(236, 237, 240), panel=(250, 250, 251), raised=(228, 230, 235), hover=(212, 216, 224),
              border=(190, 194, 203), text=(28, 30, 34), faint=(88, 93, 102), accent=(24, 96, 196),
              on_accent=(255, 255, 255), good=(20, 112, 48), warn=(140, 82, 0), bad=(180, 36, 28))
THEMES = {theme.name: theme for theme in (DARK, LIGHT)}


def contrast(a: Colour, b: Colour) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2.2, relative luminance)."""

    def luminance(colour: Colour) -> float:
        parts = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """The colour `share` of the way from `a` to `b`."""
    return tuple(round(x + (y - x) * share) for x, y in zip(a, b, strict=True))


@lru_cache(maxsize=32)
def _font(bold: bool, pixels: int) -> pygame.font.Font:
    return pygame.font.Font(ASSETS / ("sans-bold.otf" if bold else "sans.otf"), pixels)


class Style:
    """A theme at a scale: converts design pixels to screen pixels and renders text."""

    def __init__(self, theme: Theme = DARK, scale: float = 1.0):
        self.theme, self.scale = theme, scale
        self._texts: dict = {}

    def px(self, n: float) -> int:
        """Design pixels to screen pixels; never rounds a visible thing away."""
        return max(1, round(n * self.scale)) if n > 0 else round(n * self.scale)

    def font(self, size: str | float = "body", bold: bool = False) -> pygame.font.Font:
        points = SIZES[size] if isinstance(size, str) else size
        return _font(bold, max(6, round(points * self.scale)))

    def text(self, text: str, size: str | float = "body", colour: Colour | None = None,
             bold: bool = False) -> pygame.Surface:
        key = (text, size, colour or self.theme.text, bold)
        if key not in self._texts:
            if len(self._texts) >= MAX_CACHED_TEXTS:
                self._texts.clear()
            image = self.font(size, bold).render(text, True, key[2])
            # The font leaves more room above its capitals than below them: without it texts stand in the middle.
            spare = round(0.12 / 1.45 * image.get_height())
            self._texts[key] = image.subsurface((0, spare, image.get_width(), image.get_height() - spare))
        return self._texts[key]

    def fit(self, text: str, width: int, size: str | float = "body", bold: bool = False) -> str:
        """The text, shortened with three dots until it is at most `width` screen pixels wide."""
        font = self.font(size, bold)
        if font.size(text)[0] <= width:
            return text
        while text and font.size(text + "...")[0] > width:
            text = text[:-1]
        return text + "..." if text else ""

    def wrap(self, text: str, width: int, size: str | float = "body") -> list[str]:
        """Lines of at most `width` screen pixels; breaks at spaces, and inside a run longer than a line."""
        font, lines = self.font(size), []
        for paragraph in text.split("\n"):
            line = ""
            for word in _pieces(paragraph):
                if font.size(line + word)[0] <= width or not line:
                    line += word
                else:
                    lines.append(line.rstrip())
                    line = word.lstrip()
            lines.append(line.rstrip())
        return lines


def _pieces(paragraph: str) -> list[str]:
    """Words with the space that follows them; every CJK character is a piece of its own."""
    pieces, word = [], ""
    for char in paragraph:
        word += char
        if char == " " or ord(char) >= 0x2E80:
            pieces.append(word)
            word = ""
    return pieces + [word] if word else pieces

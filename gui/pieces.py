"""Stones, discs, pawns and marks: small images with soft edges, computed from their shape, lit from the upper left."""

from functools import lru_cache

import numpy as np
import pygame

from gui.theme import Colour

LIGHT_FROM = np.array([-0.48, -0.62, 0.62])
OVERSAMPLE = 4


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of the pixel centres, -1 to 1 across the image, indexed [x, y] as surfaces are."""
    line = (np.arange(size) + 0.5) / size * 2 - 1
    return line[:, None] + np.zeros((1, size)), line[None, :] + np.zeros((size, 1))


def _image(rgb: np.ndarray, alpha: np.ndarray) -> pygame.Surface:
    """[w, h, 3] and [w, h], 0 to 255, to a surface with per-pixel alpha."""
    surface = pygame.Surface(alpha.shape, pygame.SRCALPHA)
    pygame.surfarray.pixels3d(surface)[:] = np.clip(np.round(rgb), 0, 255).astype(np.uint8)
    pygame.surfarray.pixels_alpha(surface)[:] = np.clip(np.round(alpha), 0, 255).astype(np.uint8)
    return surface


def _edge(distance: np.ndarray, pixels: float) -> np.ndarray:
    """Coverage, 0 to 1, of what lies at negative distances (in units of the half image, `pixels` wide)."""
    return np.clip(0.5 - distance * pixels, 0, 1)


@lru_cache(maxsize=64)
def stone(size: int, colour: Colour) -> pygame.Surface:
    """A lens-shaped stone of that many pixels across."""
    x, y = _grid(size)
    r = np.hypot(x, y)
    height = np.sqrt(np.clip(1 - (0.93 * r) ** 2, 0, 1))
    normal = np.stack([x * 0.9, y * 0.9, height], -1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    light = np.clip(normal @ (LIGHT_FROM / np.linalg.norm(LIGHT_FROM)), 0, 1)
    dark = sum(colour) < 300
    shine = np.clip((light - 0.80) / 0.2, 0, 1) ** 2 * (95 if dark else 30)
    shade = (0.55 + 0.6 * light if dark else 0.74 + 0.3 * light)[..., None]
    return _image(np.array(colour) * shade + shine[..., None], 255 * _edge(r - 1 + 1 / size, size / 2))


@lru_cache(maxsize=64)
def disc(size: int, colour: Colour, emblem: str = "") -> pygame.Surface:
    """A flat disc with a raised rim and an embossed emblem (`ring`, `star`, `bar` or none)."""
    x, y = _grid(size)
    r = np.hypot(x, y)
    rim = np.exp(-(((r - 0.86) / 0.08) ** 2))
    facing = (-x - y) / np.maximum(r, 1e-6) / 1.414
    shade = 1.0 + 0.16 * rim * facing + 0.06 * (-x - y) / 2
    inside = _edge(_emblem_distance(emblem, x, y), size / 2)
    dark = sum(colour) < 300
    shade = shade * (1 + inside * (0.9 if dark else -0.28))
    rgb = np.array(colour) * shade[..., None] + (inside * (40 if dark else 0))[..., None]
    return _image(rgb, 255 * _edge(r - 1 + 1 / size, size / 2))


def _emblem_distance(emblem: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Negative inside the emblem."""
    r = np.hypot(x, y)
    if emblem == "ring":
        return np.abs(r - 0.46) - 0.09
    if emblem == "bar":
        return np.maximum(np.abs(y) - 0.10, np.abs(x) - 0.48)
    if emblem == "star":
        angle = np.abs((np.arctan2(x, -y) + np.pi / 5) % (2 * np.pi / 5) - np.pi / 5)
        u, v = r * np.sin(angle), r * np.cos(angle)
        tip, notch = np.array([0.0, 0.56]), 0.24 * np.array([np.sin(np.pi / 5), np.cos(np.pi / 5)])
        edge = notch - tip
        return ((u - tip[0]) * -edge[1] + (v - tip[1]) * edge[0]) / np.hypot(*edge)
    return np.ones_like(x)


@lru_cache(maxsize=32)
def shadow(size: int) -> pygame.Surface:
    """A soft round shadow."""
    x, y = _grid(size)
    alpha = 90 * np.clip((1 - np.hypot(x, y)) / 0.28, 0, 1)
    return _image(np.zeros((size, size, 3)), alpha)


@lru_cache(maxsize=32)
def pawn(size: int, colour: Colour) -> pygame.Surface:
    """A pawn: head, collar, body and foot with an outline, drawn large and scaled down."""
    big = size * OVERSAMPLE
    surface = pygame.Surface((big, big), pygame.SRCALPHA)
    outline = (20, 20, 22) if sum(colour) > 300 else (214, 212, 206)

    def shape(ink: Colour, grow: float) -> None:
        c, g = big / 2, grow * big
        pygame.draw.circle(surface, ink, (c, big * 0.28), big * 0.15 + g)
        pygame.draw.ellipse(surface, ink, (c - big * 0.19 - g, big * 0.385 - g, big * 0.38 + 2 * g, big * 0.09 + 2 * g))
        body = [(0.44, 0.42), (0.56, 0.42), (0.60, 0.60), (0.70, 0.75), (0.30, 0.75), (0.40, 0.60)]
        points = [(x * big + (g if x > 0.5 else -g), y * big) for x, y in body]
        pygame.draw.polygon(surface, ink, points)
        base = pygame.Rect(big * 0.25 - g, big * 0.74 - g, big * 0.50 + 2 * g, big * 0.10 + 2 * g)
        pygame.draw.rect(surface, ink, base, border_radius=round(big * 0.04))

    shape(outline, 0.022)
    shape(colour, 0.0)
    return pygame.transform.smoothscale(surface, (size, size))


@lru_cache(maxsize=32)
def mark(size: int, colour: Colour, shape: str) -> pygame.Surface:
    """A drawn `cross` or `nought`."""
    x, y = _grid(size)
    if shape == "nought":
        distance = np.abs(np.hypot(x, y) - 0.66) - 0.11
    else:
        u, v = np.abs(x - y) / 1.414, np.abs(x + y) / 1.414
        near, far = np.minimum(u, v), np.maximum(u, v)
        distance = np.where(far < 0.82, near, np.hypot(near, far - 0.82)) - 0.11
    return _image(np.broadcast_to(np.array(colour), (size, size, 3)), 255 * _edge(distance, size / 2))

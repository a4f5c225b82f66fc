"""Short synthesised sounds; silent where there is no sound device."""

import numpy as np
import pygame

RATE = 44100


def _clack(pitch: float, seconds: float, seed: int) -> np.ndarray:
    """A struck stone: a burst of noise and two fast-fading partials. float [n], -1 to 1."""
    t = np.arange(int(RATE * seconds)) / RATE
    noise = np.random.default_rng(seed).standard_normal(len(t)) * np.exp(-t * 900) * 0.5
    body = np.sin(2 * np.pi * pitch * t) * np.exp(-t * 70)
    ring = 0.5 * np.sin(2 * np.pi * pitch * 2.7 * t) * np.exp(-t * 130)
    return 0.5 * (noise + 0.6 * (body + ring))


def _tones(pitches: list[float], each: float) -> np.ndarray:
    """Tones one after the other, each faded out to silence: a wave cut short would click."""
    t = np.arange(int(RATE * each)) / RATE
    fade = np.exp(-t * 9) * np.minimum(1, (each - t) / 0.02)
    return np.concatenate([0.25 * np.sin(2 * np.pi * p * t) * fade for p in pitches])


WAVES = {
    "stone": lambda: _clack(950, 0.09, 1),
    "capture": lambda: np.concatenate([_clack(950, 0.06, 1), _clack(760, 0.09, 2)]),
    "illegal": lambda: _tones([170], 0.14),
    "end": lambda: _tones([523, 659, 784], 0.16),
}


class Sounds:
    """Plays by name. The device is opened at the first sound, so that it costs the start nothing."""

    def __init__(self):
        self._made: dict[str, pygame.mixer.Sound] = {}
        self._works: bool | None = None

    def play(self, name: str) -> None:
        if self._works is None:
            self._works = self._open()
        if self._works:
            if name not in self._made:
                wave = (np.clip(WAVES[name](), -1, 1) * 32767).astype(np.int16)
                channels = pygame.mixer.get_init()[2]
                self._made[name] = pygame.mixer.Sound(buffer=np.repeat(wave, channels).tobytes())
            self._made[name].play()

    def _open(self) -> bool:
        try:
            pygame.mixer.init(frequency=RATE, size=-16, channels=1, buffer=1024)
        except pygame.error:
            return False
        return True

"""Drives a window without a screen, with a fake engine in place of the real one."""

import os
import sys
import time
from pathlib import Path

import pytest

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ["SDL_AUDIODRIVER"] = "dummy"
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
pygame = pytest.importorskip("pygame")
FAKE = Path(__file__).parent / "fake_engine.py"


def fake_command(mode: str, *rest: str):
    return lambda player, game: [sys.executable, str(FAKE), mode, game, *rest]


class Driver:
    """Drives a window as a person does: by events at places, never by calling what a button calls."""

    def __init__(self, app):
        self.app = app

    @property
    def match(self):
        return self.app.screen.match

    @property
    def session(self):
        return self.app.screen.session

    def step(self, times: int = 3) -> None:
        for _ in range(times):
            self.app.step(0.005)

    def wait(self, until, seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < end, "the window did not get there in time"
            self.app.step(0.01)

    def move_to(self, pos) -> None:
        pygame.event.post(pygame.event.Event(pygame.MOUSEMOTION, pos=pos, rel=(0, 0), buttons=(0, 0, 0)))
        self.step()

    def click(self, pos) -> None:
        self.move_to(pos)
        for kind in (pygame.MOUSEBUTTONDOWN, pygame.MOUSEBUTTONUP):
            pygame.event.post(pygame.event.Event(kind, pos=pos, button=1))
        self.step()

    def drag(self, start, end) -> None:
        self.move_to(start)
        pygame.event.post(pygame.event.Event(pygame.MOUSEBUTTONDOWN, pos=start, button=1))
        pygame.event.post(pygame.event.Event(pygame.MOUSEMOTION, pos=end, rel=(0, 0), buttons=(1, 0, 0)))
        pygame.event.post(pygame.event.Event(pygame.MOUSEBUTTONUP, pos=end, button=1))
        self.step()

    def press(self, name: str) -> None:
        """Clicks the middle of a named widget."""
        self.step(1)
        region = self.app.ui.regions[name]
        assert region.click or region.key, f"{name} does not answer to clicks"
        self.click(region.rect.center)

    def key(self, key: int, mod: int = 0) -> None:
        for kind in (pygame.KEYDOWN, pygame.KEYUP):
            pygame.event.post(pygame.event.Event(kind, key=key, mod=mod, unicode="", scancode=0))
        self.step()

    def type(self, text: str, enter: bool = True) -> None:
        for char in text:
            pygame.event.post(pygame.event.Event(pygame.TEXTINPUT, text=char))
        self.step()
        if enter:
            self.key(pygame.K_RETURN)

    def wheel(self, steps: int) -> None:
        pygame.event.post(pygame.event.Event(pygame.MOUSEWHEEL, x=0, y=steps, precise_x=0.0, precise_y=float(steps)))
        self.step()

    def square(self, text: str) -> tuple[int, int]:
        """The place on the screen of a square, named as a move is."""
        match = self.match
        spot = match.actions.squares(match.game.text_to_action(text))[0]
        return tuple(round(v) for v in self.app.screen.area.view.layout.centre(spot))

    def pixels(self) -> bytes:
        self.app.draw()
        return pygame.image.tobytes(pygame.display.get_surface(), "RGB")

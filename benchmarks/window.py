"""The window's pace, as docs/window.md states it: frames while an engine thinks, the window at rest, the first frame.

    python benchmarks/window.py [--player mcts:1000] [--game go9]

A real engine process searches at full speed with four overlays shown, and the pointer moves at every frame. Without
a screen, `SDL_VIDEODRIVER=dummy` draws everything and shows nothing.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

os.environ["SDL_AUDIODRIVER"] = "dummy"
if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")

import pygame

from gui.app import App, opening
from gui.settings import Settings

FRAMES = 500
REST = 10.0  # seconds
STARTS = 5
FIRST_FRAME = """
import sys, time
from gui.app import App
draw = App.draw
def first(app):
    draw(app)
    print(time.time())
    app.running = False
App.draw = first
from zero.cli import main
main(["play", "connect4"])
"""


def frames(game: str, player: str) -> tuple[list[float], list[float]]:
    """Seconds from an event to the picture shown, while the engine thinks about the position without end: by the clock
    on the wall, and of the processor's time (which other work on the machine does not lengthen as much)."""
    app = App(Settings(sound=False, players=("human", "human"), analyst=player, analysis_sims=10**8))
    opening(app, game)
    app.start_game(type(app.screen.match.setup)(game))
    for key in (pygame.K_F2, pygame.K_F3, pygame.K_F4, pygame.K_F5):
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=key, mod=0, unicode="", scancode=0))
    while not app.screen.match.node.analysis:
        app.step(0.05)
    app.frame_times.clear()
    processor = []
    for number in range(FRAMES):
        motion = {"pos": (100 + number, 300), "rel": (1, 0), "buttons": (0, 0, 0)}
        pygame.event.post(pygame.event.Event(pygame.MOUSEMOTION, motion))
        before = time.thread_time()
        app.step()
        processor.append(time.thread_time() - before)
        time.sleep(1 / 60)
    spent = app.frame_times[-FRAMES:]
    app.close()
    return spent, processor


def rest() -> float:
    """The share of one core that a window uses in which nothing happens."""
    app = App(Settings(sound=False, players=("human", "human")))
    opening(app, "connect4")
    for _ in range(5):
        app.step(0.01)
    began, used = time.monotonic(), time.process_time()
    while time.monotonic() - began < REST:
        app.step(0.5)
    share = (time.process_time() - used) / (time.monotonic() - began)
    app.close()
    return share


def first_frame() -> float:
    """Wall seconds from the start of `zero play connect4` to its first picture."""
    began = time.time()
    output = subprocess.run([sys.executable, "-c", FIRST_FRAME], check=True, capture_output=True, text=True).stdout
    return float(output.split()[-1]) - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--game", default="go9")
    parser.add_argument("--player", default="mcts:1000")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["XDG_CONFIG_HOME"] = os.environ["XDG_STATE_HOME"] = home
        for name, seconds in zip(("wall", "processor"), frames(options.game, options.player), strict=True):
            spent = sorted(1000 * s for s in seconds)
            print(f"frame, {name}: median {statistics.median(spent):.1f} ms, 95th percentile "
                  f"{spent[int(0.95 * len(spent))]:.1f} ms of {len(spent)}")
        print(f"at rest: {100 * rest():.2f} % of one core")
        starts = [first_frame() for _ in range(STARTS)]
        print(f"first frame: {min(starts):.2f} to {max(starts):.2f} s of {STARTS} starts")


if __name__ == "__main__":
    main()

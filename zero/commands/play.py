"""`zero play`: opens the window. It is found by its entry point, so that nothing here imports a screen."""

import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from zero.errors import UserError

GROUP, NAME = "zero.window", "play"


@dataclass(frozen=True)
class Options:
    """Play against it, see what it thinks, watch it learn."""

    watch: bool = False
    """Watch the run train instead of playing against it."""


def start_watching(run: Path) -> subprocess.Popen:
    """The live view of a run in a process of its own, which Ctrl-C at the training does not reach."""
    command = [sys.executable, "-m", "zero", "play", str(run), "--watch"]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)


def main(argv: list[str]) -> int:
    """Exit code 0 when the window was closed. Raises UserError where there is no window or nothing to open."""
    import tyro

    @dataclass(frozen=True)
    class PlayOptions(Options):
        what: tyro.conf.Positional[str | None] = None
        """A game (go9), a player (runs/c4, runs/c4@120, net.safetensors), a game file (x.sgf), or nothing (chooser)."""

    options = tyro.cli(PlayOptions, prog="zero play", args=argv, description=Options.__doc__)
    found = entry_points(group=GROUP, name=NAME)
    if not found:
        raise UserError("the window is not installed; reinstall with: pip install zero-engine")
    open_window = next(iter(found)).load()
    try:
        return open_window(options.what, options.watch)
    except OSError as error:
        raise UserError(f"{error.filename or options.what}: {error.strerror or error}") from error
    except (ValueError, RuntimeError) as error:
        raise UserError(str(error)) from error

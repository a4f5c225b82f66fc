"""Who there is to play against: runs and their checkpoints, networks in files, and players that need none."""

import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from gui.looks import family
from zero.protocols.engine import find_program

RUNS = Path("runs")
SOLVED = ("tictactoe",)  # perfect play at once; that of Connect Four can take minutes a move
_RATED = re.compile(r"@(\d+)\?sims=(\d+)$")  # how a ladder names a run's networks
ENGINES = {"go": ("gnugo", "gtp:gnugo --mode gtp"), "othello8": ("gtp-rhino", "gtp:gtp-rhino")}  # program, player


@dataclass(frozen=True)
class Level:
    """A strength that was measured: a checkpoint with so many simulations a move. `error` is a 95 % interval."""

    checkpoint: int
    sims: int
    elo: float
    error: float


@dataclass(frozen=True)
class Run:
    """A run directory as the window sees it. `checkpoints`: numbers in rising order; `levels`: the weakest first."""

    path: Path
    game: str
    checkpoints: tuple[int, ...] = ()
    levels: tuple[Level, ...] = ()
    changed: float = 0.0  # when it last measured something (Unix time)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def elo(self) -> dict[int, tuple[float, float]]:
        """Checkpoint to (rating, error), at the most simulations that were measured."""
        return {lv.checkpoint: (lv.elo, lv.error) for lv in sorted(self.levels, key=lambda lv: lv.sims)}

    def player(self, step: int | None = None) -> str:
        return str(self.path) if step is None else f"{self.path}@{step}"


def find_run(path: Path) -> Run | None:
    """Reads a run directory; None if it is not one."""
    try:
        config = tomllib.loads((path / "config.toml").read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError):
        return None
    game = config.get("game")
    game = game.get("name") if isinstance(game, dict) else game
    if not isinstance(game, str):
        return None
    metrics = path / "metrics.jsonl"
    changed = metrics.stat().st_mtime if metrics.exists() else 0.0
    return Run(path, game, checkpoint_steps(path), read_levels(path), changed)


def find_runs(folder: Path = RUNS) -> list[Run]:
    try:
        entries = sorted(p for p in folder.iterdir() if p.is_dir())
    except OSError:
        return []
    return [run for path in entries if (run := find_run(path))]


def checkpoint_steps(path: Path) -> tuple[int, ...]:
    """The numbers of the weights a run has kept."""
    steps = {int(m[1]) for p in path.glob("weights/*") if (m := re.search(r"(\d+)(?:\.safetensors)?$", p.name))}
    return tuple(sorted(steps))


def read_levels(path: Path) -> tuple[Level, ...]:
    """What `zero ladder` measured of a run, the weakest first; nothing where there is no ladder."""
    try:
        rows = json.loads((path / "ladder" / "ladder.json").read_text(encoding="utf-8"))["players"]
        rated = [(_RATED.search(row["player"]), float(row["elo"]), float(row["error"])) for row in rows]
    except (OSError, ValueError, KeyError, TypeError):
        return ()
    levels = [Level(int(name[1]), int(name[2]), elo, error) for name, elo, error in rated if name]
    return tuple(sorted(levels, key=lambda level: level.elo))


def body(player: str) -> str:
    """A player's line without the checkpoint and the settings: `runs/c4` of `runs/c4@12?sims=50`."""
    return re.split(r"[@?]", player)[0]


def run_of(player: str) -> Run | None:
    """The run of a player's line, None if it names none."""
    return find_run(Path(body(player)))


def network_game(path: Path) -> str:
    """The game that the network in a file plays. Raises ValueError if it is no network."""
    from zero.errors import UserError
    from zero.network import read_about

    try:
        return read_about(path)["game"]
    except UserError as error:
        raise ValueError(str(error)) from None


def read_metrics(path: Path, offset: int = 0) -> tuple[list[dict], int]:
    """The complete lines of a growing JSON-lines file from a byte offset on, and the offset to go on from."""
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            data = file.read()
    except OSError:
        return [], offset
    end = data.rfind(b"\n") + 1
    records = []
    for line in data[:end].splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            records.append(record)
    return records, offset + end


def options(game: str, runs: list[Run], t) -> list[tuple[str, str]]:
    """(player line, text) for a drop-down list: people, the newest networks, players without one, other programs that
    this machine has, checkpoints with their measured Elo."""
    runs = [run for run in runs if run.game == game]
    found = [("human", t("human"))] + [(run.player(), t("choose.latest", name=run.name)) for run in runs]
    found += [("mcts:1000", t("choose.rollouts")), ("random", t("choose.random"))]
    if family(game) in SOLVED:
        found.append(("solver", t("choose.solver")))
    program, player = ENGINES.get(game) or ENGINES.get(family(game)) or ("", "")
    if program and find_program(program):
        found.append((player, program))
    for run in runs:
        for step in reversed(run.checkpoints):
            name, rating = f"{run.name}@{step}", run.elo.get(step)
            text = t("choose.elo", name=name, elo=rating[0], error=rating[1]) if rating else name
            found.append((run.player(step), text))
    return found

"""Who there is to play against: runs and their checkpoints, networks in files, and players that need none."""

import json
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

RUNS = Path("runs")


@dataclass(frozen=True)
class Run:
    """A run directory as the window sees it. `checkpoints`: steps in rising order; `elo`: step to (rating, error)."""

    path: Path
    game: str
    checkpoints: tuple[int, ...] = ()
    elo: dict[int, tuple[float, float]] = field(default_factory=dict)
    changed: float = 0.0  # when it last measured something (Unix time)

    @property
    def name(self) -> str:
        return self.path.name

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
    return Run(path, game, checkpoint_steps(path), ratings(path), changed)


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


def ratings(path: Path) -> dict[int, tuple[float, float]]:
    """Measured Elo per checkpoint, from the run's metrics."""
    found = {}
    for record in read_metrics(path / "metrics.jsonl")[0]:
        if isinstance(record.get("elo"), int | float):
            step = int(record.get("checkpoint", record.get("step", 0)))
            found[step] = (float(record["elo"]), float(record.get("elo_error") or 0.0))
    return found


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
    """(player line, text) for a drop-down list: people, the newest networks, players without one, checkpoints."""
    runs = [run for run in runs if run.game == game]
    found = [("human", t("human"))] + [(run.player(), t("choose.latest", name=run.name)) for run in runs]
    found += [("mcts:1000", t("choose.rollouts")), ("random", t("choose.random"))]
    for run in runs:
        for step in reversed(run.checkpoints):
            name, rating = f"{run.name}@{step}", run.elo.get(step)
            text = t("choose.elo", name=name, elo=rating[0], error=rating[1]) if rating else name
            found.append((run.player(step), text))
    return found

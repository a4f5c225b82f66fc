"""A run directory: the only durable truth of a training; all else can be rebuilt from it.

    config.toml (resolved)   run.json (version, machine)   metrics.jsonl   games/ (append-only segments)
    weights/NNNNNN.safetensors + index.jsonl (SHA-256)     checkpoints/NNNNNN/   matches/
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from nn.save import save, write_atomically
from zero import config as configuration
from zero.config import Config
from zero.errors import UserError
from zero.files import lock, rename_directory, sha256, write_json
from zero.game_log import GameLog
from zero.weights import Weights

KEEP_CHECKPOINTS = 3
LOCK = ".lock"
IDENTITY = "run.json"  # is written once, when a run begins, and tells runs of the same name apart
START = "start.safetensors"  # of a run whose network does not start from nothing: a checkpoint with the network alone
GROWS = ("network.blocks", "network.channels")  # what may become larger in a run (see zero.growth)


@dataclass(frozen=True)
class WeightsEntry:
    """One published network: its number is the iteration that made it."""

    version: int
    file: str
    sha256: str
    games: int
    steps: int


@dataclass(frozen=True)
class Checkpoint:
    """Where a run stands at the end of an iteration; random streams derive from (seed, iteration) alone."""

    iteration: int
    steps: int
    games: int
    positions: int
    seconds: float  # of training so far
    tokens: float  # samples the learner may still take


def describe() -> dict:
    """What a run remembers of where it was made: version, commit, machine."""
    import subprocess

    from zero.bench.common import machine

    source = Path(__file__).parent
    commit = subprocess.run(["git", "-C", source, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return {"started": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "commit": commit.stdout.strip() or None, **machine()}


class RunDirectory:
    """Reads and writes `root`; use `create` or `open`."""

    def __init__(self, root: Path, config: Config):
        self.root, self.config = root, config
        self.games = GameLog(root / "games")

    @classmethod
    def create(cls, root: str | Path, config: Config, about: dict, start: dict | None = None) -> "RunDirectory":
        """A new run, whose network starts with the state `start` if there is one.

        Raises `UserError` if the directory holds something already.
        """
        root = Path(root)
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            hint = f"; to go on with it: zero train --resume {root}" if (root / "config.toml").exists() else ""
            raise UserError(f"{root}: exists already, nothing is overwritten{hint}")
        try:
            for name in ("games", "weights", "checkpoints", "matches"):
                (root / name).mkdir(parents=True)
            write_json(root / IDENTITY, about)
            if start is not None:
                save(root / START, {f"network/{name}": array for name, array in start.items()})
            write_atomically(root / "config.toml", configuration.dumps(config).encode())
        except OSError as error:
            raise UserError(f"{root}: cannot make the run directory: {error.strerror or error}") from None
        return cls(root, config)

    @classmethod
    def open(cls, root: str | Path) -> "RunDirectory":
        """An existing run. Raises `UserError` if it is none."""
        root = Path(root)
        if not (root / "config.toml").is_file():
            raise UserError(f"{root}: not a run directory (no config.toml in it)")
        return cls(root, configuration.load(root / "config.toml"))

    def fingerprint(self) -> str:
        """Tells the run, with the settings that its games depend on, from all others; hexadecimal."""
        settings = configuration.dumps(replace(self.config, budget=configuration.BudgetConfig()))
        return hashlib.sha256((self.root / IDENTITY).read_bytes() + settings.encode()).hexdigest()[:16]

    def change_budget(self, limits: dict[str, float]) -> None:
        """Sets a new end of the run, on disk too."""
        table = configuration.merged(configuration.to_table(self.config), {"budget": limits})
        self.config = configuration.from_table(Config, table, "command line")
        write_atomically(self.root / "config.toml", configuration.dumps(self.config).encode())

    def grow(self, changes: dict) -> None:
        """Makes the network larger from the newest checkpoint on; `changes` as `config.parse_overrides` gives them.

        Raises `UserError` for any other change: a run keeps its settings.
        """
        other = [key for key in changes if key != "network"]
        other += [f"network.{key}" for key in changes.get("network", {}) if f"network.{key}" not in GROWS]
        if other:
            may = ", ".join(["--minutes", "--games", "--steps", *(f"--{key}" for key in GROWS)])
            raise UserError(f"{other[0]}: a resumed run keeps its settings; what may change: {may}")
        table = configuration.to_table(self.config)
        grown = configuration.from_table(Config, configuration.merged(table, changes), "command line")
        for name, size in changes["network"].items():
            if size < table["network"][name]:
                raise UserError(f"network.{name} = {size}: a network only grows, it has {table['network'][name]}")
        self.config = grown
        write_atomically(self.root / "config.toml", configuration.dumps(grown).encode())

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Held while a process trains here. Raises `UserError` if another does."""
        held = lock(self.root / LOCK)
        if held is None:
            raise UserError(f"{self.root}: another process is training in this run")
        with held:
            yield

    # metrics

    def log_metrics(self, values: dict) -> None:
        with open(self.root / "metrics.jsonl", "a") as file:
            file.write(json.dumps(values) + "\n")

    def trim_metrics(self, iteration: int) -> None:
        """Drops the lines past an iteration, which a resumed run is going to write again."""
        path = self.root / "metrics.jsonl"
        if path.exists():
            kept = [line for line in self.metrics() if line["iteration"] <= iteration]
            write_atomically(path, "".join(json.dumps(line) + "\n" for line in kept).encode())

    def metrics(self) -> list[dict]:
        """One dictionary an iteration; lines cut by a kill are left out."""
        path, found = self.root / "metrics.jsonl", []
        for line in path.read_bytes().splitlines() if path.exists() else ():
            try:
                values = json.loads(line)
                found += [values] if "iteration" in values else []
            except (ValueError, TypeError):
                continue
        return found

    # weights

    def publish(self, version: int, save: Callable[[Path], None], games: int, steps: int) -> WeightsEntry:
        """Stores network number `version`; `save` writes the file. Publishing a number again replaces it."""
        path = self.root / "weights" / f"{version:06d}.safetensors"
        save(path)
        entry = WeightsEntry(version, path.name, sha256(path), games, steps)
        entries = [e for e in self.weights() if e.version < version] + [entry]
        lines = "".join(json.dumps(vars(e)) + "\n" for e in entries)
        write_atomically(self.root / "weights" / "index.jsonl", lines.encode())
        return entry

    def weights(self) -> list[WeightsEntry]:
        try:
            lines = (self.root / "weights" / "index.jsonl").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [WeightsEntry(**json.loads(line)) for line in lines]

    def weights_path(self, version: int | None = None) -> Path:
        """The checked file of one network, the newest by default. Raises `UserError`."""
        entries = {e.version: e for e in self.weights()}
        if not entries:
            raise UserError(f"{self.root}: the run has no network yet")
        chosen = entries.get(max(entries) if version is None else version)
        if chosen is None:
            have = ", ".join(str(v) for v in list(entries)[-8:])
            raise UserError(f"{self.root}: no network number {version}; the newest are {have}")
        path = self.root / "weights" / chosen.file
        if not path.is_file():
            raise UserError(f"{path}: missing")
        if sha256(path) != chosen.sha256:
            raise UserError(f"{path}: damaged (its SHA-256 is not the one of weights/index.jsonl)")
        return path

    def read_weights(self, version: int) -> Weights:
        """One network as it is sent to workers. Raises `UserError`."""
        return Weights.read(self.weights_path(version), version)

    # checkpoints

    def save_checkpoint(self, checkpoint: Checkpoint, save: Callable[[Path], None]) -> None:
        """Stores the state of the run; `save` writes the learner's file. Older ones are thinned out."""
        parent = self.root / "checkpoints"
        temporary = parent / ".tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        save(temporary / "learner.safetensors")
        state = vars(checkpoint) | {"sha256": sha256(temporary / "learner.safetensors")}
        write_json(temporary / "state.json", state)
        rename_directory(temporary, parent / f"{checkpoint.iteration:06d}")
        self.thin_checkpoints()

    def thin_checkpoints(self) -> None:
        for old in self._checkpoints()[:-KEEP_CHECKPOINTS]:
            shutil.rmtree(old)

    def _checkpoints(self) -> list[Path]:
        return sorted(p for p in (self.root / "checkpoints").iterdir() if p.name.isdigit())

    def load_checkpoint(self, warn: Callable[[str], None]) -> tuple[Checkpoint, Path] | None:
        """The newest whole checkpoint and its learner's file; a damaged one is set aside and named to `warn`."""
        for path in reversed(self._checkpoints()):
            try:
                state = json.loads((path / "state.json").read_text())
                if sha256(path / "learner.safetensors") != state.pop("sha256"):
                    raise ValueError("its learner file is damaged")
                return Checkpoint(**state), path / "learner.safetensors"
            except (OSError, ValueError, KeyError, TypeError) as error:
                aside = path.with_name(f"damaged-{path.name}")
                shutil.rmtree(aside, ignore_errors=True)
                os.rename(path, aside)
                warn(f"{path}: cannot be used ({error}); set aside as {aside.name}, going back to the one before")
        return None

"""The replay store: a role that keeps a second copy of a run on the disk of the machine it lives on.

The copy is a run directory like the first: with the driver's machine lost, the training goes on from it. What a
method was asked to keep is on the disk, synced, when it returns; asked again, it keeps nothing twice.
"""

import hashlib
import os
import time
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from nn.save import write_atomically
from zero.config import Config
from zero.errors import UserError
from zero.files import lock, sha256
from zero.game_log import Place, scan
from zero.record import GameRecord, frame
from zero.run import IDENTITY, LOCK, START, RunDirectory

# What there is to keep beside the games, as patterns, in the order in which it is sent: a copy that ends in the middle
# can be resumed.
FILES = (
    IDENTITY, "config.toml", START, "metrics.jsonl", "games/*.games",
    "weights/[0-9]*.safetensors", "weights/index.jsonl",
    "checkpoints/[0-9]*/learner.safetensors", "checkpoints/[0-9]*/state.json",
)  # fmt: skip
WITHDRAWN = "withdrawn.games"
PATIENCE = 20.0  # seconds


def run_files(root: Path) -> list[Path]:
    """The files of a run that a store keeps, but for the games."""
    return [path for pattern in FILES for path in sorted(root.glob(pattern))]


@dataclass(frozen=True)
class Inventory:
    """What a store has: the games by number with their CRC-32, other files by name with their SHA-256. `damage`: what
    it found broken and set aside."""

    games: dict[int, int]
    files: dict[str, str]
    damage: list[str]


class ReplayStore:
    """Keeps the run `name` in `directory`, where ~ is the home of whoever runs it."""

    def __init__(self, directory: str, name: str):
        self.parent, self.name = Path(directory).expanduser(), name
        self._lock: IO | None = None
        self._found: dict[int, Place] = {}  # the games that were there when it was opened
        self._games: dict[int, int] = {}  # all, with their CRC-32

    def open(self, identity: bytes) -> Inventory:
        """Makes the copy, or takes up the one there is, with what is damaged set aside. `identity`: the run's
        run.json.

        Raises `UserError` if there is no such disk, or the place is taken.
        """
        root = self.parent / self.name
        if not self.parent.is_dir():
            raise UserError(f"{self.parent}: there is no such directory; make it where runs are to be kept")
        for part in ("games", "weights", "checkpoints", "matches"):
            (root / part).mkdir(parents=True, exist_ok=True)
        self.run = RunDirectory(root, Config())  # the settings are in the copy; nothing here needs them
        deadline = time.monotonic() + PATIENCE  # a store before this one may not have noticed yet that it is over
        while (held := lock(root / LOCK)) is None:
            if time.monotonic() > deadline:
                raise UserError(f"{root}: another process uses it")
            time.sleep(0.1)
        self._lock = held
        if not (root / IDENTITY).exists() and not self.run.games.segments():
            write_atomically(root / IDENTITY, identity)
        if not (root / IDENTITY).exists() or (root / IDENTITY).read_bytes() != identity:
            raise UserError(f"{root}: holds another run; move it away")
        damage: list[str] = []
        self.run.games.repair(damage.append)
        self._found = self.run.games.places(damage.append)
        self._games = {number: place.checksum for number, place in self._found.items()}
        files = {str(path.relative_to(root)): sha256(path) for path in run_files(root)}
        return Inventory(dict(self._games), files, damage)

    def append(self, frames: bytes) -> None:
        """Keeps games. Raises ValueError, and keeps none, if they arrive damaged, OSError if the disk refuses one."""
        payloads = [payload for _, _, payload in scan(frames)]
        if None in payloads:
            raise ValueError("games arrived damaged")
        for payload in payloads:
            record, checksum = GameRecord.from_bytes(payload), zlib.crc32(payload)
            if self._games.get(record.index) == checksum:
                continue
            if record.index in self._games:
                self.withdraw([record.index])
            self.run.games.append(record)
            self._games[record.index] = checksum
        self.run.games.sync()

    def withdraw(self, numbers: Collection[int]) -> None:
        """Games that are none of the run after all go into games/withdrawn.games."""
        self.run.games.move_aside(WITHDRAWN, numbers)
        for number in numbers:
            self._games.pop(number, None)

    def fetch(self, numbers: Collection[int]) -> bytes:
        """Frames of these games, which it had when it was opened; to be asked before anything else."""
        found = self.run.games.fetch([self._found[number] for number in numbers])
        return b"".join(frame(record.to_bytes()) for record in found)

    def put(self, name: str, data: bytes, digest: str) -> None:
        """Keeps a file of the run, in place of one of the same name; older checkpoints go as they do in the run.

        Raises ValueError if it is not what its SHA-256 says.
        """
        if hashlib.sha256(data).hexdigest() != digest:
            raise ValueError(f"{name} arrived damaged")
        path = self.run.root / name
        os.makedirs(path.parent, exist_ok=True)
        write_atomically(path, data)
        self.run.thin_checkpoints()

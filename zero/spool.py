"""The spool of a self-play worker: its finished games on the disk of its machine, until the driver has stored them.

A worker whose driver, connection or own process is killed leaves its spool behind. The next worker of the run on that
machine takes it up: games that are still wanted are handed over instead of being played again. A spool holds what was
finished since the driver's last call, so it is never large: a worker plays only when it is called.

    CACHE/zero/spool/RUN/NETWORK-NAME.games    locked by the worker that writes it, or has taken it up
"""

import os
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from platformdirs import user_cache_path

from zero.files import append_whole, lock
from zero.game_log import scan
from zero.record import GameRecord, frame

OLD = 7 * 24 * 3600.0  # seconds after which what nobody uses is deleted, whichever run left it


@dataclass(frozen=True)
class Leftovers:
    """What dead workers left on a machine: numbers of games, names of their spools, and what was found broken there
    and set aside."""

    games: list[int] = field(default_factory=list)
    spools: list[str] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)


class Spool:
    """Of the worker `name` of a run, which is told from others by `run`; without a run it keeps nothing.

    It is a safety net: where the disk refuses it, the worker plays without.
    """

    def __init__(self, run: str = "", name: str = ""):
        self.run, self.name = run, name
        self._file: IO | None = None
        self._path = Path()
        self._games: dict[int, bytes] = {}  # of dead workers, not handed over yet
        self._taken: list[tuple[Path, IO]] = []  # the files these are in

    def begin(self, network: str, distrusted: Collection[str] = ()) -> Leftovers:
        """From here on games are those of a network, named by its SHA-256; what there was of others is deleted, and
        so are the spools of the `distrusted`."""
        self._delete()
        found = Leftovers()
        if not self.run:
            return found
        directory = directory_of_spools() / self.run
        try:
            directory.mkdir(parents=True, exist_ok=True)
            sweep(directory.parent)
            for path in sorted(directory.glob("*.games")):
                made_by, _, name = path.stem.partition("-")
                self._take_up(path, name, made_by == network[:16] and name not in distrusted, found)
            self._path = directory / f"{network[:16]}-{self.name}.games"
            new = self._path.with_suffix(".new")
            self._file = lock(new, "xb")
            os.rename(new, self._path)  # nobody finds it before it is locked
        except OSError:
            self._file = None
        found.games.extend(sorted(self._games))
        return found

    def _take_up(self, path: Path, name: str, wanted: bool, found: Leftovers) -> None:
        try:
            file = lock(path, "r+b")
        except FileNotFoundError:
            return  # another worker was faster
        if file is None:
            return  # its worker lives
        if not wanted or not os.fstat(file.fileno()).st_nlink:
            path.unlink(missing_ok=True)
            file.close()
            return
        found.spools.append(name)
        self._taken.append((path, file))
        data = file.read()
        for start, end, payload in scan(data):
            try:
                record = GameRecord.from_bytes(payload) if payload is not None else None
            except ValueError:
                record = None
            if record is not None:
                self._games[record.index] = payload
            elif end < len(data):  # a torn tail is a game that was not finished
                aside = path.with_name(f"damaged-{path.stem}-{start}.bin")
                aside.write_bytes(data[start:end])
                found.damage.append(f"{path}: {end - start} damaged bytes at offset {start} set aside in {aside.name}")

    def append(self, payload: bytes) -> None:
        """Keeps a finished game; it survives the death of this process from here on."""
        if self._file is not None:
            try:
                append_whole(self._file, frame(payload))
            except OSError:
                pass  # it is handed over all the same

    def take(self, index: int) -> bytes | None:
        """A game that a dead worker left, to be handed over."""
        return self._games.pop(index, None)

    def trim(self) -> None:
        """Forgets the games that were handed over, for the driver has stored them, or shall not have them."""
        if self._file is not None:
            os.ftruncate(self._file.fileno(), 0)
            self._file.seek(0)
        if not self._games:
            self._delete_taken()

    def _delete(self) -> None:
        self._games.clear()
        self._delete_taken()
        if self._file is not None:
            self._path.unlink(missing_ok=True)
            self._file.close()
            self._file = None

    def _delete_taken(self) -> None:
        for path, file in self._taken:
            path.unlink(missing_ok=True)
            file.close()
        self._taken.clear()


def directory_of_spools() -> Path:
    return user_cache_path("zero") / "spool"


def sweep(spools: Path) -> None:
    """Deletes what no worker has used for long: the run it belonged to will not ask for it."""
    for path in [*spools.glob("*/*"), *spools.iterdir()]:
        try:
            if time.time() - path.stat().st_mtime < OLD:
                continue
            if path.is_dir():
                path.rmdir()
            elif (file := lock(path, "r+b")) is not None:
                path.unlink()
                file.close()
        except OSError:
            continue  # another worker was faster, or it is no empty directory

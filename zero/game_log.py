"""The append-only log of a run's games: the truth from which the replay window is rebuilt.

Records lie as frames in segments `games/NNNNNN.seg`; a torn tail or a damaged frame costs that frame and nothing
else. What is taken out of the segments is kept beside them: damaged bytes in `damaged-*.bin`, games that were refused
after all in `refused.games`, games that the run shall do without in `quarantined.games`. A file `*.games.pending` is
the intent to move its games there: written first, so that whoever opens the log next ends what was cut off.
"""

import os
import time
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from nn.save import write_atomically
from zero.errors import UserError
from zero.files import append_whole, sync_directory
from zero.record import FRAME, MAGIC, GameRecord, frame

SEGMENT_BYTES = 64 << 20
SYNC_GAMES = 64  # a group of games shares one fsync; a power failure may cost the last group
QUARANTINED = "quarantined.games"
REFUSED = "refused.games"
PENDING = ".pending"


class Place(NamedTuple):
    """Of a game in the log."""

    segment: int
    start: int
    end: int
    checksum: int  # CRC-32 of its record


def scan(data: bytes) -> Iterator[tuple[int, int, bytes | None]]:
    """The stretches `(start, end, payload)` of a segment; the payload is None where no whole frame is."""
    at = 0
    while at < len(data):
        payload = None
        if data[at : at + 4] == MAGIC and at + FRAME.size <= len(data):
            _, length, crc = FRAME.unpack_from(data, at)
            found = data[at + FRAME.size : at + FRAME.size + length]
            if len(found) == length and zlib.crc32(found) == crc:
                payload, end = found, at + FRAME.size + length
        if payload is None:
            following = data.find(MAGIC, at + 1)
            end = len(data) if following < 0 else following
        yield at, end, payload
        at = end


def read_segment(path: Path, warn: Callable[[str], None]) -> Iterator[GameRecord]:
    """Yields the whole records of a segment; each damaged stretch is named to `warn` and skipped.

    Raises `UserError` if a whole frame holds no record: another version wrote it.
    """
    data = path.read_bytes()
    for start, end, payload in scan(data):
        if payload is None:
            warn(f"{path}: {_kind(end, data)}, {end - start} bytes at offset {start} skipped")
            continue
        yield _record(payload, path, start)


def _record(payload: bytes, path: Path, start: int) -> GameRecord:
    try:
        return GameRecord.from_bytes(payload)
    except ValueError as error:
        raise UserError(f"{path}: offset {start}: not a game of this version of Zero ({error})") from None


def _kind(end: int, data: bytes) -> str:
    return "torn tail" if end == len(data) else "damaged frame"


class GameLog:
    """The games of a run. One writer; a reopened log starts a new segment."""

    def __init__(self, directory: Path):
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._file = None
        self._unsynced = 0
        self.slowest_sync = 0.0  # seconds, since somebody set it to 0

    def segments(self) -> list[Path]:
        return sorted(self.directory.glob("*.seg"))

    def read(self, warn: Callable[[str], None]) -> Iterator[GameRecord]:
        for path in self.segments():
            yield from read_segment(path, warn)

    def places(self, warn: Callable[[str], None]) -> dict[int, Place]:
        """Where each game lies, by number; of two with the same number the later one. Damage is named to `warn`."""
        found = {}
        for number, path in enumerate(self.segments()):
            data = path.read_bytes()
            for start, end, payload in scan(data):
                if payload is None:
                    warn(f"{path}: {_kind(end, data)}, {end - start} bytes at offset {start} skipped")
                else:
                    found[_record(payload, path, start).index] = Place(number, start, end, zlib.crc32(payload))
        return found

    def fetch(self, places: Iterable[Place]) -> Iterator[GameRecord]:
        """The games at these places, which `places` told and nothing has moved since; memory holds one at a time."""
        paths, opened, file = self.segments(), -1, None
        for number, start, end, _ in places:
            if number != opened:
                if file:
                    file.close()
                file, opened = open(paths[number], "rb"), number
            file.seek(start + FRAME.size)
            yield GameRecord.from_bytes(file.read(end - start - FRAME.size))
        if file:
            file.close()

    def append(self, record: GameRecord) -> None:
        """Writes one game. It survives the death of the process from here on, a power failure from `sync` on.

        Raises OSError if the disk refuses it; nothing of the game is left in the log then.
        """
        if self._file is None or self._file.tell() >= SEGMENT_BYTES:
            self._open_next()
        append_whole(self._file, frame(record.to_bytes()))
        self._unsynced += 1
        if self._unsynced >= SYNC_GAMES:
            self.sync()

    def sync(self) -> None:
        if self._file is not None and self._unsynced:
            began = time.perf_counter()
            os.fsync(self._file.fileno())
            self.slowest_sync = max(self.slowest_sync, time.perf_counter() - began)
        self._unsynced = 0

    def close(self) -> None:
        """Also after a failed write: closing raises nothing."""
        if self._file is not None:
            try:
                self.sync()
            except OSError:
                pass  # the caller is leaving because of the same disk, or the next start finds what is missing
            self._file.close()
            self._file = None

    def _open_next(self) -> None:
        self.close()
        last = max((int(path.stem) for path in self.segments()), default=0)
        self._file = open(self.directory / f"{last + 1:06d}.seg", "xb", buffering=0)
        sync_directory(self.directory)  # a power failure must not take the file with all its synced games

    # what does not belong in the log

    def damaged(self) -> int:
        """How many damaged stretches were found since the run began."""
        return sum(1 for _ in self.directory.glob("damaged-*.bin"))

    def repair(self, warn: Callable[[str], None]) -> None:
        """Cuts damaged stretches out of the segments and keeps a copy of each; every one is named to `warn`.

        Ends a `move_aside` or a `put_back` that was cut off, too.
        """
        self.close()
        for path in self.segments():
            data = path.read_bytes()
            stretches = list(scan(data))
            bad = [(start, end) for start, end, payload in stretches if payload is None]
            for start, end in bad:
                aside = self.directory / f"damaged-{path.stem}-{start}.bin"
                write_atomically(aside, data[start:end])
                warn(f"{path}: {_kind(end, data)}, {end - start} bytes at offset {start} set aside in {aside.name}")
            if bad:
                _rewrite(path, [data[start:end] for start, end, payload in stretches if payload is not None])
        for pending in sorted(self.directory.glob(f"*.games{PENDING}")):
            self._end_move(pending)
        self._take_out(self.quarantined())

    def move_aside(self, name: str, indices: Collection[int]) -> None:
        """Moves the games with these numbers from the segments to `refused.games` or another such file.

        Whenever it is cut off, they are in one place or the other, and the next `repair` ends it.
        """
        self.close()
        records = [record for record in self.read(lambda text: None) if record.index in indices]
        if records:
            pending = self.directory / f"{name}{PENDING}"
            write_atomically(pending, _frames(records))
            self._end_move(pending)

    def put_back(self, name: str, indices: Collection[int]) -> None:
        """Moves games from such a file to the segments. What is cut off before the end was not done: see `repair`."""
        known = self.aside(name)
        for record in known:
            if record.index in indices:
                self.append(record)
        self.close()
        self._set_aside(name, [record for record in known if record.index not in indices])

    def aside(self, name: str) -> list[GameRecord]:
        """The games of `refused.games`, `quarantined.games` or another such file."""
        path = self.directory / name
        return list(read_segment(path, lambda text: None)) if path.exists() else []

    def quarantined(self) -> set[int]:
        """Numbers of the games that the run does without."""
        return {record.index for record in self.aside(QUARANTINED)}

    def _end_move(self, pending: Path) -> None:
        records, name = list(read_segment(pending, lambda text: None)), pending.name.removesuffix(PENDING)
        self._set_aside(name, list({record.to_bytes(): record for record in [*self.aside(name), *records]}.values()))
        self._take_out({record.index for record in records})
        pending.unlink()
        sync_directory(self.directory)  # the games may be played again: the old intent must not meet the new ones

    def _set_aside(self, name: str, records: list[GameRecord]) -> None:
        write_atomically(self.directory / name, _frames(records))

    def _take_out(self, indices: Collection[int]) -> None:
        for path in self.segments() if indices else ():
            records = list(read_segment(path, lambda text: None))
            kept = [record for record in records if record.index not in indices]
            if len(kept) < len(records):
                _rewrite(path, [frame(record.to_bytes()) for record in kept])


def _frames(records: Iterable[GameRecord]) -> bytes:
    return b"".join(frame(record.to_bytes()) for record in records)


def _rewrite(path: Path, frames: list[bytes]) -> None:
    """An empty segment goes: its number may be given again."""
    if frames:
        write_atomically(path, b"".join(frames))
    else:
        path.unlink()

"""Game records: what self-play leaves behind, and the append-only log that holds them.

A record is a game's moves with the search's results; planes are recomputed from the moves. Records lie in
segments `games/NNNNNN.seg` as frames `magic, length, CRC-32, payload`, so that a torn tail or a damaged frame
costs that frame and nothing else. All numbers are little-endian.
"""

import os
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

MAGIC = b"ZGR1"
FRAME = struct.Struct("<4sII")  # magic, payload bytes, CRC-32 of the payload
HEADER = struct.Struct("<QQIHb")  # index, seed, weights version, plies, result
SEGMENT_BYTES = 64 << 20
SYNC_GAMES = 64  # a group of games shares one fsync; a power failure may cost the last group


@dataclass(frozen=True)
class GameRecord:
    """One finished game of `p` plies.

    index: number of the game in its run; seed: of its random choices; version: of the network's weights.
    result: +1 the first player won, -1 lost, 0 draw.
    moves `[p]` uint16; values `[p]` float16, the search's value for the player to move (NaN: not searched).
    policies: counts `[p]` uint16 non-zero entries of each ply's target (0: no target for this ply), their
    actions `[sum]` uint16 and probs `[sum]` float16.
    """

    index: int
    seed: int
    version: int
    result: int
    moves: np.ndarray
    values: np.ndarray
    counts: np.ndarray
    actions: np.ndarray
    probs: np.ndarray

    def to_bytes(self) -> bytes:
        head = HEADER.pack(self.index, self.seed, self.version, len(self.moves), self.result)
        parts = (
            self.moves.astype("<u2"),
            self.values.astype("<f2"),
            self.counts.astype("<u2"),
            self.actions.astype("<u2"),
            self.probs.astype("<f2"),
        )
        return head + b"".join(part.tobytes() for part in parts)

    @classmethod
    def from_bytes(cls, payload: bytes) -> "GameRecord":
        """Raises `ValueError` if the payload is not a whole record."""
        if len(payload) < HEADER.size:
            raise ValueError("record shorter than its header")
        index, seed, version, plies, result = HEADER.unpack_from(payload)
        at = HEADER.size

        def take(dtype: str, count: int) -> np.ndarray:
            nonlocal at
            part = np.frombuffer(payload, dtype, count, at)  # raises ValueError past the end
            at += part.nbytes
            return part

        moves, values, counts = take("<u2", plies), take("<f2", plies), take("<u2", plies)
        entries = int(counts.sum(dtype=np.int64))
        actions, probs = take("<u2", entries), take("<f2", entries)
        if at != len(payload):
            raise ValueError(f"record of {len(payload)} bytes should have {at}")
        return cls(index, seed, version, result, moves, values, counts, actions, probs)


def frame(payload: bytes) -> bytes:
    return FRAME.pack(MAGIC, len(payload), zlib.crc32(payload)) + payload


def read_segment(path: Path, warn: Callable[[str], None]) -> Iterator[GameRecord]:
    """Yields the whole records of a segment; each damaged stretch is named to `warn` and skipped."""
    data = path.read_bytes()
    at = 0
    while at < len(data):
        record, size = None, 0
        if data[at : at + 4] == MAGIC and at + FRAME.size <= len(data):
            _, length, crc = FRAME.unpack_from(data, at)
            payload = data[at + FRAME.size : at + FRAME.size + length]
            if len(payload) == length and zlib.crc32(payload) == crc:
                record, size = GameRecord.from_bytes(payload), FRAME.size + length
        if record is not None:
            yield record
            at += size
            continue
        following = data.find(MAGIC, at + 1)
        end = len(data) if following < 0 else following
        kind = "torn tail" if following < 0 else "damaged frame"
        warn(f"{path}: {kind}, {end - at} bytes at offset {at} skipped")
        at = end


class GameLog:
    """The append-only log of a run's games. One writer; a reopened log starts a new segment."""

    def __init__(self, directory: Path):
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._file = None
        self._unsynced = 0

    def segments(self) -> list[Path]:
        return sorted(self.directory.glob("*.seg"))

    def read(self, warn: Callable[[str], None]) -> Iterator[GameRecord]:
        for path in self.segments():
            yield from read_segment(path, warn)

    def append(self, record: GameRecord) -> None:
        """Writes one game. It survives the death of the process from here on, a power failure from `sync` on."""
        if self._file is None or self._file.tell() >= SEGMENT_BYTES:
            self._open_next()
        self._file.write(frame(record.to_bytes()))
        self._unsynced += 1
        if self._unsynced >= SYNC_GAMES:
            self.sync()

    def sync(self) -> None:
        if self._file is not None and self._unsynced:
            os.fsync(self._file.fileno())
        self._unsynced = 0

    def close(self) -> None:
        if self._file is not None:
            self.sync()
            self._file.close()
            self._file = None

    def _open_next(self) -> None:
        self.close()
        last = max((int(path.stem) for path in self.segments()), default=0)
        self._file = open(self.directory / f"{last + 1:06d}.seg", "xb", buffering=0)

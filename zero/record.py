"""Game records: what self-play leaves behind.

A record is a game's moves with the search's results; planes are recomputed from the moves. On disk and on the way it
is a frame `magic, length, CRC-32, payload`, so that damage is noticed. All numbers are little-endian.
"""

import struct
import zlib
from dataclasses import dataclass

import numpy as np

MAGIC = b"ZGR2"
FRAME = struct.Struct("<4sII")  # magic, payload bytes, CRC-32 of the payload
HEADER = struct.Struct("<QQIHHb")  # index, seed, weights version, plies, proven, result


@dataclass(frozen=True)
class GameRecord:
    """One finished game of `p` plies.

    index: number of the game in its run; seed: of its random choices; version: of the network's weights.
    result: +1 the first player won, -1 lost, 0 draw. proven: from this ply on, values are proven (`p`: none is).
    moves `[p]` uint16; values `[p]` float16, the search's value for the player to move (NaN: not searched).
    policies: counts `[p]` uint16 non-zero entries of each ply's target (0: no target for this ply), their
    actions `[sum]` uint16 and probs `[sum]` float16.
    surprises `[p]` float16: the divergence KL(target || network's prior) in nats, 0 for a ply without a target.
    """

    index: int
    seed: int
    version: int
    proven: int
    result: int
    moves: np.ndarray
    values: np.ndarray
    counts: np.ndarray
    actions: np.ndarray
    probs: np.ndarray
    surprises: np.ndarray

    def to_bytes(self) -> bytes:
        head = HEADER.pack(self.index, self.seed, self.version, len(self.moves), self.proven, self.result)
        parts = (
            self.moves.astype("<u2"),
            self.values.astype("<f2"),
            self.counts.astype("<u2"),
            self.actions.astype("<u2"),
            self.probs.astype("<f2"),
            self.surprises.astype("<f2"),
        )
        return head + b"".join(part.tobytes() for part in parts)

    @classmethod
    def from_bytes(cls, payload: bytes) -> "GameRecord":
        """Raises `ValueError` if the payload is not a whole record."""
        if len(payload) < HEADER.size:
            raise ValueError("record shorter than its header")
        index, seed, version, plies, proven, result = HEADER.unpack_from(payload)
        at = HEADER.size

        def take(dtype: str, count: int) -> np.ndarray:
            nonlocal at
            part = np.frombuffer(payload, dtype, count, at)  # raises ValueError past the end
            at += part.nbytes
            return part

        moves, values, counts = take("<u2", plies), take("<f2", plies), take("<u2", plies)
        entries = int(counts.sum(dtype=np.int64))
        actions, probs = take("<u2", entries), take("<f2", entries)
        surprises = take("<f2", plies)
        if proven > plies:
            raise ValueError(f"record of {plies} plies, proven from ply {proven} on")
        if at != len(payload):
            raise ValueError(f"record of {len(payload)} bytes should have {at}")
        return cls(index, seed, version, proven, result, moves, values, counts, actions, probs, surprises)


def frame(payload: bytes) -> bytes:
    return FRAME.pack(MAGIC, len(payload), zlib.crc32(payload)) + payload


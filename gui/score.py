"""Area score of a Go position: stones plus the empty regions that touch one colour only (Tromp-Taylor rules)."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Score:
    """`owner` int8 [rows, cols]: 1 Black's, 2 White's, 0 nobody's; `lead`: Black's points minus White's, with komi."""

    owner: np.ndarray
    black: int
    white: float
    lead: float


def go_score(stones: np.ndarray, komi: float) -> Score:
    """`stones` int8 [rows, cols], 0 empty, 1 Black, 2 White. Every stone on the board counts as alive."""
    owner = stones.astype(np.int8)
    seen = stones != 0
    for start in zip(*np.nonzero(stones == 0), strict=True):
        if seen[start]:
            continue
        region, touched = _region(stones, start)
        for point in region:
            seen[point] = True
            owner[point] = min(touched) if len(touched) == 1 else 0
    black, white = int((owner == 1).sum()), int((owner == 2).sum()) + komi
    return Score(owner, black, white, black - white)


def _region(stones: np.ndarray, start) -> tuple[list, set[int]]:
    """The connected empty points around `start` and the colours they touch."""
    region, touched, known = [start], set(), {start}
    for row, col in region:
        for point in ((row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)):
            if not (0 <= point[0] < stones.shape[0] and 0 <= point[1] < stones.shape[1]) or point in known:
                continue
            if stones[point]:
                touched.add(int(stones[point]))
            else:
                known.add(point)
                region.append(point)
    return region, touched

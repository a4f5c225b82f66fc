"""The sequential probability ratio test of a match: stop as soon as the games have decided.

Results are counted by score: `[L, D, W]` for single games (trinomial) or, for pairs of games that share an opening
with colours swapped, by the pair's points 0, 1/2, 1, 3/2, 2 (pentanomial). The generalised log-likelihood ratio
compares the most likely distributions under H0 and H1 (Van den Bergh, "A practical introduction to the GSPRT";
the numbers agree with fastchess and fishtest).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

Counts = Sequence[float]
NELO_PER_T = 800 / math.log(10)  # normalised Elo per standard deviation of a game's score
_EMPTY_CELL = 1e-3  # an unseen result stays possible


def score_values(counts: Counts) -> NDArray[np.float64]:
    """The score in [0, 1] of each cell: 3 cells for games, 5 for pairs."""
    if len(counts) not in (3, 5):
        raise ValueError(f"counts need 3 cells (games) or 5 (pairs), not {len(counts)}")
    return np.linspace(0, 1, len(counts))


def elo_to_score(elo: float) -> float:
    return 1 / (1 + 10 ** (-elo / 400))


def score_to_elo(score: float) -> float:
    """Logistic Elo; minus or plus infinity at 0 and 1."""
    if score <= 0 or score >= 1:
        return math.copysign(math.inf, score - 0.5)
    return -400 * math.log10(1 / score - 1)


def _tilt(p: NDArray, phi: NDArray) -> NDArray:
    """The maximum-likelihood distribution near p with mean of `phi` zero: p / (1 + theta phi)."""
    low, high = phi.min(), phi.max()
    if low >= 0 or high <= 0:
        raise ValueError("the constraint lies outside of the possible scores")
    edge = 1e-9 * (1 / high - 1 / low)
    theta = brentq(lambda t: float(np.sum(p * phi / (1 + t * phi))), -1 / high + edge, -1 / low - edge, xtol=1e-14)
    return p / (1 + theta * phi)


def _with_mean(p: NDArray, a: NDArray, mean: float) -> NDArray:
    return _tilt(p, a - mean)


def _with_normalised_mean(p: NDArray, a: NDArray, t: float) -> NDArray:
    """Constrained to (mean - 1/2) / sigma = t, by iterating the linearised constraint."""
    q = np.full_like(p, 1 / len(p))
    for _ in range(25):
        mean = q @ a
        sigma = math.sqrt(q @ (a - mean) ** 2)
        last, q = q, _tilt(p, a - 0.5 - 0.5 * t * sigma * (1 + ((a - mean) / sigma) ** 2))
        if np.abs(q - last).max() < 1e-9:
            break
    return q


@dataclass(frozen=True)
class Sprt:
    """H0: the strength difference is `elo0`; H1: it is `elo1`; error probabilities `alpha` and `beta`.

    `model` is "logistic" (Elo of the score) or "normalized" (nElo: the mean over its standard deviation, which
    makes the expected length independent of draws and openings).
    """

    elo0: float = 0.0
    elo1: float = 35.0
    alpha: float = 0.05
    beta: float = 0.05
    model: str = "logistic"

    def __post_init__(self):
        if not self.elo0 < self.elo1:
            raise ValueError(f"SPRT needs elo0 < elo1, not {self.elo0:g}, {self.elo1:g}")
        if self.model not in ("logistic", "normalized"):
            raise ValueError(f"SPRT model '{self.model}': logistic or normalized")

    @property
    def bounds(self) -> tuple[float, float]:
        """Accept H0 at or below the first, H1 at or above the second (Wald)."""
        return math.log(self.beta / (1 - self.alpha)), math.log((1 - self.beta) / self.alpha)

    def llr(self, counts: Counts) -> float:
        """Log-likelihood ratio of H1 to H0, 0 while there are no results."""
        a = score_values(counts)
        cells = np.asarray(counts, dtype=np.float64)
        if cells.sum() == 0:
            return 0.0
        cells = np.where(cells == 0, _EMPTY_CELL, cells)
        p = cells / cells.sum()
        if self.model == "logistic":
            h0, h1 = (_with_mean(p, a, elo_to_score(elo)) for elo in (self.elo0, self.elo1))
        else:
            scale = (math.sqrt(2) if len(a) == 5 else 1) / NELO_PER_T
            h0, h1 = (_with_normalised_mean(p, a, elo * scale) for elo in (self.elo0, self.elo1))
        return float(cells.sum() * (p @ np.log(h1 / h0)))

    def decision(self, counts: Counts) -> str | None:
        """ "H0", "H1", or None: play on."""
        llr = self.llr(counts)
        lower, upper = self.bounds
        return "H0" if llr <= lower else "H1" if llr >= upper else None

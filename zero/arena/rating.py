"""Strength from results: Elo of one match with its error, and Bradley-Terry ratings of many players.

Everything here counts results, nothing plays. Elo differences are logistic: 400 points are ten to one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from zero.arena.sprt import NELO_PER_T, Counts, score_to_elo, score_values

Z95 = float(stats.norm.ppf(0.975))
ELO_PER_NAT = 400 / math.log(10)


@dataclass(frozen=True)
class Estimate:
    """What a match says about the difference between two players.

    `score` in [0, 1]; `elo` with its 95 % interval `low`..`high` (an infinite end: all points went one way, the
    other end is the one-sided 95 % bound); `nelo` normalised Elo with half-width `nelo_error`; `los` the
    likelihood of superiority, P(the first is the stronger).
    """

    games: int
    score: float
    elo: float
    low: float
    high: float
    nelo: float
    nelo_error: float
    los: float

    def __str__(self) -> str:
        if math.isinf(self.high) and math.isinf(self.low):
            return "no games"
        if math.isinf(self.high):
            return f"more than {self.low:+.0f} Elo (95 %)"
        if math.isinf(self.low):
            return f"less than {self.high:+.0f} Elo (95 %)"
        return f"{self.elo:+.0f} Elo (95 %: {self.low:+.0f} to {self.high:+.0f})"


def estimate(counts: Counts) -> Estimate:
    """Elo of a match from `[L, D, W]` or from the five counts of its pairs, seen by the first player.

    The interval is Student's with the score's own variance, mapped to Elo endpoint by endpoint; where that fails
    (all results equal, or an end beyond 0 or 1) the end is the exact binomial bound (Clopper and Pearson) of the
    points. So is the likelihood of superiority Student's; where all results are equal, that of a Beta posterior.
    """
    a = score_values(counts)
    cells = np.asarray(counts, dtype=np.float64)
    n = cells.sum()
    games = int(round(n * (2 if len(a) == 5 else 1)))
    if n == 0:
        return Estimate(0, 0.5, 0.0, -math.inf, math.inf, 0.0, math.inf, 0.5)
    mean = float(cells @ a / n)
    variance = float(cells @ (a - mean) ** 2 / n)
    low, high = _score_interval(mean, variance, n, games)
    wins = mean * games
    if n < 2 or variance == 0:
        los = float(stats.beta.sf(0.5, wins + 0.5, games - wins + 0.5))
    else:
        los = float(stats.t.cdf((mean - 0.5) / math.sqrt(variance / (n - 1)), n - 1))
    sigma = math.sqrt(variance * games / n)  # of one game
    nelo = (mean - 0.5) / sigma * NELO_PER_T if sigma else 0.0 if mean == 0.5 else math.copysign(math.inf, mean - 0.5)
    return Estimate(games, mean, score_to_elo(mean), score_to_elo(low), score_to_elo(high), nelo,
                    Z95 * NELO_PER_T / math.sqrt(games), los)


def _score_interval(mean: float, variance: float, n: float, games: int) -> tuple[float, float]:
    points = mean * games
    if mean in (0.0, 1.0):  # one-sided: the other end is certain
        bound = 0.05 ** (1 / games)
        return (bound, 1.0) if mean == 1 else (0.0, 1 - bound)
    exact = (float(stats.beta.ppf(0.025, points, games - points + 1)),
             float(stats.beta.ppf(0.975, points + 1, games - points)))
    if variance == 0 or n < 2:
        return exact
    half = float(stats.t.ppf(0.975, n - 1)) * math.sqrt(variance / (n - 1))
    low, high = mean - half, mean + half
    return low if low > 0 else exact[0], high if high < 1 else exact[1]


@dataclass(frozen=True)
class Ratings:
    """A Bradley-Terry fit: Elo per player, its covariance, the first player's advantage and the draw rate.

    `elo[i]` belongs to `players[i]`; `covariance` [n, n] in Elo^2 is relative to the anchors (their rows are zero)
    or, without anchors, to the mean of all; `advantage` Elo of moving first; `draw` the Davidson parameter nu.
    """

    players: tuple[str, ...]
    elo: NDArray[np.float64]
    covariance: NDArray[np.float64]
    advantage: float
    draw: float
    games: NDArray[np.int64]

    def __getitem__(self, player: str) -> float:
        return float(self.elo[self.players.index(player)])

    def error(self, player: str, other: str | None = None) -> float:
        """Half-width of the 95 % interval of a rating, or of the difference of two."""
        i = self.players.index(player)
        c = self.covariance
        variance = c[i, i]
        if other is not None:
            j = self.players.index(other)
            variance = c[i, i] + c[j, j] - 2 * c[i, j]
        return Z95 * math.sqrt(max(0.0, variance))

    def superiority(self, player: str, other: str) -> float:
        """P(player is stronger than other)."""
        sigma = self.error(player, other) / Z95
        difference = self[player] - self[other]
        return float(stats.norm.cdf(difference / sigma)) if sigma else float(np.heaviside(difference, 0.5))


Pairing = tuple[str, str]  # who moves first, who second
_PRIOR_LOG_NU, _PRIOR_LOG_NU_SIGMA = math.log(0.1), 3.0
# d(logits of win, draw, loss) / d(strength difference, log nu): a softmax that is linear in both.
_LOGITS = np.array([[0.5, 0.0], [0.0, 1.0], [-0.5, 0.0]])


class _Posterior:
    """Minus the log posterior of a Davidson model over x = (theta of all players in nats, gamma, log nu)."""

    def __init__(self, first: NDArray, second: NDArray, counts: NDArray, players: int, centre: float, draws: float):
        rows = np.arange(len(first))
        self.design = np.zeros((len(first), 2, players + 2))  # from x to (difference, log nu) of every pairing
        np.add.at(self.design, (rows, 0, first), 1)
        np.add.at(self.design, (rows, 0, second), -1)
        self.design[:, 0, players] = 1
        self.design[:, 1, players + 1] = 1
        self.counts = counts
        # Virtual drawn games: of every player against strength `centre`, and one for gamma.
        self.virtual = np.r_[np.full(players, draws), 1.0, 0.0]
        self.centre = np.r_[np.full(players, centre), 0.0, 0.0]

    def _log_p(self, x: NDArray) -> NDArray:
        logits = self.design @ x @ _LOGITS.T
        return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)

    def value_and_gradient(self, x: NDArray) -> tuple[float, NDArray]:
        log_p = self._log_p(x)
        away = x - self.centre
        nu_away = (x[-1] - _PRIOR_LOG_NU) / _PRIOR_LOG_NU_SIGMA
        value = -np.sum(self.counts * log_p) + 0.5 * nu_away**2
        value += np.sum(self.virtual * (np.logaddexp(0, away) - away / 2))
        residual = (self.counts.sum(axis=1, keepdims=True) * np.exp(log_p) - self.counts) @ _LOGITS
        gradient = np.einsum("ki,kij->j", residual, self.design) + self.virtual * np.tanh(away / 2) / 2
        gradient[-1] += nu_away / _PRIOR_LOG_NU_SIGMA
        return float(value), gradient

    def hessian(self, x: NDArray) -> NDArray:
        p = np.exp(self._log_p(x))
        mean = p @ _LOGITS
        curve = np.einsum("kc,ci,cj->kij", p, _LOGITS, _LOGITS) - np.einsum("ki,kj->kij", mean, mean)
        curve *= self.counts.sum(axis=1)[:, None, None]
        hessian = np.einsum("kia,kij,kjb->ab", self.design, curve, self.design)
        hessian[np.diag_indices_from(hessian)] += self.virtual / (4 * np.cosh((x - self.centre) / 2) ** 2)
        hessian[-1, -1] += _PRIOR_LOG_NU_SIGMA**-2
        return hessian


def fit_ratings(
    results: Mapping[Pairing, Sequence[float]],
    anchors: Mapping[str, float] | None = None,
    prior_draws: float = 1.0,
) -> Ratings:
    """Bradley-Terry ratings by maximum likelihood, with draws after Davidson (1970).

    `results[first, second] = (wins of the first, draws, losses)`. With strengths theta in nats and gamma for
    moving first: P(win) : P(draw) : P(loss) = e^(d/2) : nu : e^(-d/2), d = theta_first + gamma - theta_second.
    A weak prior keeps 20-0 finite: each player drew `prior_draws` games with a player of the anchors' mean, one
    game for gamma, a wide normal for log nu. `anchors` fix ratings; without any, the mean is 0.

    Raises ValueError when there are no results.
    """
    anchors = dict(anchors or {})
    players = tuple(dict.fromkeys(name for pairing in results for name in pairing))
    if not players:
        raise ValueError("no results to rate")
    n = len(players)
    index = {name: i for i, name in enumerate(players)}
    first, second = (np.array([index[pairing[side]] for pairing in results]) for side in (0, 1))
    counts = np.array([list(wdl) for wdl in results.values()], dtype=np.float64)

    fixed = np.array([name in anchors for name in players])
    x = np.r_[[anchors.get(name, 0.0) / ELO_PER_NAT for name in players], 0.0, _PRIOR_LOG_NU]
    centre = float(x[:n][fixed].mean()) if fixed.any() else 0.0
    x[:n][~fixed] = centre
    free = np.r_[np.flatnonzero(~fixed), n, n + 1]
    posterior = _Posterior(first, second, counts, n, centre, prior_draws)

    def whole(part: NDArray) -> NDArray:
        full = x.copy()
        full[free] = part
        return full

    def value_and_gradient(part: NDArray) -> tuple[float, NDArray]:
        value, gradient = posterior.value_and_gradient(whole(part))
        return value, gradient[free]

    fit = optimize.minimize(value_and_gradient, x[free], jac=True, method="trust-exact", options={"gtol": 1e-8},
                            hess=lambda part: posterior.hessian(whole(part))[np.ix_(free, free)])
    x = whole(fit.x)
    covariance = np.zeros((n + 2, n + 2))
    covariance[np.ix_(free, free)] = np.linalg.inv(posterior.hessian(x)[np.ix_(free, free)])
    theta, covariance = x[:n], covariance[:n, :n]
    if not fixed.any():
        centring = np.eye(n) - 1 / n
        theta, covariance = centring @ theta, centring @ covariance @ centring.T
    games = np.bincount(first, counts.sum(axis=1), n) + np.bincount(second, counts.sum(axis=1), n)
    return Ratings(players, theta * ELO_PER_NAT, covariance * ELO_PER_NAT**2, float(x[n] * ELO_PER_NAT),
                   math.exp(x[n + 1]), games.astype(np.int64))

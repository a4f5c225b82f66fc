"""Strength against training work, measured on finished runs.

A curve is a small JSON file: a run's settings and, for some of its networks, what they had cost and how they did
against fixed opponents. `benchmarks/strength_curve.py` makes it; the curves in `zero/curves` come along, and
`zero.planner` predicts other runs from them.
"""

import json
import math
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from zero.arena.ladder import Effort
from zero.arena.rating import ELO_PER_NAT, Estimate, Ratings, estimate, fit_ratings
from zero.config import Config, to_table
from zero.errors import UserError
from zero.files import write_json
from zero.games import make_game

CURVES = Path(__file__).parent / "curves"
OF_NO_ACCOUNT = ("seed", "budget", "match")  # settings that do not tell how fast a run learns


@dataclass
class Tally:
    """Games of a network with one opponent: `first` are wins, draws and losses of the network where it moved first,
    `second` where it moved second, `pairs` how often it made 0, 1/2, 1, 3/2 and 2 points in a pair of games."""

    first: list[int] = field(default_factory=lambda: [0] * 3)
    second: list[int] = field(default_factory=lambda: [0] * 3)
    pairs: list[int] = field(default_factory=lambda: [0] * 5)

    @property
    def games(self) -> int:
        return sum(self.first) + sum(self.second)

    @property
    def estimate(self) -> Estimate:
        return estimate(self.pairs)

    @property
    def interval(self) -> tuple[float, float]:
        """Of the score, in [0, 1], with 95 % confidence."""
        fit = self.estimate
        return expected_score(fit.low), expected_score(fit.high)


def expected_score(elo: float) -> float:
    """Points a game of a player so much stronger."""
    return 1.0 if elo == math.inf else 1 / (1 + math.exp(-elo / ELO_PER_NAT)) if elo > -math.inf else 0.0


@dataclass
class Point:
    """A network of the run. `kept`: simulations a move -> of how many solved positions, and in how many of them its
    move keeps the value."""

    version: int
    effort: Effort
    matches: dict[str, Tally] = field(default_factory=dict)
    kept: dict[str, tuple[int, int]] = field(default_factory=dict)


@dataclass
class Curve:
    """How strong the networks of a run are, with `sims` simulations a move; `config` is the run's, as a table,
    `machine` where it was trained."""

    game: str
    sims: int
    config: dict
    machine: dict
    date: str
    command: str
    points: list[Point] = field(default_factory=list)

    def write(self, path: Path) -> None:
        table = asdict(self)
        for point, line in zip(self.points, table["points"], strict=True):
            for opponent, tally in point.matches.items():
                low, high = tally.interval
                score = {"score": tally.estimate.score, "low": low, "high": high}
                line["matches"][opponent] |= {name: round(value, 4) for name, value in score.items()}
        write_json(path, table)

    @classmethod
    def read(cls, path: Path) -> "Curve":
        """Raises `UserError` if the file is no curve."""
        try:
            table = json.loads(path.read_text())
            points = [
                Point(line["version"], Effort(**line["effort"]),
                      {name: Tally(*(tally[key] for key in ("first", "second", "pairs")))
                       for name, tally in line["matches"].items()},
                      {sims: tuple(counts) for sims, counts in line["kept"].items()})
                for line in table.pop("points")
            ]
            return cls(**table, points=points)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path}: not a strength curve ({error!r})") from None

    @property
    def opponents(self) -> list[str]:
        return list(dict.fromkeys(name for point in self.points for name in point.matches))

    @cached_property
    def ratings(self) -> Ratings | None:
        """Networks (by number) and opponents on one scale; None without games."""
        results: dict[tuple[str, str], list[float]] = {}
        for point in self.points:
            for opponent, tally in point.matches.items():
                results[str(point.version), opponent] = tally.first
                results[opponent, str(point.version)] = tally.second[::-1]
        return fit_ratings(results) if any(map(sum, results.values())) else None

    def calls_needed(self, draws: int, rng: np.random.Generator) -> dict[str, NDArray[np.float64]]:
        """opponent -> network calls `[draws]` after which the networks are as strong, weakest opponent first.

        Each draw is a set of ratings that the games allow (normal, with the fit's covariance), where networks are made
        not to get weaker in time (isotonic regression) and interpolated in asinh(calls), that is linearly up to the
        first trained network and logarithmically from there. Infinite: no network of the run is as strong.
        """
        fit = self.ratings
        met = sorted((point for point in self.points if point.matches), key=lambda point: point.version)
        if fit is None:
            return {}
        elo = rng.multivariate_normal(fit.elo, fit.covariance, draws, method="eigh")
        networks = elo[:, [fit.players.index(str(point.version)) for point in met]]
        networks = np.array([isotonic_regression(line).x for line in networks])
        calls = np.array([point.effort.network_calls for point in met])
        unit = min(calls[calls > 0], default=1.0)
        place = np.arcsinh(calls / unit)
        needed = {}
        for opponent in sorted(self.opponents, key=lambda name: fit[name]):
            wanted = elo[:, fit.players.index(opponent)]
            reached = networks >= wanted[:, None]
            after = reached.argmax(axis=1)
            before = np.maximum(after - 1, 0)
            low, high = (networks[np.arange(draws), at] for at in (before, after))
            with np.errstate(invalid="ignore", divide="ignore"):
                share = np.where(after > 0, (wanted - low) / (high - low), 1.0)
            there = np.sinh(place[before] + share * (place[after] - place[before])) * unit
            needed[opponent] = np.where(reached.any(axis=1), there, np.inf)
        return needed

    def samples_after(self, calls: NDArray[np.float64]) -> NDArray[np.float64]:
        """Samples that the learner had seen after so many network calls."""
        efforts = sorted((point.effort for point in self.points), key=lambda effort: effort.network_calls)
        known = np.array([[effort.network_calls, effort.samples] for effort in efforts])
        return np.where(np.isfinite(calls), np.interp(calls, *known.T), np.inf)


def settings(table: dict) -> dict[str, Any]:
    """Every setting of a config by its dotted name, those with their default values too."""
    return _flat(to_table(Config())) | _flat(table)


def _flat(table: dict, prefix: str = "") -> dict[str, Any]:
    flat = {}
    for key, value in table.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def differences(config: Config, curve: Curve) -> dict[str, tuple]:
    """Dotted name of each setting that `curve`'s run had otherwise -> (there, here)."""
    there, here = settings(curve.config), settings(to_table(config))
    return {name: (there.get(name), here.get(name)) for name in sorted(there | here)
            if there.get(name) != here.get(name) and name.partition(".")[0] not in OF_NO_ACCOUNT}


def nearest_curves(config: Config, directory: Path = CURVES) -> list[Curve]:
    """The stored curves of the config's game whose runs had the fewest settings otherwise; none if there are none."""
    curves = [Curve.read(path) for path in sorted(directory.glob("*.json"))]
    game = make_game(config.game).name
    curves = [curve for curve in curves if curve.game == game and curve.ratings is not None]
    least = min((len(differences(config, curve)) for curve in curves), default=0)
    return [curve for curve in curves if len(differences(config, curve)) == least]

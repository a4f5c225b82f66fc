"""What a training may be expected to reach, and when: the speed of this machine times stored strength curves.

A rung is a fixed opponent of the game's ladder; a run is there when its networks, with the simulations a move of the
stored curve, score half the points against it. All intervals hold 95 %.
"""

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcts_ext.state import Game
from zero.backends import Backend
from zero.config import Config, to_table
from zero.errors import UserError
from zero.games import make_game
from zero.record import GameRecord
from zero.replay import Replay
from zero.selfplay import game_seed
from zero.sizes import Sizes
from zero.strength import Curve, differences, settings
from zero.weights import Weights

if TYPE_CHECKING:
    from zero.learner import Learner
    from zero.pool import WorkerPool

DRAWS = 1000  # from what ratings and speeds may be
PLAY_SHARE = 0.7  # of the time of a measurement; the rest goes to learning
SLICES = 8  # of either, whose spread is how steady the speed is
RECENT = 10  # iterations whose pace a training is expected to keep
_GAMES_AT_ONCE = 200_000  # numbers of games for the workers to take: more than they play in any measurement
_SEED = 1


@dataclass(frozen=True)
class Interval:
    """Median and 95 % of a quantity; infinite: never."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, draws: NDArray[np.float64]) -> "Interval":
        """By order statistics, so that infinite draws do no harm."""
        low, median, high = np.quantile(draws, (0.025, 0.5, 0.975), method="inverted_cdf").tolist()
        return cls(low, median, high)

    def to_json(self) -> dict[str, float | None]:
        return {name: value if np.isfinite(value) else None for name, value in vars(self).items()}


# how fast this machine is


@dataclass(frozen=True)
class Speeds:
    """Of a training's two halves, each in slices of the time that was spent on it."""

    positions_per_s: list[float]  # of self-play, all workers together
    calls_per_s: list[float]  # positions that their networks were asked about
    samples_per_s: list[float]  # of learning

    def per_minute(self, config: Config) -> tuple[float, float]:
        """Positions and network calls in a minute of training."""
        positions, calls, samples = map(statistics.median, vars(self).values())
        made = 60 / float(_together(config, 1 / positions, config.replay.samples_per_position / samples))
        return made, made * calls / positions


def _together(config: Config, play: ArrayLike, learn: ArrayLike) -> NDArray[np.float64]:
    """Seconds that so many seconds of both take: in turns, or at the same time and none slowed down by the other."""
    return np.maximum(play, learn) if config.learner.concurrent else np.add(play, learn)


def measure(config: Config, backend: Backend, workers: int, seconds: float, device: str = "cpu",
            learner_device: str = "cpu", on_message: Callable[[str], None] = lambda text: None) -> Speeds:
    """Plays and learns for `seconds` as a run's first iteration would, see `zero.supervisor.Supervisor`.

    Raises `UserError` if that is too short.
    """
    from zero.learners import make_learner
    from zero.pool import WorkerPool

    pool = WorkerPool(backend, config, workers, on_message, device)
    positions, calls = _measure_play(config, pool, PLAY_SHARE * seconds)
    cores = workers if device == "cpu" else backend.capacity
    learner = make_learner(config, backend, 1, max(1, cores), learner_device)
    samples = _measure_learning(config, learner, (1 - PLAY_SHARE) * seconds)
    if not (positions and samples):
        raise UserError(f"nothing was finished in {seconds:g} seconds; give it more with --seconds")
    return Speeds(positions, calls, samples)


def _measure_play(config: Config, pool: "WorkerPool", seconds: float) -> tuple[list[float], list[float]]:
    """Positions and network calls a second, of slices. Closes the pool."""
    from zero.network import Network, save_network
    from zero.tuning import Tuning

    game = make_game(config.game)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "untrained.safetensors"
        save_network(path, Network(game, config.network, np.random.default_rng(config.seed)), game.full_name)
        weights = Weights.read(path, version=0)
        if not config.selfplay.lanes:
            tuning = Tuning(Path(directory) / "tuning.json", config, pool.resources, pool.size)
            pool.resources = replace(pool.resources, lanes=tuning.lanes(pool.backend, weights, lambda: None, pool.warn))
    count = np.zeros(2)
    marks: list[tuple[float, float, float]] = []  # time, positions, calls: at the end of every slice
    deliveries = pool.play(weights, list(range(_GAMES_AT_ONCE)))
    try:
        for delivery in deliveries:
            now = time.monotonic()
            if marks:  # the clock starts with the first report: before, processes start and networks are loaded
                count += delivery.report.positions, delivery.report.evaluations
            if delivery.report.positions and (not marks or now - marks[-1][0] >= seconds / SLICES):
                marks.append((now, *count))
            if marks and now - marks[0][0] >= seconds:
                break
    finally:
        deliveries.close()
        pool.close()
    rates = [(np.subtract(b, a)[1:] / (b[0] - a[0])).tolist() for a, b in itertools.pairwise(marks)]
    return [rate[0] for rate in rates if rate[1]], [rate[1] for rate in rates if rate[1]]


def _measure_learning(config: Config, learner: "Learner", seconds: float) -> list[float]:
    """Samples a second, of slices, taken from random games: what they are does not matter to the speed. Closes the
    learner."""
    sizes, rng = Sizes(config), np.random.default_rng(_SEED)
    replay = Replay(sizes.own, config.replay, sizes.others)
    for index in range(16):
        game = sizes.game(game_seed(config.seed, index))
        replay.add(_random_game(game, index, rng), game)

    def step() -> None:
        learner.step(replay.sample(config.learner.batch, rng), 0.5)

    step()
    rates, end = [], time.monotonic() + seconds
    while (began := time.monotonic()) < end:
        steps = 0
        while time.monotonic() - began < seconds / SLICES:
            step()
            steps += 1
        rates.append(steps * config.learner.batch / (time.monotonic() - began))
    learner.close()
    return rates


def _random_game(game: Game, index: int, rng: np.random.Generator) -> GameRecord:
    """With targets for every ply, as if it had been searched."""
    state, moves, counts, actions = game.new_state(), [], [], []
    while not state.terminal:
        legal = state.legal_actions()
        moves.append(int(rng.choice(legal)))
        counts.append(min(8, len(legal)))
        actions.extend(legal[:8])
        state.play(moves[-1])
    result = int(state.outcome()) * (1 if state.to_move == 0 else -1)
    plies = len(moves)
    return GameRecord(index, 0, 0, plies, result, np.array(moves, np.uint16), np.zeros(plies, np.float16),
                      np.array(counts, np.uint16), np.array(actions, np.uint16),
                      np.full(len(actions), 0.125, np.float16), np.zeros(plies, np.float16))


# what that means


@dataclass(frozen=True)
class Rung:
    """When a run is as strong as `opponent`: network calls and seconds of training."""

    opponent: str
    calls: Interval
    seconds: Interval

    @property
    def reached(self) -> bool:
        """More likely than not, by a stored run."""
        return bool(np.isfinite(self.calls.median))


def predict(config: Config, curves: Sequence[Curve], speeds: Speeds) -> list[Rung]:
    """The rungs that the curves know, weakest first.

    The run asks its networks as often as the stored one did; between the calls it learns, as often for a position as
    its own settings say. Speeds are drawn from the slices of the measurement.
    """
    rng = np.random.default_rng(_SEED)
    calls: dict[str, list[NDArray]] = {}
    seconds: dict[str, list[NDArray]] = {}
    for curve in curves:
        more = _samples_per_call(to_table(config)) / _samples_per_call(curve.config)
        for opponent, needed in curve.calls_needed(DRAWS, rng).items():
            learned = more * curve.samples_after(needed)
            play, learn = rng.choice(speeds.calls_per_s, DRAWS), rng.choice(speeds.samples_per_s, DRAWS)
            calls.setdefault(opponent, []).append(needed)
            seconds.setdefault(opponent, []).append(_together(config, needed / play, learned / learn))
    rungs = [Rung(name, Interval.of(np.concatenate(calls[name])), Interval.of(np.concatenate(seconds[name])))
             for name in calls]
    return sorted(rungs, key=lambda rung: rung.calls.median)


def _samples_per_call(table: dict) -> float:
    """Up to a factor that runs of one game share."""
    value = settings(table)
    full = value["selfplay.full_share"]
    sims = full * value["selfplay.sims"] + (1 - full) * value["selfplay.fast_sims"]
    return value["replay.samples_per_position"] / sims


class Outlook:
    """Which rung a training reaches next, and when: by the pace of its own last iterations."""

    def __init__(self, config: Config, curves: Sequence[Curve]):
        self._rng = np.random.default_rng(_SEED)
        needed: dict[str, list[NDArray]] = {}
        for curve in curves:
            for opponent, calls in curve.calls_needed(DRAWS, self._rng).items():
                needed.setdefault(opponent, []).append(calls)
        self._needed = {opponent: np.concatenate(calls) for opponent, calls in needed.items()}
        self._medians = {opponent: Interval.of(calls).median for opponent, calls in self._needed.items()}
        self._other_settings = any(differences(config, curve) for curve in curves)
        self._next: tuple[str, Interval] | None = None  # opponent, seconds of training when it is reached

    def update(self, metrics: Sequence[dict]) -> None:
        """Takes the lines of `metrics.jsonl` so far."""
        self._next = None
        done = sum(line.get("network_evaluations", 0) for line in metrics)
        ahead = [opponent for opponent, calls in self._medians.items() if calls > done]
        paces = [line["network_evaluations"] / (line["seconds"] - before["seconds"])
                 for before, line in itertools.pairwise([{"seconds": 0.0}, *metrics])
                 if line.get("network_evaluations") and line["seconds"] > before["seconds"]][-RECENT:]
        if ahead and paces:
            opponent = min(ahead, key=self._medians.get)
            left = np.maximum(self._needed[opponent] - done, 0)
            when = Interval.of(metrics[-1]["seconds"] + left / self._rng.choice(paces, len(left)))
            self._next = opponent, when

    def text(self, seconds: float) -> str:
        """`mcts:1000 in about 6 min (4-9)`, when `seconds` of training are over; empty: nothing can be said."""
        if self._next is None:
            return ""
        opponent, when = self._next
        if not np.isfinite(when.median):
            return f"{short_name(opponent)}: not reached in any stored run"
        left = Interval(*(max(0.0, at - seconds) for at in vars(when).values()))
        note = ", by a run of other settings" if self._other_settings else ""
        return f"{short_name(opponent)} in about {duration(left)}{note}"


def short_name(opponent: str) -> str:
    return opponent if len(opponent) <= 30 else f"{opponent[:29]}…"


def duration(time: Interval) -> str:
    """`6 min (4-9)`, in seconds below two minutes, in hours from two on."""
    unit, name = (1, "s") if time.median < 120 else (60, "min") if time.median < 7200 else (3600, "h")

    def number(value: float) -> str:
        if not np.isfinite(value):
            return "?"
        return f"{value / unit:.0f}" if value >= 9.5 * unit else f"{value / unit:.2g}"

    return f"{number(time.median)} {name} ({number(time.low)}-{number(time.high)})"

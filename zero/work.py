"""What was done in an iteration: sums over reports and games, and the figures made of them."""

import time
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from zero.record import GameRecord
from zero.selfplay import PlayReport


@dataclass
class Work:
    """Of one iteration with `workers` self-play roles. Seconds are of the wall clock unless said otherwise."""

    workers: int
    games: int = 0
    sizes: Counter[str] = field(default_factory=Counter)  # of these games, by name
    first_player_points: float = 0.0
    draws: int = 0
    targets: int = 0  # positions with a policy target
    entropy: float = 0.0  # of these targets, nats
    positions: int = 0
    sims: int = 0
    evaluations: int = 0  # positions given to the network
    batches: Counter[int] = field(default_factory=Counter)  # positions at once -> how often
    seconds: float = 0.0  # of all workers
    network_seconds: float = 0.0  # of all workers
    search_seconds: float = 0.0  # of all workers
    play_seconds: float = 0.0
    learn_seconds: float = 0.0
    data_seconds: float = 0.0  # of learning, spent on making batches
    store_seconds: float = 0.0  # publishing and checkpointing
    began: float = field(default_factory=time.monotonic)

    def add_game(self, record: GameRecord, name: str) -> None:
        """The record of a game of that name."""
        self.games += 1
        self.sizes[name] += 1
        self.first_player_points += (record.result + 1) / 2
        self.draws += record.result == 0
        probs = record.probs.astype(np.float32)
        self.entropy -= float(probs @ np.log(np.maximum(probs, 1e-12)))
        self.targets += int(np.count_nonzero(record.counts))

    def add_report(self, report: PlayReport) -> None:
        self.positions += report.positions
        self.sims += report.sims
        self.evaluations += report.evaluations
        self.batches.update(report.batches)
        self.seconds += report.seconds
        self.network_seconds += report.network_seconds
        self.search_seconds += report.search_seconds
        self.play_seconds = time.monotonic() - self.began

    def rates(self) -> dict[str, float]:
        """How fast self-play is, and the shares of its workers' time: `network_busy`, `search_busy` and, without games,
        `idle`. With one group of games they add up to 1; with several, network and search are busy at once."""
        wall, available = max(self.play_seconds, 1e-9), max(self.workers * self.play_seconds, self.seconds, 1e-9)
        return {
            "positions_per_s": self.positions / wall,
            "sims_per_s": self.sims / wall,
            "evaluations_per_s": self.evaluations / wall,
            "batch": self.evaluations / max(1, self.batches.total()),
            "batch_p10": smallest_tenth(self.batches),
            "network_share": self.network_seconds / max(self.seconds, 1e-9),
            "network_busy": self.network_seconds / available,
            "search_busy": self.search_seconds / available,
            "idle": 1 - self.seconds / available,
        }

    def figures(self, positions: int, samples: int, steps: int) -> dict[str, float]:
        """Of the whole iteration, which brought `positions` to the replay window and took `steps` of `samples`."""
        games, learning = max(1, self.games), max(self.learn_seconds, 1e-9)
        return {
            **self.rates(),
            "games_per_s": self.games / max(self.play_seconds, 1e-9),
            "network_evaluations": self.evaluations,
            "game_length": positions / games,
            "first_player_score": self.first_player_points / games,
            "draws": self.draws / games,
            "policy_entropy": self.entropy / max(1, self.targets),
            "steps_per_s": steps / learning,
            "samples_per_s": samples / learning,
            "data_wait": self.data_seconds / learning,
            "play_seconds": round(self.play_seconds, 3),
            "learn_seconds": round(self.learn_seconds, 3),
            "store_seconds": round(self.store_seconds, 3),
            "iteration_seconds": round(time.monotonic() - self.began, 3),
        }


def smallest_tenth(batches: Counter[int]) -> int:
    """The size that nine tenths of the batches reach; 0 if there are none."""
    seen = 0
    for size in sorted(batches):
        seen += batches[size]
        if seen > batches.total() / 10:
            return size
    return 0

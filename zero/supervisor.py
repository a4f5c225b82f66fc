"""The training loop: play games, learn from them, publish the network, round after round.

An iteration is a function of (config, iteration number, learner state, games so far). Finished games are in the
log as soon as they are, everything else at the end of an iteration: a run that was killed repeats the rest of
its iteration and ends where it would have ended.
"""

import bisect
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from zero.backends import Backend
from zero.display import Display, Status
from zero.errors import UserError
from zero.game_log import REFUSED
from zero.games import make_game
from zero.learner import Learner, Losses
from zero.pool import WorkerPool
from zero.record import GameRecord
from zero.replay import Replay
from zero.run import Checkpoint, RunDirectory
from zero.selfplay import PlayReport


class Stopped(Exception):
    """The run was asked to stop; what is on disk suffices to go on."""


class Supervisor:
    """Drives a run on a backend with `workers` self-play roles; `should_stop` is asked every half second."""

    def __init__(self, run: RunDirectory, backend: Backend, workers: int, display: Display,
                 should_stop: Callable[[], bool] = lambda: False):
        self.run, self.config, self.backend, self.display = run, run.config, backend, display
        self.workers, self.should_stop = workers, should_stop
        self.game = make_game(self.config.game)
        self.replay = Replay(self.game, self.config.replay)
        self.learner = Learner(self.game, self.config, threads=min(workers, len(os.sched_getaffinity(0))))
        self.state = Checkpoint(iteration=0, steps=0, games=0, positions=0, seconds=0.0, tokens=0.0)
        self.pool = WorkerPool(backend, self.config, workers, display.message)
        self.finished: dict[int, GameRecord] = {}  # games of the present iteration
        self.quarantined: set[int] = set()  # numbers of games that the run does without
        self._began = time.monotonic()
        self._iteration_seconds = 0.0
        self._losses = Losses()

    # the run as a whole

    def train(self) -> None:
        """Runs to the end of the budget. Raises `Stopped` when asked to stop before."""
        self._restore()
        try:
            if self.state.iteration == 0 and not self.run.weights():
                self._publish()
            while not self._over():
                self._iterate()
        finally:
            self.pool.close()
            self.run.games.close()

    def _restore(self) -> None:
        found = self.run.load_checkpoint(self.display.message)
        if found:
            self.state, path = found
            self.learner.load(path)
        games = self.run.games
        games.repair(self.display.message)
        self.quarantined = games.quarantined()
        stored = {record.index: record for record in games.read(self.display.message)}
        wanted = [index for index in range(self.state.games) if index not in self.quarantined]
        self._play_again([index for index in wanted if index not in stored], stored)
        for index in wanted:
            self.replay.add(stored.pop(index))
        self.finished = {index: record for index, record in stored.items() if index >= self.state.games}
        self.run.trim_metrics(self.state.iteration)
        self._began = time.monotonic() - self.state.seconds

    def _play_again(self, missing: list[int], stored: dict[int, GameRecord]) -> None:
        """Games that the log lost are played once more with the network that played them; they come out the same."""
        firsts = [entry.games for entry in self.run.weights()]  # number of the first game each network played
        by_version: dict[int, list[int]] = {}
        for index in missing:
            by_version.setdefault(bisect.bisect_right(firsts, index) - 1, []).append(index)
        for version, indices in by_version.items():
            self.display.message(f"{self.run.root}: playing {len(indices)} lost games of network {version} again")
            for _ in self._gather(version, indices, stored):
                self._check_stop()

    def _gather(self, version: int, indices: list[int], into: dict[int, GameRecord]) -> Iterator[PlayReport]:
        """Plays games; each is in the log and in `into` when the report of its worker is yielded."""
        for delivery in self.pool.play(self.run.read_weights(version), indices):
            for record in delivery.records:
                self.run.games.append(record)
                into[record.index] = record
            if delivery.withdrawn:
                self.run.games.keep_aside(REFUSED, self.run.games.take_out(delivery.withdrawn))
                for index in delivery.withdrawn:
                    del into[index]
            yield delivery.report

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    @property
    def progress(self) -> float:
        """Share of the budget that is spent, 0..1; 0 if there is no budget."""
        budget, shares = self.config.budget, [0.0]
        if budget.minutes:
            shares.append(self.seconds / (60 * budget.minutes))
        if budget.games:
            shares.append(self.state.games / budget.games)
        if budget.steps:
            shares.append(self.state.steps / budget.steps)
        return min(1.0, max(shares))

    def _over(self) -> bool:
        """The budget is spent, or would be before half of the next iteration is done."""
        minutes = self.config.budget.minutes
        late = minutes and self.seconds + self._iteration_seconds / 2 > 60 * minutes
        return bool(late) or self.progress >= 1

    def _check_stop(self) -> None:
        if self.should_stop():
            raise Stopped

    # one iteration

    def _iterate(self) -> None:
        progress = self.progress  # read once: the learning rate of the iteration depends on it
        began = time.monotonic()
        work = self._play()
        old_positions = self.replay.positions
        for index in sorted(self.finished):
            self.replay.add(self.finished[index])
            work.add_game(self.finished[index])
        new_positions = self.replay.positions - old_positions
        self.finished.clear()
        play_seconds = time.monotonic() - began
        tokens = self.state.tokens + new_positions * self.config.replay.samples_per_position
        losses, tokens = self._learn(progress, tokens, work)
        self.state = replace(
            self.state, iteration=self.state.iteration + 1, games=self._next_game(), positions=self.replay.positions,
            seconds=self.seconds, tokens=tokens,
        )
        self.run.games.sync()
        self._publish()
        self.run.save_checkpoint(self.state, self.learner.save)
        self.run.log_metrics(self._metrics(work, losses, new_positions, play_seconds))
        self._iteration_seconds = time.monotonic() - began

    def _metrics(self, work: "Work", losses: Losses, new_positions: int, play_seconds: float) -> dict:
        return {
            "iteration": self.state.iteration,
            "seconds": round(self.state.seconds, 3),
            "games": self.state.games,
            "positions": self.state.positions,
            "window": self.replay.window,
            "steps": self.state.steps,
            "lr": self.learner.lr,
            **{f"{name}_loss": value for name, value in losses.parts.items()},
            "gradient_norm": losses.gradient_norm,
            "samples_per_position": self.state.steps * self.config.learner.batch / max(1, self.state.positions),
            "game_length": new_positions / max(1, work.games),
            "first_player_score": work.first_player_points / max(1, work.games),
            "network_evaluations": work.sims,
            "positions_per_s": new_positions / max(play_seconds, 1e-9),
            "sims_per_s": work.sims / max(play_seconds, 1e-9),
            "network_share": work.network_seconds / max(work.seconds, 1e-9),
            "play_seconds": round(play_seconds, 3),
        }

    def _publish(self) -> None:
        version = self.state.iteration
        self.run.publish(version, lambda path: self.learner.export(path, version), self.state.games, self.state.steps)

    # self-play

    def _play(self) -> "Work":
        """Plays the games of this iteration that are not in the log yet, on all workers."""
        work = Work()
        known = self.finished.keys() | self.quarantined
        missing = [index for index in range(self.state.games, self._next_game()) if index not in known]
        if missing:
            for report in self._gather(self.state.iteration, missing, self.finished):
                work.add_report(report)
                self._show("self-play", work)
                self._check_stop()
        return work

    def _next_game(self) -> int:
        """Number of the first game of the next iteration."""
        following = self.state.games + self.config.selfplay.games
        return min(following, self.config.budget.games or following)

    # learning

    def _learn(self, progress: float, tokens: float, work: "Work") -> tuple[Losses, float]:
        """Takes as many steps as there are tokens for; the samples depend on (seed, iteration) alone."""
        settings = self.config.learner
        rng = np.random.default_rng([self.config.seed, self.state.iteration, 1])
        total, steps = Losses(), int(tokens // settings.batch)
        for step in range(steps):
            batch = self.replay.sample(settings.batch, rng, settings.search_value_share)
            losses = self.learner.step(batch, progress)
            if losses.culprit:
                raise UserError(
                    f"{losses.culprit} is not finite at step {self.state.steps + 1}; the run stops, its last good "
                    f"state is checkpoint {self.state.iteration}. Try a smaller learner.lr"
                )
            total += losses
            self.state = replace(self.state, steps=self.state.steps + 1)
            if step % 8 == 0:
                self._show("learning", work, losses)
                self._check_stop()
        return total.mean(steps), tokens - steps * settings.batch

    def _show(self, phase: str, work: "Work", losses: Losses | None = None) -> None:
        self._losses = losses or self._losses
        self.display.update(
            Status(
                phase=phase,
                iteration=self.state.iteration + 1,
                games=self.replay.games + len(self.finished),
                positions=self.replay.positions + sum(len(record.moves) for record in self.finished.values()),
                window=self.replay.window,
                steps=self.state.steps,
                seconds=self.seconds,
                progress=self.progress,
                positions_per_s=work.positions / max(work.wall, 1e-9),
                sims_per_s=work.sims / max(work.wall, 1e-9),
                network_share=work.network_seconds / max(work.seconds, 1e-9),
                lr=self.learner.lr,
                policy_loss=self._losses.parts["policy"],
                value_loss=self._losses.parts["value"],
            )
        )


@dataclass
class Work:
    """Sums over the self-play of an iteration."""

    games: int = 0
    positions: int = 0
    sims: int = 0
    seconds: float = 0.0  # of all workers
    network_seconds: float = 0.0
    first_player_points: float = 0.0
    began: float = field(default_factory=time.monotonic)
    wall: float = 0.0

    def add_game(self, record: GameRecord) -> None:
        self.games += 1
        self.first_player_points += (record.result + 1) / 2

    def add_report(self, report: PlayReport) -> None:
        self.positions += report.positions
        self.sims += report.sims
        self.seconds += report.seconds
        self.network_seconds += report.network_seconds
        self.wall = time.monotonic() - self.began

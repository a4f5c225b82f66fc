"""The training loop: play games, learn from them, publish the network, round after round.

An iteration is a function of (config, iteration number, learner state, games so far). Finished games are in the
log as soon as they are, everything else at the end of an iteration: a run that was killed repeats the rest of
its iteration and ends where it would have ended.
"""

import bisect
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial

import numpy as np

from nn.save import write_atomically
from zero.arena.workers import Workers
from zero.backends import Backend
from zero.backends.inline import InlineBackend
from zero.backends.process import ProcessBackend
from zero.config import Config
from zero.copies import Copies
from zero.display import Display, Status
from zero.errors import UserError
from zero.game_log import REFUSED
from zero.games import make_game
from zero.gate import accepts, play_gate
from zero.learner import Learner, Losses
from zero.memory import resident_bytes
from zero.metrics import Metrics, disk_free_bytes
from zero.planner import Outlook
from zero.pool import WorkerPool
from zero.record import GameRecord
from zero.replay import Batch, Replay
from zero.resignation import Calibration
from zero.run import START, Checkpoint, RunDirectory
from zero.selfplay import PlayReport
from zero.strength import nearest_curves
from zero.tuning import Tuning
from zero.work import Work


class Stopped(Exception):
    """The run was asked to stop; what is on disk suffices to go on."""


def make_learner(config: Config, backend: Backend, learners: int, threads: int, device: str = "cpu"):
    """A `Learner`, or several of them on the backend that share the work and are used like one.

    Raises `UserError` if there is no such device.
    """
    if learners == 1:
        try:
            return Learner(make_game(config.game), config, threads, device=device)
        except ValueError as error:
            raise UserError(str(error)) from None
    if device == "cuda":
        from zero.nccl import CardGroup

        if config.learner.max_staleness:
            raise UserError("learner.max_staleness: learners with cards step together; set it to 0")
        return CardGroup(backend, config, learners, threads)
    if config.learner.max_staleness:
        from zero.parameter_server import AsynchronousLearner

        return AsynchronousLearner(backend, config, learners, threads)
    from zero.group import LearnerGroup

    return LearnerGroup(backend, config, learners, threads)


class Supervisor:
    """Drives a run on a backend with `workers` self-play roles, on `device` "cuda" each with a card; `should_stop` is
    asked every half second."""

    def __init__(self, run: RunDirectory, backend: Backend, workers: int, display: Display,
                 should_stop: Callable[[], bool] = lambda: False, metrics: Metrics | None = None, learners: int = 1,
                 learner_device: str = "cpu", device: str = "cpu", stores: str | None = None):
        self.run, self.config, self.backend, self.display = run, run.config, backend, display
        self.workers, self.should_stop = workers, should_stop
        self.metrics = metrics or Metrics(run)
        self.game = make_game(self.config.game)
        self.replay = Replay(self.game, self.config.replay)
        self.calibration = Calibration(self.game, self.config.selfplay)
        cores = workers if device == "cpu" else backend.capacity
        self.learner = make_learner(self.config, backend, learners, max(1, cores // learners), learner_device)
        self.state = Checkpoint(iteration=0, steps=0, games=0, positions=0, seconds=0.0, tokens=0.0)
        self.copies = Copies(run, backend, stores, display.message)
        self.pool = WorkerPool(backend, self.config, workers, display.message, device)
        self.match_workers = Workers(backend if isinstance(backend, InlineBackend) else ProcessBackend())
        self.finished: dict[int, GameRecord] = {}  # games that are stored and not learned from yet
        self.quarantined: set[int] = set()  # numbers of games that the run does without
        started = (run.root / START).exists()  # from a network that the stored curves do not know
        self.outlook = Outlook(self.config, [] if started else nearest_curves(self.config))
        self._began = time.monotonic()
        self._iteration_seconds = 0.0
        self._losses = Losses()
        self._gated: dict[str, float] = {}  # what the gatekeeper found in this iteration
        self._resigned: dict[str, float] = {}  # what resignation would have done in games played on
        self._refused = 0  # games taken out again since the start
        self.work = Work(workers)  # of the present iteration
        self._made: dict[int, int] = {}  # network -> positions that it played

    # the run as a whole

    def train(self) -> None:
        """Runs to the end of the budget. Raises `Stopped` when asked to stop before."""
        end = "failed"
        try:
            self._restore()
            self._show("starting")
            while not self._over():
                self._iterate()
            end = "finished"
        except Stopped:
            end = "stopped"
            raise
        except (UserError, OSError) as error:
            end = f"failed: {error}"
            raise
        finally:
            self.pool.close()
            self.copies.close()
            self.match_workers.close()
            self.learner.close()
            self.run.games.close()
            self.metrics.close(end)

    def _restore(self) -> None:
        found = self.run.load_checkpoint(self.display.message)
        if found:
            self.state, path = found
            self.learner.load(path)
        elif (start := self.run.root / START).exists():
            self.learner.load(start)
        self._require_network()
        self._tune()
        games = self.run.games
        games.repair(self.display.message)
        self.copies.open()
        self.quarantined = games.quarantined()
        places = games.places(self.display.message)
        wanted = [index for index in range(self.state.games) if index not in self.quarantined]
        again = self._play_again([index for index in wanted if index not in places])
        stored = games.fetch([places[index] for index in wanted if index in places])
        for index in wanted:
            self._add(again[index] if index in again else next(stored))
        left = [place for index, place in places.items() if index >= self.state.games]
        self.finished = {record.index: record for record in games.fetch(left)}
        self.metrics.resume(self.state.iteration, self.state.steps)
        self.outlook.update(self.run.metrics())
        self._began = time.monotonic() - self.state.seconds

    def _require_network(self) -> None:
        """The network that plays next can be made again from the learner, if it is missing or damaged."""
        if self.state.iteration == 0 and not self.run.weights():
            self._publish()
            return
        try:
            self.run.weights_path(self.state.iteration)
        except UserError as error:
            self.display.message(f"{error}; it is written again from the checkpoint")
            self._publish()

    def _tune(self) -> None:
        if self.config.selfplay.lanes:
            return
        pool, weights = self.pool, self.run.read_weights(self.state.iteration)
        tuning = Tuning(self.run.root / "tuning.json", self.config, pool.resources, self.workers)
        lanes = tuning.lanes(self.backend, weights, lambda: self._look_up("measuring"), self.display.message)
        pool.resources = replace(pool.resources, lanes=lanes)

    def _play_again(self, missing: list[int]) -> dict[int, GameRecord]:
        """Games that the log lost are played once more with the network that played them; they come out the same."""
        firsts = [entry.games for entry in self.run.weights()]  # number of the first game each network played
        by_version: dict[int, list[int]] = {}
        played: dict[int, GameRecord] = {}
        for index in missing:
            by_version.setdefault(bisect.bisect_right(firsts, index) - 1, []).append(index)
        for version, indices in by_version.items():
            self.display.message(f"{self.run.root}: playing {len(indices)} lost games of network {version} again")
            for _ in self._gather(version, indices, played):
                self._look_up("playing lost games")
        return played

    def _gather(self, version: int, indices: list[int], into: dict[int, GameRecord]) -> Iterator[PlayReport]:
        """Plays games; each is in the log and in `into` when the report of its worker is yielded."""
        for delivery in self.pool.play(self.run.read_weights(version), indices):
            for record in delivery.records:
                self.run.games.append(record)
                self.copies.add(record)
                into[record.index] = record
            if delivery.withdrawn:
                self._refused += len(delivery.withdrawn)
                self.run.games.keep_aside(REFUSED, self.run.games.take_out(delivery.withdrawn))
                self.copies.withdraw(delivery.withdrawn)
                for index in delivery.withdrawn:
                    del into[index]
            yield delivery.report

    def _add(self, record: GameRecord) -> None:
        self.replay.add(record)
        self.calibration.add(record)
        self._made[record.version] = self._made.get(record.version, 0) + len(record.moves)

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

    def _look_up(self, phase: str, losses: Losses | None = None) -> None:
        """Shows how things are. Raises `Stopped` when asked to stop."""
        self._show(phase, losses)
        self.copies.pump()
        if self.should_stop():
            raise Stopped

    # one iteration

    def _iterate(self) -> None:
        progress = self.progress  # read once: the learning rate of the iteration depends on it
        began = time.monotonic()
        work = self.work = Work(self.workers)
        self._play()
        old = self.state
        old_positions = self.replay.positions
        for index in sorted(index for index in self.finished if index < self._next_game()):
            record = self.finished.pop(index)
            self._add(record)
            work.add_game(record)
        new_positions = self.replay.positions - old_positions
        tokens = self.state.tokens + new_positions * self.config.replay.samples_per_position
        losses, tokens = self._learn(progress, tokens)
        self._show("storing")
        self.state = replace(
            self.state, iteration=self.state.iteration + 1, games=self._next_game(), positions=self.replay.positions,
            seconds=self.seconds, tokens=tokens,
        )
        stored_from = time.monotonic()
        self.run.games.sync()
        self._publish()
        self.run.save_checkpoint(self.state, self.learner.save)
        work.store_seconds = time.monotonic() - stored_from
        self.metrics.iteration(self._metrics(losses, new_positions, self.state.steps - old.steps))
        self.outlook.update(self.run.metrics())
        self.copies.commit()
        self._iteration_seconds = time.monotonic() - began

    def _metrics(self, losses: Losses, new_positions: int, steps: int) -> dict:
        batch = self.config.learner.batch
        return {
            "iteration": self.state.iteration,
            "seconds": round(self.state.seconds, 3),
            "games": self.state.games,
            "positions": self.state.positions,
            "window": self.replay.window,
            "window_age": self._window_age(),
            "steps": self.state.steps,
            "lr": self.learner.lr,
            **{f"{name}_loss": value for name, value in losses.parts.items()},
            "gradient_norm": losses.gradient_norm,
            **self._gated,
            **self._resigned,
            "samples_per_position": self.state.steps * batch / max(1, self.state.positions),
            "tokens": self.state.tokens,
            **self.work.figures(new_positions, steps * batch, steps),
            **self.learner.report(),
            "lanes": self.pool.resources.lanes,
            "groups": self.pool.resources.groups,
            **self._health(),
        }

    def _health(self) -> dict:
        """Memory, disk and faults, for the metrics and the live status."""
        workers = self.pool.describe() if self.workers > 1 else []  # a single one lives in this process
        return {
            "memory_bytes": resident_bytes(),
            "workers_memory_bytes": sum(worker["memory_bytes"] for worker in workers),
            "disk_free_bytes": disk_free_bytes(self.run.root),
            "restarts": self.pool.restarts,
            "strikes": sum(self.pool.strikes.values()),
            "refused_games": self._refused,
            "quarantined_games": len(self.quarantined),
            **self.copies.report(),
        }

    def _window_age(self) -> float:
        """How many networks ago the positions of the window were played, on average; 0: by the newest that played."""
        left, age, newest = self.replay.window, 0, max(self._made, default=0)
        for version in sorted(self._made, reverse=True):
            count = min(left, self._made[version])
            age += count * (newest - version)
            left -= count
        return age / max(1, self.replay.window)

    def _publish(self) -> None:
        """The learner's network becomes the one that plays; with a gatekeeper only if it passes."""
        version = self.state.iteration
        save = partial(self.learner.export, version=version, resign_threshold=self._resign_threshold())
        self._gated = {}
        if self.config.gate.games and version and not self._passes_gate(version):
            save = partial(write_atomically, content=self.run.weights_path(version - 1).read_bytes())
        self.run.publish(version, save, self.state.games, self.state.steps)

    def _resign_threshold(self) -> float:
        threshold = self.calibration.threshold()
        self._resigned = self.calibration.measured(threshold)
        return threshold

    def _passes_gate(self, version: int) -> bool:
        """Whether the learner's network beats the one that plays. Raises `Stopped` when asked to stop."""
        gate, candidate = self.config.gate, self.run.root / "weights" / "candidate.safetensors"
        if version % gate.every:
            return False
        self.learner.export(candidate, version)
        try:
            best, seed = self.run.weights_path(version - 1), self.config.seed + version
            result = play_gate(candidate, best, self.game, self.config, seed, lambda result: self._look_up("gate"),
                               self.match_workers)
        finally:
            candidate.unlink()
        passes = accepts(result, self.config)
        self._gated = {"gate_points": result.points, "gate_games": len(result.games), "gate_passed": int(passes)}
        self.display.message(f"network {version}: {result.points:g} of {len(result.games)} points against the one that "
                             f"plays; {'it plays from now on' if passes else 'that goes on playing'}")
        return passes

    # self-play

    def _play(self) -> None:
        """Plays the games of this iteration that are not in the log yet, on all workers."""
        known = self.finished.keys() | self.quarantined
        missing = [index for index in range(self.state.games, self._next_game()) if index not in known]
        if missing:
            for report in self._gather(self.state.iteration, missing, self.finished):
                self.work.add_report(report)
                self._look_up("self-play")

    def _next_game(self) -> int:
        """Number of the first game of the next iteration."""
        following = self.state.games + self.config.selfplay.games
        return min(following, self.config.budget.games or following)

    # learning

    def _learn(self, progress: float, tokens: float) -> tuple[Losses, float]:
        """Takes as many steps as there are tokens for; the samples depend on (seed, iteration) alone."""
        settings = self.config.learner
        rng = np.random.default_rng([self.config.seed, self.state.iteration, 1])
        total, steps = Losses(), int(tokens // settings.batch)
        began = shown = time.monotonic()

        def batches() -> Iterator[Batch]:
            for _ in range(steps):
                sampled_from = time.monotonic()
                batch = self.replay.sample(settings.batch, rng)
                self.work.data_seconds += time.monotonic() - sampled_from
                yield batch

        for step, losses in enumerate(self.learner.steps(batches(), progress)):
            self.work.learn_seconds = time.monotonic() - began
            if losses.culprit:
                raise UserError(
                    f"{losses.culprit} is not finite at step {self.state.steps + 1}; the run stops, its last good "
                    f"state is checkpoint {self.state.iteration}. Try a smaller learner.lr"
                )
            total += losses
            self.state = replace(self.state, steps=self.state.steps + 1)
            if step % 8 == 0 or time.monotonic() - shown > 0.5:
                shown = time.monotonic()
                self._look_up("learning", losses)
        return total.mean(steps), tokens - steps * settings.batch

    def _show(self, phase: str, losses: Losses | None = None) -> None:
        self._losses, rates = losses or self._losses, self.work.rates()
        status = Status(
            phase=phase,
            iteration=self.state.iteration + 1,
            games=self.replay.games + len(self.finished),
            positions=self.replay.positions + sum(len(record.moves) for record in self.finished.values()),
            window=self.replay.window,
            steps=self.state.steps,
            seconds=self.seconds,
            progress=self.progress,
            positions_per_s=rates["positions_per_s"],
            sims_per_s=rates["sims_per_s"],
            network_share=rates["network_share"],
            lr=self.learner.lr,
            policy_loss=self._losses.parts["policy"],
            value_loss=self._losses.parts["value"],
            outlook=self.outlook.text(self.seconds),
        )
        self.display.update(status)
        self.metrics.live(lambda: {**asdict(status), **rates, **self._health(), "workers": self.pool.describe()})

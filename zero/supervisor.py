"""The training loop: play games, learn from them, publish the network, round after round.

An iteration is a function of (config, iteration number, learner state, games so far). Finished games are in the
log as soon as they are, everything else at the end of an iteration: a run that was killed repeats the rest of
its iteration and ends where it would have ended.
"""

import bisect
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import asdict, replace
from functools import partial

from nn.save import write_atomically
from zero.arena.workers import Workers
from zero.backends import Backend, OneMachine
from zero.backends.inline import InlineBackend
from zero.backends.process import ProcessBackend
from zero.cards import Cards
from zero.copies import Copies
from zero.display import Display, Status
from zero.errors import UserError
from zero.game_log import REFUSED
from zero.gate import accepts, play_gate
from zero.learner import Losses
from zero.learners import make_learner
from zero.lesson import SHOW_SECONDS, Lesson
from zero.memory import resident_bytes
from zero.metrics import Metrics, disk_free_bytes
from zero.planner import Outlook
from zero.pool import WorkerPool
from zero.record import GameRecord
from zero.replay import Replay
from zero.resignation import Calibration
from zero.run import START, Checkpoint, RunDirectory
from zero.selfplay import PlayReport
from zero.sizes import Sizes
from zero.strength import nearest_curves
from zero.tuning import Tuning
from zero.work import Work


class Stopped(Exception):
    """The run was asked to stop; what is on disk suffices to go on."""


class Supervisor:
    """Drives a run on a backend with `workers` self-play roles, on `device` "cuda" each with a card; `should_stop` is
    asked every half second."""

    def __init__(self, run: RunDirectory, backend: Backend, workers: int, display: Display,
                 should_stop: Callable[[], bool] = lambda: False, metrics: Metrics | None = None, learners: int = 1,
                 learner_device: str = "cpu", device: str = "cpu", stores: str | None = None):
        self.run, self.config, self.backend, self.display = run, run.config, backend, display
        self.workers, self.should_stop = workers, should_stop
        self.metrics = metrics or Metrics(run)
        self.sizes = Sizes(self.config)
        self.replay = Replay(self.sizes.own, self.config.replay, self.sizes.others)
        self.calibration = Calibration(self.config.selfplay)
        cores = workers if device == "cpu" else backend.capacity
        self.learner = make_learner(self.config, backend, learners, max(1, cores // learners), learner_device)
        self.state = Checkpoint(iteration=0, steps=0, games=0, positions=0, seconds=0.0, tokens=0.0)
        self.copies = Copies(run, backend, stores, display.message)
        # On this machine the log itself is at hand: a spool would save no more than the last half second of play.
        spooled = "" if isinstance(backend, OneMachine) else run.fingerprint()
        self.pool = WorkerPool(backend, self.config, workers, display.message, device, spooled)
        self.match_workers = Workers(backend if isinstance(backend, InlineBackend) else ProcessBackend())
        self.finished: dict[int, GameRecord] = {}  # games that are stored and not learned from yet
        self.quarantined: set[int] = set()  # numbers of games that the run does without
        started = (run.root / START).exists()  # from a network that the stored curves do not know
        self.outlook = Outlook(self.config, [] if started else nearest_curves(self.config))
        self._began = time.monotonic()
        self._iteration_seconds = 0.0
        self._losses = Losses()  # of the last step of the last lesson
        self.lesson: Lesson | None = None  # that is being taken
        self._learner_thread = ThreadPoolExecutor(1)
        self._learning: Future | None = None  # the lesson, if it is taken in that thread
        self._gated: dict[str, float] = {}  # what the gatekeeper found in this iteration
        self._resigned: dict[str, float] = {}  # what resignation would have done in games played on
        self._refused = 0  # games taken out again since the start
        self._spooled = 0  # games that dead workers had left since the start
        self.work = Work(workers)  # of the present iteration
        self._made: dict[int, int] = {}  # network -> positions that it played
        self._published = {0: 0.0}  # network -> seconds of the run when it was
        self._cards = Cards() if device == "cuda" else None

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
            if self.lesson:
                self.lesson.cancel()
            self._learner_thread.shutdown()
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
        self._published |= {row["iteration"]: row["seconds"] for row in self.run.metrics()}
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
            self._spooled += delivery.report.spooled
            for record in delivery.records:
                self.run.games.append(record)
                self.copies.add(record)
                into[record.index] = record
            if delivery.withdrawn:
                self._refused += len(delivery.withdrawn)
                self.run.games.move_aside(REFUSED, delivery.withdrawn)
                self.copies.withdraw(delivery.withdrawn)
                for index in delivery.withdrawn:
                    del into[index]
            yield delivery.report

    def _add(self, record: GameRecord) -> None:
        game = self.sizes.game(record.seed)
        self.replay.add(record, game)
        self.calibration.add(record, game)
        self._made[record.version] = self._made.get(record.version, 0) + len(record.moves)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    @property
    def steps(self) -> int:
        """Taken so far, in the present lesson too."""
        return self.state.steps + (self.lesson.taken if self.lesson else 0)

    @property
    def progress(self) -> float:
        """Share of the budget that is spent, 0..1; 0 if there is no budget."""
        budget, shares = self.config.budget, [0.0]
        if budget.minutes:
            shares.append(self.seconds / (60 * budget.minutes))
        if budget.games:
            shares.append(self.state.games / budget.games)
        if budget.steps:
            shares.append(self.steps / budget.steps)
        return min(1.0, max(shares))

    def _over(self) -> bool:
        """The budget is spent, or would be before half of the next iteration is done."""
        budget = self.config.budget
        if budget.minutes and self.seconds + self._iteration_seconds / 2 > 60 * budget.minutes:
            return True
        if budget.steps and self.state.steps >= budget.steps:
            return True
        return 0 < budget.games <= self.state.games and not self._unlearned()

    def _look_up(self, phase: str) -> None:
        """Shows how things are. Raises `Stopped` when asked to stop, and what a lesson beside raised."""
        self._show(phase)
        self.copies.pump()
        if self._learning is not None and self._learning.done():
            self._learning.result()
        if self.should_stop():
            raise Stopped

    # one iteration

    def _iterate(self) -> None:
        progress = self.progress  # read once: the learning rate of the iteration depends on it
        began = time.monotonic()
        work = self.work = Work(self.workers)
        old, ratio = self.state, self.config.replay.samples_per_position
        if self.config.learner.concurrent:
            lesson = Lesson(self.learner, self.replay, old, progress, old.tokens)
            self._play_and_learn(lesson)
            new_positions = self._take_in()
            tokens = lesson.tokens_left + ratio * new_positions
        else:
            self._play()
            new_positions = self._take_in()
            lesson = Lesson(self.learner, self.replay, old, progress, old.tokens + ratio * new_positions)
            self._learn(lesson)
            tokens = lesson.tokens_left
        self._show("storing")
        self.state = replace(
            self.state, iteration=old.iteration + 1, games=self._next_game(), positions=self.replay.positions,
            seconds=self.seconds, tokens=tokens,
        )
        stored_from = time.monotonic()
        self.run.games.sync()
        self._publish()
        self.run.save_checkpoint(self.state, self.learner.save)
        work.store_seconds = time.monotonic() - stored_from
        self.metrics.iteration(self._metrics(lesson, new_positions))
        self._published[self.state.iteration], self.run.games.slowest_sync = self.state.seconds, 0.0
        self.outlook.update(self.run.metrics())
        self.copies.commit()
        self._iteration_seconds = time.monotonic() - began

    def _take_in(self) -> int:
        """The games of this iteration become part of the replay window; returns how many positions that are."""
        before = self.replay.positions
        for index in sorted(index for index in self.finished if index < self._next_game()):
            record = self.finished.pop(index)
            self._add(record)
            self.work.add_game(record, self.sizes.game(record.seed).name)
        return self.replay.positions - before

    def _metrics(self, lesson: Lesson, new_positions: int) -> dict:
        losses, batch = lesson.mean(), lesson.batch
        return {
            "iteration": self.state.iteration,
            "seconds": round(self.state.seconds, 3),
            "games": self.state.games,
            "positions": self.state.positions,
            "window": self.replay.window,
            **self._window_age(),
            "steps": self.state.steps,
            "lr": self.learner.lr,
            **{f"{name}_loss": value for name, value in losses.parts.items() if lesson.taken},
            "gradient_norm": losses.gradient_norm,
            **self._gated,
            **self._resigned,
            "samples_per_position": self.state.steps * batch / max(1, self.state.positions),
            "tokens": self.state.tokens,
            **self.work.figures(new_positions, lesson.taken * batch, lesson.taken),
            **{f"games_{game.name}": self.work.sizes[game.name] for game in self.sizes.others},
            **self.learner.report(),
            "slowest_sync_ms": 1e3 * self.run.games.slowest_sync,
            "lanes": self.pool.resources.lanes,
            "groups": self.pool.resources.groups,
            **self._health(),
        }

    def _health(self) -> dict:
        """Memory, disk and faults, for the metrics and the live status."""
        workers = [] if isinstance(self.backend, InlineBackend) else self.pool.describe()
        return {
            "memory_bytes": resident_bytes(),
            "workers_memory_bytes": sum(worker["memory_bytes"] for worker in workers),
            "disk_free_bytes": disk_free_bytes(self.run.root),
            "restarts": self.pool.restarts,
            "strikes": sum(self.pool.strikes.values()),
            "refused_games": self._refused,
            "spooled_games": self._spooled,
            "quarantined_games": len(self.quarantined),
            "damaged_stretches": self.run.games.damaged(),
            **self.copies.report(),
            **(self._cards.report() if self._cards else {}),
        }

    def _window_age(self) -> dict[str, float]:
        """How many networks ago the positions of the window were played, on average (0: by the newest that played), and
        how many seconds ago the networks that played them were published."""
        left, age, seconds, newest = self.replay.window, 0, 0.0, max(self._made, default=0)
        for version in sorted(self._made, reverse=True):
            count = min(left, self._made[version])
            age += count * (newest - version)
            published = self._published.get(version, self.state.seconds)  # a line of the metrics may be lost
            seconds += count * (self.state.seconds - published)
            left -= count
        window = max(1, self.replay.window)
        return {"window_age": age / window, "window_age_seconds": seconds / window}

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
            result = play_gate(candidate, best, self.sizes.own, self.config, seed, lambda result: self._look_up("gate"),
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

    def _learn(self, lesson: Lesson) -> None:
        """Takes the steps of a lesson, here and now."""
        self.lesson = lesson
        lesson.take(lambda: self._look_up("learning"))
        self._end_lesson()

    def _play_and_learn(self, lesson: Lesson) -> None:
        """Plays this iteration's games while the lesson, from the games before, is taken in a thread of its own.

        Nothing either of them reads is changed by the other, so that this ends as if it were done in turns; where roles
        are in this very process, it is.
        """
        if isinstance(self.backend, InlineBackend):
            self._learn(lesson)
            self._play()
            return
        self.lesson, self._learning = lesson, self._learner_thread.submit(lesson.take)
        self._play()
        while not self._learning.done():
            wait([self._learning], timeout=SHOW_SECONDS)
            self._look_up("learning")
        self._learning.result()
        self._end_lesson()

    def _end_lesson(self) -> None:
        self.work.learn_seconds, self.work.data_seconds = self.lesson.seconds, self.lesson.data_seconds
        self._losses = self.lesson.losses if self.lesson.taken else self._losses
        self.state = replace(self.state, steps=self.steps)
        self.lesson = self._learning = None

    def _unlearned(self) -> bool:
        """Whether play is over and a last lesson is not: that of the last games, if it is taken while others are
        played."""
        return self.state.tokens >= self.config.learner.batch and self.config.learner.concurrent

    def _show(self, phase: str) -> None:
        rates, losses = self.work.rates(), self.lesson.losses if self.lesson and self.lesson.taken else self._losses
        status = Status(
            phase=phase,
            iteration=self.state.iteration + 1,
            games=self.replay.games + len(self.finished),
            positions=self.replay.positions + sum(len(record.moves) for record in self.finished.values()),
            window=self.replay.window,
            steps=self.steps,
            seconds=self.seconds,
            progress=self.progress,
            positions_per_s=rates["positions_per_s"],
            sims_per_s=rates["sims_per_s"],
            network_share=rates["network_share"],
            lr=self.learner.lr,
            policy_loss=losses.parts["policy"],
            value_loss=losses.parts["value"],
            outlook=self.outlook.text(self.seconds),
        )
        self.display.update(status)
        self.metrics.live(lambda: {**asdict(status), **rates, **self._health(), "workers": self.pool.describe()})

"""The self-play workers of a run: hands out numbered games, gathers them, replaces workers that die or cannot be
trusted."""

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from mcts_ext.result import EvaluationError
from zero.admission import Admission, Refused
from zero.backends import Backend, Call, WorkerDied
from zero.config import Config
from zero.errors import UserError
from zero.record import GameRecord
from zero.resources import Resources
from zero.selfplay import CardWorker, PlayReport, SelfPlayWorker
from zero.spool import Leftovers, Spool
from zero.weights import DamagedWeights, Weights

CHUNK_SECONDS = 0.5  # how long a worker plays before it reports
DEATHS = 3  # more than this and one for each worker, without a finished game between them, are no accident
STRIKES = 3  # times a worker may send what is refused, in the whole run; then it gets no successor
IDLE = PlayReport([], 0, 0, 0, 0.0, 0.0, 0.0)


@dataclass(eq=False)
class Worker:
    """A self-play role and what it is about."""

    number: int  # from 1; its successors have the same
    handle: Any
    version: int | None = None  # the network it has, or is loading
    call: Call | None = None
    games: set[int] = field(default_factory=set)  # numbers of the games given to it and not back yet
    admitted: list[int] = field(default_factory=list)  # its games of this round
    spools: list[str] = field(default_factory=list)  # its own, and those it took up
    spooled: set[int] = field(default_factory=set)  # numbers of the games that it found there
    report: PlayReport = IDLE  # its last one
    seen: float = field(default_factory=time.monotonic)  # when that came


@dataclass(frozen=True)
class Delivery:
    """What came from a worker: games new to the run, and games of earlier deliveries of this round that shall not
    count after all; they come again."""

    report: PlayReport
    records: list[GameRecord]
    withdrawn: list[int]


class WorkerPool:
    """`size` self-play workers on a backend, on "cuda" each with a card; games go to whoever has room. `warn` is told
    about those who fail. `run` tells the run from others in the spools of its workers; without it they have none."""

    def __init__(self, backend: Backend, config: Config, size: int, warn: Callable[[str], None], device: str = "cpu",
                 run: str = ""):
        self.backend, self.config, self.size, self.warn, self.run = backend, config, size, warn, run
        self.resources = Resources.of(config.selfplay, device)  # of each worker
        self.admission = Admission(config)
        self.restarts = 0
        self.strikes: dict[int, int] = {}  # of each worker that has any
        self._distrusted: list[str] = []  # spools that nobody shall take up
        self._workers: list[Worker] = []

    def describe(self) -> list[dict]:
        """The workers as `zero top` shows them: what each is about, and how long ago it was heard of."""
        now = time.monotonic()
        return [
            {"worker": worker.number, "network": worker.version, "games": len(worker.games),
             "seconds_ago": round(now - worker.seen, 1), "memory_bytes": worker.report.memory,
             "sims_per_s": worker.report.sims / max(worker.report.seconds, 1e-9),
             "strikes": self.strikes.get(worker.number, 0)}
            for worker in self._workers
        ]

    def close(self) -> None:
        for worker in self._workers:
            self.backend.kill(worker.handle)
        self._workers.clear()

    def play(self, weights: Weights, indices: list[int]) -> Iterator[Delivery]:
        """Plays the games numbered `indices` with one network; yields a delivery every half second or so, an empty one
        if no worker had any. Every game comes once and is a game by the rules (`zero.admission`).

        A worker's games in progress are played again by the others when it dies. A worker that sends what is refused
        is ended, and all its games of the round are withdrawn and played again. Raises `UserError` if workers keep
        dying, or none is left. The games are what is waited for: a worker that still loads, or waits for a machine,
        holds nobody up.
        """
        shared = self.backend.share(weights)
        missing, waiting = set(indices), list(reversed(indices))  # taken from the end
        self._begin_round()
        deaths = 0
        while missing:
            for worker in self._workers:
                if worker.call is None:
                    self._give(worker, weights.version, shared, waiting)
            busy = {worker.call: worker for worker in self._workers if worker.call is not None}
            done = self.backend.wait(list(busy), timeout=2 * CHUNK_SECONDS)
            if not done:
                yield Delivery(IDLE, [], [])
            for call in done:
                worker = busy[call]
                worker.call = None
                try:
                    report = call.result()
                    if isinstance(report, Leftovers):  # a network was loaded
                        self._find(worker, report)
                        continue
                    records = [self.admission.admit(p, weights.version, worker.games) for p in report.records]
                except (WorkerDied, DamagedWeights) as error:
                    deaths += 1
                    if deaths > DEATHS + self.size:
                        raise UserError(f"{error}, after {deaths - 1} others; see the messages above") from None
                    self.warn(f"worker {worker.number}: {error}; its games are played again")
                    waiting[:0] = worker.games  # come last: its successor may find some in the spool
                    self._replace(worker)
                    continue
                except (Refused, EvaluationError) as error:
                    waiting.extend([*worker.games, *worker.admitted])
                    missing.update(worker.admitted)
                    self._distrust(worker, error)
                    yield Delivery(IDLE, [], worker.admitted)
                    continue
                worker.report, worker.seen = report, time.monotonic()
                numbers = [record.index for record in records]
                worker.games.difference_update(numbers)
                worker.admitted += numbers
                missing.difference_update(numbers)
                deaths = 0 if records else deaths
                yield Delivery(report, records, [])

    def _begin_round(self) -> None:
        if not self._workers:
            self._workers = [self._spawn(number) for number in range(1, self.size + 1)]
        for worker in self._workers:
            worker.admitted = []

    def _spawn(self, number: int) -> Worker:
        role = CardWorker if self.resources.device == "cuda" else SelfPlayWorker
        spool = Spool(self.run, f"{number}-{secrets.token_hex(4)}")
        handle = self.backend.spawn(role, self.config, replace(self.resources, card=number - 1), spool)
        return Worker(number, handle, spools=[spool.name])

    def _give(self, worker: Worker, version: int, shared: Any, waiting: list[int]) -> None:
        """Starts what a worker without a call should do next, if anything."""
        if worker.version != version:
            worker.version = version
            worker.call = self.backend.call(worker.handle, "load", shared, self._distrusted)
            return
        more = self._share(len(worker.games), waiting)
        if worker.spooled:
            more += [index for index in waiting if index in worker.spooled]
            waiting[:] = [index for index in waiting if index not in worker.spooled]
            worker.spooled = set()
        worker.games.update(more)
        if worker.games:
            worker.call = self.backend.call(worker.handle, "play", CHUNK_SECONDS, more)

    def _share(self, busy: int, waiting: list[int]) -> list[int]:
        """More games for a worker that has `busy`: enough to keep its lanes full, few enough to end together."""
        fair = -(-len(waiting) // self.size)
        lanes = self.resources.games
        room = max(0, min(2 * lanes - busy, max(fair, lanes - busy)))
        return [waiting.pop() for _ in range(min(room, len(waiting)))]

    def _find(self, worker: Worker, leftovers: Leftovers) -> None:
        worker.spooled = set(leftovers.games)
        worker.spools += leftovers.spools
        for text in leftovers.damage:
            self.warn(f"worker {worker.number}: {text}")

    def _replace(self, worker: Worker) -> None:
        self.backend.kill(worker.handle)
        self.restarts += 1
        self._workers[self._workers.index(worker)] = self._spawn(worker.number)

    def _distrust(self, worker: Worker, error: Exception) -> None:
        """Ends a worker that sent something wrong. Raises `UserError` if it was the last."""
        self._distrusted += worker.spools
        strikes = self.strikes[worker.number] = self.strikes.get(worker.number, 0) + 1
        self.warn(f"worker {worker.number} is quarantined: {error}; {len(worker.admitted)} finished and "
                  f"{len(worker.games)} other games of its round are played again")
        if strikes < STRIKES:
            self._replace(worker)
            return
        self.backend.kill(worker.handle)
        self._workers.remove(worker)
        self.warn(f"worker {worker.number} gets no games any more, after {strikes} such faults")
        if not self._workers:
            raise UserError(f"no worker is left that can be trusted; the last one's fault: {error}")

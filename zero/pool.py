"""The self-play workers of a run: hands out numbered games, gathers reports, replaces workers that die."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from zero.backends import Backend, Call, WorkerDied
from zero.config import Config
from zero.errors import UserError
from zero.record import GameRecord
from zero.selfplay import PlayReport, SelfPlayWorker
from zero.weights import DamagedWeights, Weights

CHUNK_SECONDS = 0.5  # how long a worker plays before it reports
DEATHS = 3  # more than this and one for each worker, without a finished game between them, are no accident
IDLE = PlayReport([], 0, 0, 0, 0.0, 0.0)


@dataclass(eq=False)
class Worker:
    """A self-play role and what it is about."""

    handle: Any
    version: int | None = None  # the network it has, or is loading
    call: Call | None = None
    games: set[int] = field(default_factory=set)  # numbers of the games given to it and not back yet


class WorkerPool:
    """`size` self-play workers on a backend; games go to whoever has room."""

    def __init__(self, backend: Backend, config: Config, size: int):
        self.backend, self.config, self.size = backend, config, size
        self._workers: list[Worker] = []

    def close(self) -> None:
        for worker in self._workers:
            self.backend.kill(worker.handle)
        self._workers.clear()

    def play(self, weights: Weights, indices: list[int]) -> Iterator[PlayReport]:
        """Plays the games numbered `indices` with one network; yields a report every half second or so, an empty one
        if no worker had any. Every game comes once, whoever else may have played it too.

        Raises `UserError` if workers keep dying. A worker's games in progress are played again by the others. The
        games are what is waited for: a worker that still loads, or waits for a machine, holds nobody up.
        """
        shared = self.backend.share(weights)
        missing, waiting = set(indices), list(reversed(indices))  # taken from the end
        while len(self._workers) < self.size:
            self._workers.append(Worker(self.backend.spawn(SelfPlayWorker, self.config)))
        deaths = 0
        while missing:
            for worker in self._workers:
                if worker.call is None:
                    self._give(worker, weights.version, shared, waiting)
            busy = {worker.call: worker for worker in self._workers if worker.call is not None}
            done = self.backend.wait(list(busy), timeout=2 * CHUNK_SECONDS)
            if not done:
                yield IDLE
            for call in done:
                worker = busy[call]
                worker.call = None
                try:
                    report = call.result()
                except (WorkerDied, DamagedWeights) as error:
                    deaths += 1
                    if deaths > DEATHS + self.size:
                        raise UserError(f"{error}, after {deaths - 1} others; see the messages above") from None
                    waiting.extend(worker.games)
                    self._replace(worker)
                    continue
                if report is None:  # a network was loaded
                    continue
                numbers = {GameRecord.from_bytes(payload).index: payload for payload in report.records}
                fresh = {index: payload for index, payload in numbers.items() if index in missing}
                worker.games -= fresh.keys()
                missing -= fresh.keys()
                deaths = 0 if fresh else deaths
                yield replace(report, records=list(fresh.values()))

    def _give(self, worker: Worker, version: int, shared: Any, waiting: list[int]) -> None:
        """Starts what a worker without a call should do next, if anything."""
        if worker.version != version:
            worker.version = version
            worker.call = self.backend.call(worker.handle, "load", shared)
            return
        more = self._share(len(worker.games), waiting)
        worker.games.update(more)
        if worker.games:
            worker.call = self.backend.call(worker.handle, "play", CHUNK_SECONDS, more)

    def _share(self, busy: int, waiting: list[int]) -> list[int]:
        """More games for a worker that has `busy`: enough to keep its lanes full, few enough to end together."""
        fair = -(-len(waiting) // self.size)
        room = max(0, min(2 * self.config.selfplay.lanes - busy, max(fair, self.config.selfplay.lanes - busy)))
        return [waiting.pop() for _ in range(min(room, len(waiting)))]

    def _replace(self, worker: Worker) -> None:
        self.backend.kill(worker.handle)
        self._workers[self._workers.index(worker)] = Worker(self.backend.spawn(SelfPlayWorker, self.config))

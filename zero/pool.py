"""The self-play workers of a run: hands out numbered games, gathers reports, replaces workers that die."""

from collections.abc import Iterator

from zero.backends import Backend, WorkerDied
from zero.config import Config
from zero.errors import UserError
from zero.record import GameRecord
from zero.selfplay import PlayReport, SelfPlayWorker

CHUNK_SECONDS = 0.5  # how long a worker plays before it reports
RESTARTS = 3  # workers that may die in one round of games


class WorkerPool:
    """`size` self-play workers on a backend; games go to whoever has room."""

    def __init__(self, backend: Backend, config: Config, size: int):
        self.backend, self.config, self.size = backend, config, size
        self._handles: list = []

    def close(self) -> None:
        for handle in self._handles:
            self.backend.kill(handle)
        self._handles.clear()

    def play(self, version: int, weights: str, indices: list[int]) -> Iterator[PlayReport]:
        """Plays the games numbered `indices` with one network; yields a report every half second or so.

        Raises `UserError` if workers keep dying. A worker's games in progress are played again by the next one.
        """
        waiting = list(reversed(indices))  # taken from the end
        if not self._handles:
            self._handles = [self.backend.spawn(SelfPlayWorker, self.config) for _ in range(self.size)]
        given: dict = {}  # handle -> numbers of the games it works on
        calls = []
        for handle in self._handles:
            given[handle] = set()
            calls.append(self.backend.call(handle, "load", version, weights))
        restarts = 0
        while calls:
            done = self.backend.wait(calls)
            for call in done:
                calls.remove(call)
                handle = call.handle
                try:
                    report = call.result()
                except WorkerDied as error:
                    restarts += 1
                    if restarts > RESTARTS:
                        raise UserError(f"{error}, after {RESTARTS} others; see the messages above") from None
                    waiting.extend(given.pop(handle))
                    calls.append(self._replace(handle, version, weights))
                    given[calls[-1].handle] = set()
                    continue
                if report is not None:  # None: the network was loaded
                    given[handle] -= {GameRecord.from_bytes(payload).index for payload in report.records}
                    yield report
                more = self._share(len(given[handle]), waiting)
                given[handle].update(more)
                if given[handle]:
                    calls.append(self.backend.call(handle, "play", CHUNK_SECONDS, more))

    def _share(self, busy: int, waiting: list[int]) -> list[int]:
        """More games for a worker that has `busy`: enough to keep its lanes full, few enough to end together."""
        fair = -(-len(waiting) // self.size)
        room = max(0, min(2 * self.config.selfplay.lanes - busy, max(fair, self.config.selfplay.lanes - busy)))
        return [waiting.pop() for _ in range(min(room, len(waiting)))]

    def _replace(self, handle, version: int, weights: str):
        self.backend.kill(handle)
        fresh = self.backend.spawn(SelfPlayWorker, self.config)
        self._handles[self._handles.index(handle)] = fresh
        return self.backend.call(fresh, "load", version, weights)

"""Synchronous data-parallel learning: several learners share every batch and take the same step.

A step stops wherever the learners must add up an array: the sample counts, the statistics of each batch
normalisation on the way forward and back, at last the gradients. There each hands its array to the driver, which
adds them in the order of the ranks and hands the sum to all. So N ranks compute what one would of the whole batch,
on any backend, up to rounding. All ranks stay equal, so that any of them can replace one that dies.
"""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from zero.backends import Backend, WorkerDied
from zero.batch import Batch
from zero.config import Config
from zero.errors import UserError
from zero.games import make_game
from zero.learner import Learner, Losses


class Abandoned(Exception):
    """A step that cannot be finished, because another rank died."""


class Rank:
    """One learner of the group. `begin` and `go_on` return the array that is to be added up next, or at the end the
    step's `Losses`; the step itself waits in a thread of its own meanwhile."""

    def __init__(self, config: Config, threads: int = 1):
        self._sums: queue.SimpleQueue = queue.SimpleQueue()
        self._news: queue.SimpleQueue = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.learner = Learner(make_game(config.game), config, threads, reduce=self._reduce)

    def _reduce(self, array: np.ndarray) -> np.ndarray:
        self._news.put(array)
        total = self._sums.get()
        if total is None:
            raise Abandoned
        return total

    def _step(self, batch: Batch, progress: float) -> None:
        before = self.learner.statistics()
        try:
            self._news.put(self.learner.step(batch, progress))
        except Abandoned:
            self.learner.put_statistics(before)
            self._news.put(None)
        except Exception as error:
            self._news.put(error)

    def _next(self) -> np.ndarray | Losses:
        news = self._news.get()
        if isinstance(news, Exception):
            raise news
        return news

    def begin(self, batch: Batch, progress: float) -> np.ndarray | Losses:
        batch = batch.part(slice(None))  # a copy: what Ray brings is read-only
        self._thread = threading.Thread(target=self._step, args=(batch, progress), daemon=True)
        self._thread.start()
        return self._next()

    def go_on(self, total: np.ndarray) -> np.ndarray | Losses:
        self._sums.put(total)
        return self._next()

    def abandon(self) -> None:
        """Drops the step under way, as if it had not begun."""
        self._sums.put(None)
        self._next()

    def state(self) -> dict[str, np.ndarray]:
        return self.learner.state()

    def restore(self, state: dict[str, np.ndarray]) -> None:
        self.learner.restore(state)


class LearnerGroup:
    """A run's learner, spread over `size` ranks of a backend; to be used like a `Learner`."""

    rank: type = Rank

    def __init__(self, backend: Backend, config: Config, size: int, threads: int = 1):
        if config.learner.batch < size:
            raise UserError(f"--learners {size}: more than learner.batch = {config.learner.batch}")
        self.backend, self.config, self.threads = backend, config, threads
        self.copy = Learner(make_game(config.game), config, threads)  # what is written to files
        self._copied = True
        self.places = backend.reserve(self.rank, size)
        self.ranks = [self._spawn(place) for place in self.places]
        self._connect()

    def _spawn(self, place: Any) -> Any:
        return self.backend.spawn_on(place, self.rank, self.config, self.threads)

    def _connect(self) -> None:
        """Lets the ranks find each other, where they speak without the driver; again after one was replaced."""

    @property
    def lr(self) -> float:
        """The learning rate of the last step whose outcome came here, for a file."""
        return self.copy.lr

    def close(self) -> None:
        for handle in self.ranks:
            self.backend.kill(handle)
        self.backend.release(self.places)

    # a step

    def steps(self, batches: Iterable[Batch], progress: float) -> Iterator[Losses]:
        for batch in batches:
            yield self.step(batch, progress)

    def step(self, batch: Batch, progress: float) -> Losses:
        """One step of all ranks on their parts of a batch. A rank that dies is replaced, and the step taken again.

        Raises `UserError` if none is left.
        """
        self._copied = False
        while True:
            parts = [batch.part(part) for part in slices(len(batch.value), len(self.ranks))]
            answers = self._ask_each("begin", [(part, progress) for part in parts])
            while all(isinstance(answer, np.ndarray) for answer in answers):
                total = self.backend.share(np.add.reduce(answers))
                answers = self._ask_each("go_on", [(total,)] * len(self.ranks))
            if all(isinstance(answer, Losses) for answer in answers):
                return answers[0]
            taken = self._mend(answers)
            if taken is not None:
                return taken

    def _ask_each(self, method: str, arguments: list[tuple]) -> list[Any]:
        """One call to each rank; the answers in their order, `WorkerDied` in place of a dead one's."""
        calls = [self.backend.call(h, method, *a) for h, a in zip(self.ranks, arguments, strict=True)]
        waiting = list(calls)
        while waiting:
            waiting = [call for call in waiting if call not in self.backend.wait(waiting)]
        return [result_or_death(call.result) for call in calls]

    def _mend(self, answers: list[Any]) -> Losses | None:
        """Replaces dead ranks by copies of a living one. Returns its losses if it has taken the step."""
        living = [k for k, answer in enumerate(answers) if not isinstance(answer, WorkerDied)]
        if not living:
            raise UserError(f"{answers[0]}, as did all learners; zero train --resume goes on from the last checkpoint")
        source = next((k for k in living if isinstance(answers[k], Losses)), living[0])
        for k in living:
            if not isinstance(answers[k], Losses):
                self._ask(self.ranks[k], "abandon")
        for k in set(range(len(self.ranks))) - set(living):
            self.backend.kill(self.ranks[k])
            self.ranks[k] = self._spawn(self.places[k])
        self._connect()
        state = self.backend.share(self._ask(self.ranks[source], "state"))
        for k, handle in enumerate(self.ranks):
            if k != source:
                self._ask(handle, "restore", state)
        return answers[source] if isinstance(answers[source], Losses) else None

    def _ask(self, handle: Any, method: str, *args: Any) -> Any:
        call = self.backend.call(handle, method, *args)
        while not self.backend.wait([call]):
            pass
        try:
            return call.result()
        except WorkerDied as death:
            raise UserError(f"{death}; zero train --resume goes on from the last checkpoint") from None

    def report(self) -> dict[str, float]:
        return {}

    # files

    def export(self, path: Path, version: int, **about: float) -> None:
        self._fetch()
        self.copy.export(path, version, **about)

    def save(self, path: Path) -> None:
        self._fetch()
        self.copy.save(path)

    def load(self, path: Path) -> None:
        self.copy.load(path)
        self._copied = True
        state = self.backend.share(self.copy.state())
        for handle in self.ranks:
            self._ask(handle, "restore", state)

    def _fetch(self) -> None:
        if not self._copied:
            self.copy.restore(self._ask(self.ranks[0], "state"))
            self._copied = True


def slices(length: int, count: int) -> list[slice]:
    """`count` stretches that cover `length`, as nearly equal as can be."""
    ends = [length * k // count for k in range(count + 1)]
    return [slice(a, b) for a, b in zip(ends, ends[1:], strict=False)]


def result_or_death(result: Callable[[], Any]) -> Any:
    try:
        return result()
    except WorkerDied as death:
        return death

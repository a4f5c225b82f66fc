"""Input pipelines: lazy, seeded, and able to stop and continue at the same element.

    batches = from_source(range(n)).shuffle(1000, seed=1).map(load).batch(64).repeat().prefetch(2)
    for x, y in batches: ...

A pipeline is a value: iterating it twice gives the same elements. `iterator = iter(pipeline)` has `state()`, a plain
structure of numbers, strings, lists, dicts and whatever elements a shuffle holds; `pipeline.resume(state)` is an
iterator that gives what `iterator` would have given next.
"""

import queue
import threading
from collections.abc import Callable, Iterable

import numpy as np


class Pipeline:
    """A sequence of elements computed on demand; see the functions and methods that make one."""

    def __init__(self, make):
        self._make = make  # (state or None, numbers of the passes of the repeats around) -> iterator

    def __iter__(self):
        return self._make(None, ())

    def resume(self, state):
        """An iterator that continues where `state()` of an iterator over an equal pipeline was taken."""
        return self._make(state, ())

    def map(self, function: Callable):
        """`function(element)` for each element."""
        return Pipeline(lambda state, epoch: _Map(self._make(state, epoch), function))

    def filter(self, keep: Callable):
        """The elements for which `keep(element)` is true."""
        return Pipeline(lambda state, epoch: _Filter(self._make(state, epoch), keep))

    def shuffle(self, size: int, seed: int):
        """Random order through a window of `size` elements; a pass after `repeat` is shuffled differently."""
        _positive("shuffle", size=size)
        return Pipeline(lambda state, epoch: _Shuffle(self._make, size, (seed, *epoch), state, epoch))

    def batch(self, size: int, drop_last=False):
        """`size` elements stacked into arrays (elements may be arrays, numbers, tuples or dicts of them)."""
        _positive("batch", size=size)
        return Pipeline(lambda state, epoch: _Batch(self._make(state, epoch), size, drop_last))

    def take(self, count: int):
        """The first `count` elements."""
        return Pipeline(lambda state, epoch: _Take(self._make(state and state["elements"], epoch), count, state))

    def repeat(self, times: int | None = None):
        """The whole sequence `times` times over, without end by default."""
        return Pipeline(lambda state, epoch: _Repeat(self._make, times, state, epoch))

    def prefetch(self, size: int = 2):
        """The same elements, computed up to `size` ahead in a thread; an error there is raised at its element."""
        _positive("prefetch", size=size)
        return Pipeline(lambda state, epoch: _Prefetch(self._make(state, epoch), size))


def from_source(source: Iterable):
    """The elements of a sequence (with `len` and indexing) or of any iterable that can be started again.

    A sequence resumes at an index; another iterable is run through up to the place. Raises TypeError for an iterator,
    which can be run through only once.
    """
    if iter(source) is source:
        raise TypeError("from_source: an iterator can be used only once: give a sequence, or an object with __iter__")
    return Pipeline(lambda state, epoch: _Source(source, state))


def _positive(name, **numbers):
    for key, value in numbers.items():
        if value < 1:
            raise ValueError(f"{name}: {key} = {value}: must be 1 or more")


class _Iterator:
    """Base of the iterators: `state()` is what `Pipeline.resume` takes."""

    def __iter__(self):
        return self


class _Source(_Iterator):
    def __init__(self, source, state):
        self._source, self._position = source, state or 0
        self._indexed = hasattr(source, "__getitem__") and hasattr(source, "__len__")
        self._elements = None if self._indexed else iter(source)
        if not self._indexed:
            for _ in range(self._position):
                next(self._elements)

    def __next__(self):
        if self._indexed:
            if self._position >= len(self._source):
                raise StopIteration
            element = self._source[self._position]
        else:
            element = next(self._elements)
        self._position += 1
        return element

    def state(self):
        return self._position


class _Map(_Iterator):
    def __init__(self, elements, function):
        self._elements, self._function = elements, function

    def __next__(self):
        return self._function(next(self._elements))

    def state(self):
        return self._elements.state()


class _Filter(_Iterator):
    def __init__(self, elements, keep):
        self._elements, self._keep = elements, keep

    def __next__(self):
        return next(e for e in self._elements if self._keep(e))

    def state(self):
        return self._elements.state()


class _Shuffle(_Iterator):
    """A window of elements; each step gives a random one away and fills its place from the source."""

    def __init__(self, make, size, seed, state, epoch):
        state = state or {"elements": None, "window": [], "rng": None}
        self._elements, self._size = make(state["elements"], epoch), size
        self._window = list(state["window"])
        self._rng = np.random.default_rng(seed)
        if state["rng"] is not None:
            self._rng.bit_generator.state = state["rng"]

    def __next__(self):
        while len(self._window) < self._size:
            element = next(self._elements, _END)
            if element is _END:
                break
            self._window.append(element)
        if not self._window:
            raise StopIteration
        i = int(self._rng.integers(len(self._window)))
        self._window[i], self._window[-1] = self._window[-1], self._window[i]
        return self._window.pop()

    def state(self):
        return {
            "elements": self._elements.state(), "window": list(self._window), "rng": self._rng.bit_generator.state
        }  # fmt: skip


_END = object()


class _Batch(_Iterator):
    def __init__(self, elements, size, drop_last):
        self._elements, self._size, self._drop_last = elements, size, drop_last

    def __next__(self):
        parts = []
        for element in self._elements:
            parts.append(element)
            if len(parts) == self._size:
                break
        if not parts or (self._drop_last and len(parts) < self._size):
            raise StopIteration
        return _stack(parts)

    def state(self):
        return self._elements.state()


def _stack(parts):
    if isinstance(parts[0], tuple):
        return tuple(_stack(column) for column in zip(*parts, strict=True))
    if isinstance(parts[0], dict):
        return {key: _stack([part[key] for part in parts]) for key in parts[0]}
    return np.stack([np.asarray(part) for part in parts])


class _Take(_Iterator):
    def __init__(self, elements, count, state):
        self._elements, self._left = elements, state["left"] if state else count

    def __next__(self):
        if self._left <= 0:
            raise StopIteration
        self._left -= 1
        return next(self._elements)

    def state(self):
        return {"elements": self._elements.state(), "left": self._left}


class _Repeat(_Iterator):
    def __init__(self, make, times, state, epoch):
        state = state or {"elements": None, "round": 0}
        self._make, self._times, self._epoch = make, times, epoch
        self._start(state["round"], state["elements"])

    def _start(self, round, state=None):
        self._round = round
        self._elements = self._make(state, (*self._epoch, round))

    def __next__(self):
        if self._times is not None and self._round >= self._times:
            raise StopIteration
        element = next(self._elements, _END)
        if element is not _END:
            return element
        self._start(self._round + 1)
        if self._times is not None and self._round >= self._times:
            raise StopIteration
        return next(self._elements)

    def state(self):
        return {"elements": self._elements.state(), "round": self._round}


class _Prefetch(_Iterator):
    """A thread fills a queue with elements and the state after each; it stops when the iterator is dropped."""

    def __init__(self, elements, size):
        self._state = elements.state()
        self._queue = queue.Queue(size)
        self._stop = threading.Event()
        self._done = False
        threading.Thread(target=_fill, args=(elements, self._queue, self._stop), daemon=True).start()

    def __next__(self):
        if self._done:
            raise StopIteration
        element, self._state, error = self._queue.get()
        if error is not None:
            self._done = True
            raise error
        return element

    def state(self):
        return self._state

    def __del__(self):
        self._stop.set()


def _fill(elements, out, stop):
    error = None
    while error is None and not stop.is_set():
        element = None
        try:
            element = next(elements)
        except BaseException as caught:  # StopIteration too: the consumer raises it in its own thread
            error = caught
        item = (element, elements.state(), error)
        while not stop.is_set():
            try:
                out.put(item, timeout=0.1)
                break
            except queue.Full:
                continue

"""Learning-rate schedules as values: frozen, comparable, functions of the step number.

    schedule = Warmup(500, Cosine(0.1, 0.001, 20_000))
    optimizer.lr = schedule(optimizer.steps)
"""

import bisect
import math
from dataclasses import dataclass
from typing import Protocol


class Schedule(Protocol):
    def __call__(self, step: int) -> float: ...


@dataclass(frozen=True)
class Constant:
    value: float

    def __call__(self, step):
        return self.value


@dataclass(frozen=True)
class Linear:
    """From `start` to `end` in a straight line over `steps`, then `end`."""

    start: float
    end: float
    steps: int

    def __call__(self, step):
        return self.start + (self.end - self.start) * min(step / self.steps, 1.0)


@dataclass(frozen=True)
class Cosine:
    """From `start` to `end` along half a cosine over `steps`, then `end` (Loshchilov & Hutter 2017, equation 5)."""

    start: float
    end: float
    steps: int

    def __call__(self, step):
        return self.end + (self.start - self.end) * (1 + math.cos(math.pi * min(step / self.steps, 1.0))) / 2


@dataclass(frozen=True)
class Steps:
    """`values[i]` between `boundaries[i - 1]` and `boundaries[i]`; one more value than boundaries, which ascend."""

    boundaries: tuple[int, ...]
    values: tuple[float, ...]

    def __post_init__(self):
        if len(self.values) != len(self.boundaries) + 1 or list(self.boundaries) != sorted(self.boundaries):
            raise ValueError(f"Steps: {len(self.values)} values for ascending boundaries {list(self.boundaries)}")

    def __call__(self, step):
        return self.values[bisect.bisect_right(self.boundaries, step)]


@dataclass(frozen=True)
class Warmup:
    """`then`, scaled up from 0 in a straight line over the first `steps`; `then` counts from the first step of all."""

    steps: int
    then: Schedule

    def __call__(self, step):
        return self.then(step) * min((step + 1) / self.steps, 1.0)

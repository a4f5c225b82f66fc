"""The learner's part of an iteration: as many steps as there are tokens for."""

import time
from collections.abc import Callable, Iterator

import numpy as np

from zero.batch import Batch
from zero.errors import UserError
from zero.learner import Learner, Losses
from zero.replay import Replay
from zero.run import Checkpoint

SHOW_SECONDS = 0.5


class Lesson:
    """The steps that `tokens` allow from `state` on, at a share `progress` of the budget.

    `take` may run in a thread of its own: then `taken` and `losses` say how far it is, and `cancel` ends it behind the
    step under way. Its samples depend on (seed, iteration) and the replay window alone, to which nothing may be added
    meanwhile.
    """

    def __init__(self, learner: Learner, replay: Replay, state: Checkpoint, progress: float, tokens: float):
        self.learner, self.replay, self.state, self.progress = learner, replay, state, progress
        self.batch = learner.config.learner.batch
        self.steps = int(tokens // self.batch)
        self.tokens_left = tokens - self.steps * self.batch
        self.taken = 0
        self.losses = Losses()  # of the last step
        self.seconds = self.data_seconds = 0.0  # of it all, and of making batches
        self._total = Losses()
        self._cancelled = False

    def cancel(self) -> None:
        self._cancelled = True

    def mean(self) -> Losses:
        """Over all steps."""
        return self._total.mean(self.taken)

    def take(self, look_up: Callable[[], None] = lambda: None) -> None:
        """Takes the steps; `look_up` is called now and then. Raises `UserError` if something is not finite."""
        began = shown = time.monotonic()
        for losses in self.learner.steps(self._batches(), self.progress):
            self.seconds = time.monotonic() - began
            if losses.culprit:
                raise UserError(
                    f"{losses.culprit} is not finite at step {self.state.steps + self.taken + 1}; the run stops, its "
                    f"last good state is checkpoint {self.state.iteration}. Try a smaller learner.lr"
                )
            self._total += losses
            self.losses = losses
            self.taken += 1
            if self.taken % 8 == 1 or time.monotonic() - shown > SHOW_SECONDS:
                shown = time.monotonic()
                look_up()

    def _batches(self) -> Iterator[Batch]:
        rng = np.random.default_rng([self.learner.config.seed, self.state.iteration, 1])
        for _ in range(self.steps):
            if self._cancelled:
                return
            sampled_from = time.monotonic()
            batch = self.replay.sample(self.batch, rng)
            self.data_seconds += time.monotonic() - sampled_from
            yield batch

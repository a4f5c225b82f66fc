"""Learners with a graphics card each: what they must add up goes from card to card, by NVIDIA's NCCL.

Written against CuPy's documented interface (`cupy.cuda.nccl`); machines with several cards were not at hand to run it.
"""

import time

from nn.backend import array_module
from zero.batch import Batch
from zero.config import Config
from zero.errors import UserError
from zero.games import make_game
from zero.group import Abandoned, LearnerGroup
from zero.learner import Learner, Losses

PATIENCE = 60.0  # seconds; a collective that takes longer waits for a rank that is dead (NCCL itself waits for ever)


class NcclSum:
    """Sums an array over `size` ranks, each with its own card. Making it waits until all have called.

    Raises `Abandoned` if another rank fails or does not come; then this one is of no more use.
    """

    def __init__(self, rank: int, size: int, unique_id: tuple):
        import cupy
        from cupy.cuda import nccl

        self._cupy, self._nccl = cupy, nccl
        self._types = {"f": nccl.NCCL_FLOAT32, "d": nccl.NCCL_FLOAT64}
        self._communicator = nccl.NcclCommunicator(size, unique_id, rank)

    def __call__(self, array):
        """`array` float32 or float64, here or on the card -> the sum, in the same place."""
        part = self._cupy.ascontiguousarray(self._cupy.asarray(array))
        total = self._cupy.empty_like(part)
        stream = self._cupy.cuda.get_current_stream()
        kind = self._types[part.dtype.char]
        self._communicator.allReduce(part.data.ptr, total.data.ptr, part.size, kind, self._nccl.NCCL_SUM, stream.ptr)
        self._wait(stream)
        return total if array_module(array) is self._cupy else total.get()

    def _wait(self, stream) -> None:
        deadline = time.monotonic() + PATIENCE
        while not stream.done:
            failed = self._communicator.check_async_error() != self._nccl.NCCL_SUCCESS
            if failed or time.monotonic() > deadline:
                self._communicator.abort()  # frees the kernel that waits on the card
                raise Abandoned
            time.sleep(0)

    def close(self) -> None:
        self._communicator.abort()


class CardRank:
    """One learner of a `LearnerGroup`, on a card. It takes its steps by itself; the driver hears how they ended."""

    gpus = 1  # what a backend that hands out cards has to give it

    def __init__(self, config: Config, threads: int = 1):
        self.config, self.threads = config, threads
        self.sum: NcclSum | None = None
        self.learner: Learner | None = None

    def unique_id(self) -> tuple:
        from cupy.cuda import nccl

        return nccl.get_unique_id()

    def join(self, rank: int, size: int, unique_id: tuple) -> None:
        """Connects with the others; again after one of them was replaced. What was learned stays."""
        import cupy

        if self.sum is not None:
            self.sum.close()
        cupy.cuda.Device(rank % cupy.cuda.runtime.getDeviceCount()).use()  # Ray shows each rank its own card alone
        self.sum = NcclSum(rank, size, unique_id)
        if self.learner is None:
            self.learner = Learner(make_game(self.config.game), self.config, self.threads, self._add_up, "cuda")

    def _add_up(self, array):
        return self.sum(array)

    def begin(self, batch: Batch, progress: float) -> Losses | None:
        """A whole step. None: another rank failed, and this one is where it was before."""
        before = self.learner.statistics()
        try:
            return self.learner.step(batch.part(slice(None)), progress)  # a copy: what Ray brings is read-only
        except Abandoned:
            self.learner.put_statistics(before)
            return None

    def abandon(self) -> None:
        """Nothing is under way."""

    def state(self) -> dict:
        return self.learner.state()

    def restore(self, state: dict) -> None:
        self.learner.restore(state)


class CardGroup(LearnerGroup):
    """A `LearnerGroup` whose ranks have a card each. The driver carries NCCL's id between them, and nothing else."""

    rank = CardRank

    def _connect(self) -> None:
        unique_id, size = self._ask(self.ranks[0], "unique_id"), len(self.ranks)
        for answer in self._ask_each("join", [(rank, size, unique_id) for rank in range(size)]):
            if answer is not None:
                raise UserError(f"{answer}; zero train --resume goes on from the last checkpoint")

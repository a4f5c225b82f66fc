"""Asynchronous learning from sharded parameters, for machines of unequal speed (DistBelief's Downpour SGD, Dean et
al. 2012, section 4.1).

Replicas differentiate whole batches, each with the parameters of the moment it began; shards hold a stretch of the
parameters with its optimiser each, and apply what arrives. A gradient's staleness is the number of steps taken since
its parameters were sent out: a gradient of staleness s counts 1 / (1 + s) (Zhang et al. 2016, "Staleness-aware
async-SGD"), and one beyond the bound is dropped. What comes out depends on who was fast: such a run can be resumed,
but not repeated bit for bit.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nn.tensor import Parameter
from zero.backends import Backend, WorkerDied
from zero.batch import Batch
from zero.config import Config, LearnerConfig
from zero.errors import UserError
from zero.games import make_game
from zero.group import slices
from zero.learner import Learner, Losses
from zero.optimizers import elementwise_optimizer, learning_rate

DEATHS = 3  # more than this and one for each replica, without a gradient between them, are no accident


class ParameterShard:
    """A stretch of the parameters `[n]` float32 and its optimiser."""

    def __init__(self, settings: LearnerConfig):
        self.settings = settings

    def restore(self, values: np.ndarray, state: dict[str, np.ndarray]) -> None:
        self.parameter = Parameter(np.array(values))
        self.optimizer = elementwise_optimizer([self.parameter], self.settings)
        self.optimizer.load_state_dict(state)

    def push(self, gradient: np.ndarray, lr: float) -> np.ndarray:
        """Takes a step; returns the new values."""
        self.parameter.grad = np.array(gradient)
        self.optimizer.lr = lr
        self.optimizer.step()
        return self.parameter.data

    def state(self) -> dict[str, np.ndarray]:
        return self.optimizer.state_dict()


@dataclass(frozen=True)
class Gradient:
    """Of one batch: for all parameters `[n]` float32, how far it moved the running statistics, its losses."""

    parameters: np.ndarray
    statistics: list[np.ndarray]
    losses: Losses


class Replica:
    """Differentiates batches with the parameters it is sent; its batch statistics are its batch's alone."""

    def __init__(self, config: Config, threads: int = 1):
        self.learner = Learner(make_game(config.game), config, threads)

    def differentiate(self, parameters: np.ndarray, statistics: list[np.ndarray], batch: Batch) -> Gradient:
        self.learner.optimizer.flat[...] = parameters
        self.learner.put_statistics(statistics)
        losses = self.learner.differentiate(batch.part(slice(None)))  # a copy: what Ray brings is read-only
        gradients = [np.zeros_like(p.data) if p.grad is None else p.grad for p in self.learner.parameters]
        flat = np.concatenate([g.reshape(-1) for g in gradients])
        moved = [new - old for new, old in zip(self.learner.statistics(), statistics, strict=True)]
        return Gradient(flat, moved, losses)


@dataclass
class Flight:
    """A batch on its way through a replica."""

    handle: Any
    batch: Batch
    version: int  # of the parameters it was sent with


class AsynchronousLearner:
    """A run's learner as replicas and shards on a backend, `size` of each; to be used like a `Learner`.

    The driver carries parameters and gradients between them.
    """

    def __init__(self, backend: Backend, config: Config, size: int, threads: int = 1):
        self.backend, self.config, self.threads = backend, config, threads
        self.copy = Learner(make_game(config.game), config, threads)  # the optimiser of the last `_fetch`
        self.slices = slices(self.copy.optimizer.flat.size, size)
        self.places = backend.reserve(Replica, size)  # each for a shard and a replica
        self.shards = [self._spawn_shard(k) for k in range(size)]
        self.replicas = [self._spawn_replica(k) for k in range(size)]
        self.version = 0  # steps taken
        self.staleness: list[int] = []  # of the gradients since the last report
        self._fetched = True

    def _spawn_replica(self, k: int) -> Any:
        return self.backend.spawn_on(self.places[k], Replica, self.config, self.threads)

    def _spawn_shard(self, k: int) -> Any:
        handle, part = self.backend.spawn_on(self.places[k], ParameterShard, self.config.learner), self.slices[k]
        optimizer = self.copy.optimizer
        state = {name: array[part] if array.ndim else array for name, array in optimizer.state_dict().items()}
        self._result(self.backend.call(handle, "restore", optimizer.flat[part], state))
        return handle

    @property
    def lr(self) -> float:
        return self.copy.lr

    def close(self) -> None:
        for handle in self.shards + self.replicas:
            self.backend.kill(handle)
        self.backend.release(self.places)

    # steps

    def steps(self, batches: Iterable[Batch], progress: float) -> Iterator[Losses]:
        """The losses of each batch, as its gradient arrives. Replicas that die are replaced, and their batch is taken
        again; raises `UserError` if they keep dying."""
        source, again = iter(batches), []
        idle, flying = list(self.replicas), {}
        sent = self._share_parameters()
        deaths = 0
        while True:
            while idle and (batch := again.pop() if again else next(source, None)) is not None:
                handle = idle.pop(0)
                flying[self.backend.call(handle, "differentiate", *sent, batch)] = Flight(handle, batch, self.version)
            if not flying:
                return
            for call in self.backend.wait(list(flying)):
                flight = flying.pop(call)
                try:
                    gradient: Gradient = call.result()
                except WorkerDied as death:
                    deaths += 1
                    if deaths > DEATHS + len(self.replicas):
                        raise UserError(f"{death}, after {deaths - 1} others; zero train --resume goes on") from None
                    again.append(flight.batch)
                    idle.append(self._replace(flight.handle))
                    continue
                deaths = 0
                idle.append(flight.handle)
                if gradient.losses.culprit is None and self._take(gradient, self.version - flight.version, progress):
                    sent = self._share_parameters()
                yield gradient.losses

    def _share_parameters(self) -> tuple[Any, Any]:
        return self.backend.share(self.copy.optimizer.flat.copy()), self.backend.share(self.copy.statistics())

    def _replace(self, handle: Any) -> Any:
        self.backend.kill(handle)
        k = self.replicas.index(handle)
        self.replicas[k] = self._spawn_replica(k)
        return self.replicas[k]

    def _take(self, gradient: Gradient, staleness: int, progress: float) -> bool:
        """Pushes a gradient to the shards, unless it is too old."""
        self.staleness.append(staleness)
        if staleness > self.config.learner.max_staleness:
            return False
        optimizer = self.copy.optimizer
        optimizer.lr = lr = learning_rate(self.config.learner, progress, optimizer.steps)
        optimizer.steps += 1
        scaled = gradient.parameters / np.float32(1 + staleness)
        calls = [self.backend.call(h, "push", scaled[p], lr) for h, p in zip(self.shards, self.slices, strict=True)]
        for k, (call, part) in enumerate(zip(calls, self.slices, strict=True)):
            try:
                values = self._result(call)
            except WorkerDied:  # its parameters are here; its optimiser goes on from the last checkpoint's
                self.backend.kill(self.shards[k])
                self.shards[k] = self._spawn_shard(k)
                values = self._result(self.backend.call(self.shards[k], "push", scaled[part], lr))
            optimizer.flat[part] = values
        statistics = zip(self.copy.statistics(), gradient.statistics, strict=True)
        self.copy.put_statistics([now + moved for now, moved in statistics])
        self.copy.update_average(progress)
        self.version += 1
        self._fetched = False
        return True

    def _result(self, call: Any) -> Any:
        while not self.backend.wait([call]):
            pass
        return call.result()

    def report(self) -> dict[str, float]:
        """Mean and largest staleness of the gradients since the last report, and the share that was dropped."""
        seen, self.staleness = np.array(self.staleness or [0]), []
        dropped = float((seen > self.config.learner.max_staleness).mean())
        return {"staleness": float(seen.mean()), "max_staleness": int(seen.max()), "gradients_dropped": dropped}

    # files

    def export(self, path: Path, version: int, **about: float) -> None:
        self.copy.export(path, version, **about)

    def save(self, path: Path) -> None:
        self._fetch()
        self.copy.save(path)

    def load(self, path: Path) -> None:
        self.copy.load(path)
        for handle in self.shards:
            self.backend.kill(handle)
        self.shards = [self._spawn_shard(k) for k in range(len(self.slices))]
        self._fetched = True

    def _fetch(self) -> None:
        """Brings the optimisers' state here."""
        if self._fetched:
            return
        states = []
        for k in range(len(self.shards)):
            try:
                states.append(self._result(self.backend.call(self.shards[k], "state")))
            except WorkerDied:
                self.shards[k] = self._spawn_shard(k)
                states.append(self._result(self.backend.call(self.shards[k], "state")))
        joined = {name: np.concatenate([s[name] for s in states]) if states[0][name].ndim else states[0][name]
                  for name in states[0]}  # fmt: skip
        self.copy.optimizer.load_state_dict(joined)
        self._fetched = True

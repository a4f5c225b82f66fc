"""The learner: fits the network to what the search found."""

import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

import nn
from mcts_ext.state import Game
from nn import cpu, layers, optim, save
from nn.average import EMA, SWA
from nn.backend import array_module, kernels
from nn.finite import nonfinite
from zero.batch import Batch
from zero.config import Config, changes
from zero.errors import UserError
from zero.growth import grown, shapes
from zero.heads import AuxiliaryHeads
from zero.losses import all_losses, sample_counts
from zero.network import Network, save_network, with_present_names
from zero.optimizers import learning_rate, make_optimizer


@dataclass(frozen=True)
class Losses:
    """Means over samples: `parts`, the loss of each head (see `zero.losses`), and the L2 norm of the gradient.

    `nonfinite` names the weights and gradients that hold a NaN or an infinity.
    """

    parts: dict[str, float] = field(default_factory=lambda: {"policy": 0.0, "value": 0.0})
    gradient_norm: float = 0.0
    nonfinite: tuple[str, ...] = ()

    def __add__(self, other: "Losses") -> "Losses":
        parts = {name: self.parts.get(name, 0.0) + value for name, value in other.parts.items()}
        return Losses(self.parts | parts, self.gradient_norm + other.gradient_norm)

    def mean(self, count: int) -> "Losses":
        count = max(count, 1)
        return Losses({name: value / count for name, value in self.parts.items()}, self.gradient_norm / count)

    @property
    def culprit(self) -> str | None:
        """What is NaN or infinite, if anything."""
        named = {f"the {name} loss": value for name, value in self.parts.items()} | {"the gradient": self.gradient_norm}
        culprit = next((text for text, value in named.items() if not math.isfinite(value)), None)
        if culprit and self.nonfinite:
            culprit += f" ({self.nonfinite[0]}{f' and {n} more' if (n := len(self.nonfinite) - 1) else ''})"
        return culprit


class Learner:
    """Owns the network in training and its optimiser; up to `threads` of this machine's cores work on a step.

    One of several that share each batch (`zero.group`) has `reduce`, which sums an array over all of them: then losses,
    batch statistics and gradients are those of the joined batch, and all take the same step.
    """

    def __init__(
        self, game: Game, config: Config, threads: int = 1, reduce: Callable[[Any], Any] | None = None,
        device: str = "cpu",
    ):  # fmt: skip
        self.game, self.config, self.reduce, self.device = game, config, reduce, device
        cpu.set_threads(min(threads, len(os.sched_getaffinity(0))))
        self.network = Network(game, config.network, np.random.default_rng([config.seed, 0]))
        settings = config.learner
        self.auxiliary = AuxiliaryHeads(game, config.network, settings, np.random.default_rng([config.seed, 2]))
        self.network.to(device=device)
        kernels(self.network.parameters()[0].data).set_precision(config.network.precision)
        self.auxiliary.to(device=device)
        self.parameters = self.network.parameters() + self.auxiliary.parameters()
        self.optimizer = make_optimizer(self.network, self.auxiliary, settings)
        self._buffers = self.network.buffers() + self.auxiliary.buffers()
        self.average = self._make_average()
        for module in (*self.network.modules(), *self.auxiliary.modules()):
            if isinstance(module, layers.BatchNorm):
                module.reduce = reduce

    def _make_average(self) -> EMA | SWA | None:
        settings = self.config.learner
        if settings.ema:
            return EMA(self.network, settings.ema)
        return SWA(self.network) if settings.swa else None

    @property
    def lr(self) -> float:
        """The learning rate of the last step."""
        return self.optimizer.lr

    def steps(self, batches: Iterable[Batch], progress: float) -> Iterator[Losses]:
        """One step on each batch, when a share `progress` (0 to 1) of the budget is spent.

        A non-finite loss or gradient leaves the parameters untouched.
        """
        for batch in batches:
            yield self.step(batch, progress)

    def step(self, batch: Batch, progress: float) -> Losses:
        losses = self.differentiate(batch)
        if losses.culprit is None:
            self.update(progress)
        return losses

    def differentiate(self, batch: Batch) -> Losses:
        """Leaves the clipped gradient of the batch's loss in the parameters."""
        settings = self.config.learner
        counts = None if self.reduce is None else sample_counts(batch)
        batch = batch.on(self.device)
        self.optimizer.zero_grad()
        features, mask = self.network.features(nn.Tensor(batch.planes), batch.mask), batch.mask
        policy, value = self.network.policy(features, mask), self.network.value(features, mask)
        parts = all_losses(policy, value, self.auxiliary(features, mask), batch, settings)
        share = dict.fromkeys(parts, 1.0) if counts is None else self._shares(counts)
        sum(weight * share[name] * loss for name, (weight, loss) in parts.items()).backward()
        values = {name: share[name] * loss.item() for name, (_, loss) in parts.items()}
        if self.reduce is not None:
            values = self._sum_over_ranks(values)
        losses = Losses(values, optim.clip_grad_norm(self.parameters, settings.gradient_clip or math.inf))
        if losses.culprit is None:
            return losses
        return replace(losses, nonfinite=tuple(nonfinite(self.network) + nonfinite(self.auxiliary)))

    def _shares(self, counts: dict[str, float]) -> dict[str, float]:
        """name of a loss -> this rank's share of the samples it is a mean over."""
        mine = np.array(list(counts.values()), np.float64)
        return dict(zip(counts, (mine / np.maximum(self.reduce(mine), 1)).tolist(), strict=True))

    def _sum_over_ranks(self, values: dict[str, float]) -> dict[str, float]:
        """The gradients and `values`, summed over the ranks in one go."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        xp = array_module(gradients[0])
        extra = xp.asarray(list(values.values()), np.float32)
        total = self.reduce(xp.concatenate([g.reshape(-1) for g in gradients] + [extra]))
        at = 0
        for gradient in gradients:
            gradient[...] = total[at : at + gradient.size].reshape(gradient.shape)
            at += gradient.size
        return dict(zip(values, total[at:].tolist(), strict=True))

    def statistics(self) -> list[Any]:
        """Copies of the running statistics of batch normalisation, which a step moves on its way forward."""
        return [t.data.copy() for t in self._buffers]

    def put_statistics(self, arrays: list[Any]) -> None:
        for tensor, array in zip(self._buffers, arrays, strict=True):
            tensor.data[...] = array

    def update(self, progress: float) -> None:
        """Takes the step of the gradient that `differentiate` left."""
        self.optimizer.lr = learning_rate(self.config.learner, progress, self.optimizer.steps)
        self.optimizer.step()
        self.update_average(progress)

    def update_average(self, progress: float) -> None:
        """Takes the present weights into the average that is published."""
        settings = self.config.learner
        if settings.ema or (settings.swa and progress >= 1 - settings.swa):
            self.average.update()

    def report(self) -> dict[str, float]:
        """What else there is to say of the steps since the last report."""
        return {}

    def close(self) -> None:
        """Ends what the learner has started elsewhere."""

    def export(self, path: Path, version: int, **about: float) -> None:
        """Writes the network that plays: the averaged weights if there are, else the newest; with `about` it, and how
        its run searches, so that who plays from the file alone searches in the same way."""
        network = self.network
        if self.average is not None and self.average.updates:
            network = self.average.copy_to(Network(self.game, self.config.network, np.random.default_rng(0)))
        search = changes(self.config.search)
        about = {"version": version, "seed": self.config.seed, "search": search, **about}
        save_network(path, network, self.game.full_name, about)

    def state(self) -> dict[str, np.ndarray]:
        """Everything an exact continuation needs."""
        parts = {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}
        parts["auxiliary"] = self.auxiliary.state_dict()
        if self.average is not None:
            parts["average"] = self.average.state_dict()
        return {f"{part}/{name}": array for part, state in parts.items() for name, array in state.items()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Takes what `state` gave. A smaller network's state is grown (`zero.growth`); its optimiser starts anew, as
        does all that `state` lacks besides the network.

        Raises `ValueError` or `KeyError` if it belongs to another network.
        """
        parts: dict[str, dict] = {}
        for name, array in state.items():
            part, _, rest = name.partition("/")
            parts.setdefault(part, {})[rest] = array
        network, auxiliary = with_present_names(parts["network"]), parts.get("auxiliary")
        average = with_present_names(parts.get("average", {}))
        if shapes(network) != shapes(self.network.state_dict()):
            parts.pop("optimizer", None)
            if average:
                updates = average.pop("updates")
                average = grown(average, self.network) | {"updates": updates}
            network, auxiliary = grown(network, self.network), auxiliary and grown(auxiliary, self.auxiliary)
        self.network.load_state_dict(network)
        if auxiliary is not None:
            self.auxiliary.load_state_dict(auxiliary)
        if "optimizer" in parts:
            self.optimizer.load_state_dict(parts["optimizer"])
        self.average = self._make_average()
        if self.average is not None and average:
            self.average.load_state_dict(average)

    def save(self, path: Path) -> None:
        save.save(path, self.state())

    def load(self, path: Path) -> None:
        """Restores what `save` wrote. Raises `UserError` if the file belongs to another network or is damaged."""
        try:
            self.restore(save.load(path))
        except (ValueError, KeyError) as error:
            raise UserError(f"{path}: not a checkpoint of this run's network ({error})") from None

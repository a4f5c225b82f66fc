"""The learner: fits the network to what the search found."""

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import nn
from mcts_ext.state import Game
from nn import cpu, optim, save
from nn.average import EMA, SWA
from zero.config import Config
from zero.errors import UserError
from zero.growth import grown, shapes
from zero.heads import AuxiliaryHeads
from zero.losses import all_losses
from zero.network import Network, save_network, with_present_names
from zero.optimizers import learning_rate, make_optimizer
from zero.replay import Batch


@dataclass(frozen=True)
class Losses:
    """Means over samples: `parts`, the loss of each head (see `zero.losses`), and the L2 norm of the gradient."""

    parts: dict[str, float] = field(default_factory=lambda: {"policy": 0.0, "value": 0.0})
    gradient_norm: float = 0.0

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
        return next((text for text, value in named.items() if not math.isfinite(value)), None)


class Learner:
    """Owns the network in training and its optimiser; `threads` of this machine's cores work on a step."""

    def __init__(self, game: Game, config: Config, threads: int = 1):
        self.game, self.config = game, config
        cpu.set_threads(threads)
        self.network = Network(game, config.network, np.random.default_rng([config.seed, 0]))
        settings = config.learner
        self.auxiliary = AuxiliaryHeads(game, config.network, settings, np.random.default_rng([config.seed, 2]))
        self.parameters = self.network.parameters() + self.auxiliary.parameters()
        self.optimizer = make_optimizer(self.network, self.auxiliary, settings)
        self.average = self._make_average()

    def _make_average(self) -> EMA | SWA | None:
        settings = self.config.learner
        if settings.ema:
            return EMA(self.network, settings.ema)
        return SWA(self.network) if settings.swa else None

    @property
    def lr(self) -> float:
        """The learning rate of the last step."""
        return self.optimizer.lr

    def step(self, batch: Batch, progress: float) -> Losses:
        """One step on one batch, when a share `progress` (0 to 1) of the budget is spent.

        A non-finite loss or gradient leaves the network untouched.
        """
        settings = self.config.learner
        self.optimizer.zero_grad()
        features = self.network.features(nn.Tensor(batch.planes))
        policy, value = self.network.policy(features), self.network.value(features)
        parts = all_losses(policy, value, self.auxiliary(features), batch, settings)
        sum(weight * loss for weight, loss in parts.values()).backward()
        norm = optim.clip_grad_norm(self.parameters, settings.gradient_clip or math.inf)
        losses = Losses({name: loss.item() for name, (_, loss) in parts.items()}, norm)
        if losses.culprit is None:
            self.optimizer.lr = learning_rate(settings, progress, self.optimizer.steps)
            self.optimizer.step()
            if settings.ema or (settings.swa and progress >= 1 - settings.swa):
                self.average.update()
        return losses

    def export(self, path: Path, version: int) -> None:
        """Writes the network that plays: the averaged weights if there are, else the newest."""
        network = self.network
        if self.average is not None and self.average.updates:
            network = self.average.copy_to(Network(self.game, self.config.network, np.random.default_rng(0)))
        save_network(path, network, self.game.name, {"version": version, "seed": self.config.seed})

    def save(self, path: Path) -> None:
        """Everything an exact continuation needs."""
        parts = {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}
        parts["auxiliary"] = self.auxiliary.state_dict()
        if self.average is not None:
            parts["average"] = self.average.state_dict()
        save.save(path, {f"{part}/{name}": array for part, state in parts.items() for name, array in state.items()})

    def load(self, path: Path) -> None:
        """Restores what `save` wrote. A smaller network's state is grown (`zero.growth`); its optimiser starts anew.

        Raises `UserError` if the file belongs to another network or is damaged.
        """
        try:
            parts: dict[str, dict] = {}
            for name, array in save.load(path).items():
                part, _, rest = name.partition("/")
                parts.setdefault(part, {})[rest] = array
            network, auxiliary = with_present_names(parts["network"]), parts.get("auxiliary", {})
            average = with_present_names(parts.get("average", {}))
            grows = shapes(network) != shapes(self.network.state_dict())
            if grows:
                updates = {"updates": average.pop("updates")} if average else {}
                average = grown(average, self.network) | updates
                network, auxiliary = grown(network, self.network), grown(auxiliary, self.auxiliary)
            self.network.load_state_dict(network)
            self.auxiliary.load_state_dict(auxiliary)
            if not grows:
                self.optimizer.load_state_dict(parts["optimizer"])
            if self.average is not None:
                self.average.load_state_dict(average)
        except (ValueError, KeyError) as error:
            raise UserError(f"{path}: not a checkpoint of this run's network ({error})") from None

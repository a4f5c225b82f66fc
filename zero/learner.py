"""The learner: fits the network to what the search found.

Loss (Silver et al. 2017, equation 1): l = value_weight (z - v)^2 - pi log p + c |theta|^2; the last term is the
optimiser's weight decay. Positions without a policy target count for the value alone.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import nn
from mcts_ext.state import Game
from nn import cpu, optim, save
from zero.config import Config
from zero.errors import UserError
from zero.network import Network, save_network
from zero.replay import Batch


@dataclass(frozen=True)
class Losses:
    """Means over samples: policy cross-entropy in nats, squared error of the value, L2 norm of the gradient."""

    policy: float = 0.0
    value: float = 0.0
    gradient_norm: float = 0.0

    def __add__(self, other: "Losses") -> "Losses":
        return Losses(self.policy + other.policy, self.value + other.value, self.gradient_norm + other.gradient_norm)

    def mean(self, count: int) -> "Losses":
        count = max(count, 1)
        return Losses(self.policy / count, self.value / count, self.gradient_norm / count)

    @property
    def culprit(self) -> str | None:
        """What is NaN or infinite, if anything."""
        names = {"policy": "the policy loss", "value": "the value loss", "gradient_norm": "the gradient"}
        return next((text for name, text in names.items() if not math.isfinite(getattr(self, name))), None)


class Learner:
    """Owns the network in training and its optimiser; `threads` of this machine's cores work on a step."""

    def __init__(self, game: Game, config: Config, threads: int = 1):
        self.game, self.config = game, config
        cpu.set_threads(threads)
        self.network = Network(game, config.network, np.random.default_rng([config.seed, 0]))
        settings = config.learner
        if settings.optimizer == "sgd":
            self.optimizer = optim.SGD(
                self.network.parameters(), settings.lr, settings.momentum, weight_decay=settings.weight_decay
            )
        else:
            self.optimizer = optim.AdamW(self.network.parameters(), settings.lr, weight_decay=settings.weight_decay)
        self.average = self.network.state_dict() if settings.ema else None

    def step(self, batch: Batch, lr: float) -> Losses:
        """One step on one batch; a non-finite loss or gradient leaves the network untouched."""
        settings = self.config.learner
        self.network.train()
        self.optimizer.zero_grad()
        logits, value = self.network(nn.Tensor(batch.planes))
        has_policy = batch.policy.any(axis=1).astype(np.float32)
        policy_loss = nn.ops.cross_entropy(logits, nn.Tensor(batch.policy), batch.legal, has_policy)
        value_loss = nn.ops.mse(value, nn.Tensor(batch.value))
        (policy_loss + settings.value_weight * value_loss).backward()
        norm = optim.clip_grad_norm(self.network.parameters(), settings.gradient_clip or math.inf)
        losses = Losses(policy_loss.item(), value_loss.item(), norm)
        if losses.culprit is None:
            self.optimizer.lr = lr
            self.optimizer.step()
            self._update_average()
        return losses

    def _update_average(self) -> None:
        if self.average is not None:
            share = np.float32(1 - self.config.learner.ema)
            for name, value in self.network.state_dict().items():
                self.average[name] += share * (value - self.average[name])

    def export(self, path: Path, version: int) -> None:
        """Writes the network that plays: the averaged weights if there are, else the newest."""
        network = self.network
        if self.average is not None:
            network = Network(self.game, self.config.network, np.random.default_rng(0))
            network.load_state_dict(self.average)
        save_network(path, network, self.game.name, {"version": version, "seed": self.config.seed})

    def save(self, path: Path) -> None:
        """Everything an exact continuation needs."""
        parts = {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}
        if self.average is not None:
            parts["average"] = self.average
        save.save(path, {f"{part}/{name}": array for part, state in parts.items() for name, array in state.items()})

    def load(self, path: Path) -> None:
        """Restores what `save` wrote. Raises `UserError` if the file belongs to another network or is damaged."""
        try:
            parts: dict[str, dict] = {}
            for name, array in save.load(path).items():
                part, _, rest = name.partition("/")
                parts.setdefault(part, {})[rest] = array
            self.network.load_state_dict(parts["network"])
            self.optimizer.load_state_dict(parts["optimizer"])
            if self.average is not None:
                self.average = parts["average"]
        except (ValueError, KeyError) as error:
            raise UserError(f"{path}: not a checkpoint of this run's network ({error})") from None

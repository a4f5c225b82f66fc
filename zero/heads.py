"""What stands on the tower: policy and value heads, and heads that exist for training alone.

The auxiliary heads teach the tower what the game result and the policy say too rarely or too coarsely; they are no
part of a network's file and cost nothing when it plays.
"""

import numpy as np

from mcts_ext.state import Game
from nn import layers, ops
from zero.blocks import pooled, spread
from zero.config import LearnerConfig, NetworkConfig
from zero.errors import UserError
from zero.games import counts_points, other_actions

VALUE_OUTPUTS = {"scalar": 1, "wdl": 3}  # logits of the value head
MAX_OTHER_ACTIONS = 3  # besides one for each point: a pass, a swap, the choices of swap2


class PolicyHead(layers.Module):
    """Features `[n, rows, cols, width]` -> logits `[n, actions]` (Silver et al. 2017, Methods)."""

    def __init__(self, game: Game, config: NetworkConfig, rng: np.random.Generator):
        channels = config.policy_channels
        self.conv = layers.ConvBN(config.channels, channels, 1, rng)
        self.out = layers.Linear(channels * game.rows * game.cols, game.num_actions, rng)

    def forward(self, x, mask=None):
        return self.out(self.conv(x).reshape(x.shape[0], -1))


class ConvolutionalPolicyHead(layers.Module):
    """The same for a board of any size: a logit for each point, then the other actions' (a pass) from pooled features.

    1x1 convolutions, the first shifted by what the whole board looks like (KataGo, arXiv 1902.10565, appendix A.4).
    """

    def __init__(self, game: Game, config: NetworkConfig, rng: np.random.Generator):
        channels, others = config.policy_channels, other_actions(game)
        if not 0 <= others <= MAX_OTHER_ACTIONS:
            raise UserError(f"network.policy_head = 'convolutional': {game.name} has no action for each point")
        self.conv = layers.Conv2d(config.channels, channels, 1, rng, bias=False)
        self.pool_conv = layers.ConvBN(config.channels, channels, 1, rng)
        self.shift = layers.Linear(3 * channels, channels, rng, bias=False)
        self.norm = layers.BatchNorm(channels)
        self.points = layers.Conv2d(channels, 1, 1, rng)
        self.others = layers.Linear(3 * channels, others, rng) if others else None

    def forward(self, x, mask=None):
        whole = pooled(self.pool_conv(x, mask=mask), mask)
        y = self.norm(self.conv(x) + spread(self.shift(whole)), relu=True, mask=mask)
        logits = self.points(y).reshape(x.shape[0], -1)
        return logits if self.others is None else ops.concat(logits, self.others(whole), axis=1)


class ValueHead(layers.Module):
    """Features `[n, rows, cols, width]` -> `[n, outputs]` through one hidden layer (Silver et al. 2017, Methods)."""

    def __init__(self, game: Game, config: NetworkConfig, outputs: int, rng: np.random.Generator):
        self.conv = layers.ConvBN(config.channels, config.value_channels, 1, rng)
        self.hidden = layers.Linear(config.value_channels * game.rows * game.cols, config.value_hidden, rng)
        self.out = layers.Linear(config.value_hidden, outputs, rng)

    def forward(self, x, mask=None):
        return self.out(ops.relu(self.hidden(self.conv(x).reshape(x.shape[0], -1))))


class PooledValueHead(layers.Module):
    """The same from features pooled over a board of any size (KataGo, arXiv 1902.10565, appendix A.5)."""

    def __init__(self, game: Game, config: NetworkConfig, outputs: int, rng: np.random.Generator):
        self.conv = layers.ConvBN(config.channels, config.value_channels, 1, rng)
        self.hidden = layers.Linear(3 * config.value_channels, config.value_hidden, rng)
        self.out = layers.Linear(config.value_hidden, outputs, rng)

    def forward(self, x, mask=None):
        return self.out(ops.relu(self.hidden(pooled(self.conv(x, mask=mask), mask))))


def make_policy_head(game: Game, config: NetworkConfig, rng: np.random.Generator) -> layers.Module:
    """The policy head that `config` names. Raises `UserError` if it does not fit the game."""
    return (PolicyHead if config.policy_head == "flat" else ConvolutionalPolicyHead)(game, config, rng)


def make_value_head(game: Game, config: NetworkConfig, outputs: int, rng: np.random.Generator) -> layers.Module:
    """The value head that `config` names."""
    return (PooledValueHead if config.value_pooling else ValueHead)(game, config, outputs, rng)


def value_of(logits):
    """The value head's logits as values `[n]` in (-1, 1): tanh of one, P(win) - P(loss) of three (win, draw, loss)."""
    if logits.shape[1] == 1:
        return ops.tanh(logits).reshape(logits.shape[0])
    p = ops.softmax(logits)
    return p[:, 0] - p[:, 2]


class OwnershipHead(layers.Module):
    """Features `[n, rows, cols, width]` -> logits `[n, points]` that a point will be the mover's (KataGo, arXiv
    1902.10565, section 4.1)."""

    def __init__(self, config: NetworkConfig, rng: np.random.Generator):
        self.conv = layers.ConvBN(config.channels, config.value_channels, 1, rng)
        self.out = layers.Conv2d(config.value_channels, 1, 1, rng)

    def forward(self, x, mask=None):
        return self.out(self.conv(x, mask=mask)).reshape(x.shape[0], -1)


class AuxiliaryHeads(layers.Module):
    """The heads whose weight in `LearnerConfig` is not 0: features `[n, rows, cols, width]` -> name -> outputs.

    reply: policy logits of the opponent's reply, in the opponent's action numbers (KataGo, arXiv 1902.10565, 4.1).
    soft_policy: logits of the softened policy (KataGoMethods.md, "Auxiliary Soft Policy Target").
    moves_left: plies to the end of the game `[n, 1]` (lc0's moves-left head).
    ownership: see `OwnershipHead`. score: the margin at the end `[n, 1]` (KataGo, ibid., its mean alone).
    Raises `UserError` for the last two in a game that is not counted point by point.
    """

    def __init__(self, game: Game, network: NetworkConfig, learner: LearnerConfig, rng: np.random.Generator):
        self.reply = make_policy_head(game, network, rng) if learner.reply_weight else None
        self.soft_policy = make_policy_head(game, network, rng) if learner.soft_policy_weight else None
        self.moves_left = make_value_head(game, network, 1, rng) if learner.moves_left_weight else None
        if (learner.ownership_weight or learner.score_weight) and not counts_points(game):
            raise UserError(f"learner.ownership_weight, score_weight: {game.name} is not counted point by point")
        self.ownership = OwnershipHead(network, rng) if learner.ownership_weight else None
        self.score = make_value_head(game, network, 1, rng) if learner.score_weight else None

    def forward(self, x, mask=None):
        return {name: head(x, mask) for name, head in self.children()}

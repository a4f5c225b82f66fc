"""What stands on the tower: policy and value heads, and heads that exist for training alone.

The auxiliary heads teach the tower what the game result and the policy say too rarely or too coarsely; they are no
part of a network's file and cost nothing when it plays.
"""

import numpy as np

from mcts_ext.state import Game
from nn import layers, ops
from zero.config import LearnerConfig, NetworkConfig

VALUE_OUTPUTS = {"scalar": 1, "wdl": 3}  # logits of the value head


class PolicyHead(layers.Module):
    """Features `[n, rows, cols, width]` -> logits `[n, actions]` (Silver et al. 2017, Methods)."""

    def __init__(self, game: Game, config: NetworkConfig, rng: np.random.Generator):
        channels = config.policy_channels
        self.conv = layers.ConvBN(config.channels, channels, 1, rng)
        self.out = layers.Linear(channels * game.rows * game.cols, game.num_actions, rng)

    def forward(self, x):
        return self.out(self.conv(x).reshape(x.shape[0], -1))


class ValueHead(layers.Module):
    """Features `[n, rows, cols, width]` -> `[n, outputs]` through one hidden layer (Silver et al. 2017, Methods)."""

    def __init__(self, game: Game, config: NetworkConfig, outputs: int, rng: np.random.Generator):
        self.conv = layers.ConvBN(config.channels, config.value_channels, 1, rng)
        self.hidden = layers.Linear(config.value_channels * game.rows * game.cols, config.value_hidden, rng)
        self.out = layers.Linear(config.value_hidden, outputs, rng)

    def forward(self, x):
        return self.out(ops.relu(self.hidden(self.conv(x).reshape(x.shape[0], -1))))


def value_of(logits):
    """The value head's logits as values `[n]` in (-1, 1): tanh of one, P(win) - P(loss) of three (win, draw, loss)."""
    if logits.shape[1] == 1:
        return ops.tanh(logits).reshape(logits.shape[0])
    p = ops.softmax(logits)
    return p[:, 0] - p[:, 2]


class AuxiliaryHeads(layers.Module):
    """The heads whose weight in `LearnerConfig` is not 0: features `[n, rows, cols, width]` -> name -> outputs.

    reply: policy logits of the opponent's reply, in the opponent's action numbers (KataGo, arXiv 1902.10565, 4.1).
    soft_policy: logits of the softened policy (KataGoMethods.md, "Auxiliary Soft Policy Target").
    moves_left: plies to the end of the game `[n, 1]` (lc0's moves-left head).
    """

    def __init__(self, game: Game, network: NetworkConfig, learner: LearnerConfig, rng: np.random.Generator):
        self.reply = PolicyHead(game, network, rng) if learner.reply_weight else None
        self.soft_policy = PolicyHead(game, network, rng) if learner.soft_policy_weight else None
        self.moves_left = ValueHead(game, network, 1, rng) if learner.moves_left_weight else None

    def forward(self, x):
        return {name: head(x) for name, head in self.children()}

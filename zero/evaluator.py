"""The network as the search's evaluator: a batch of planes in, logits and values out."""

from pathlib import Path

import numpy as np

import nn
from mcts_ext.evaluators import Evaluator
from mcts_ext.state import Game
from nn import infer
from zero.games import make_game
from zero.network import Network, load_network, read_about


class NetworkEvaluator:
    """Compiled inference of one network, where the network is; `threads` of this machine's cores work on a batch."""

    def __init__(self, network: Network, game: Game, threads: int = 1):
        self.game = game
        shape = (game.rows, game.cols, game.planes)
        on_card = network.parameters()[0].device == "cuda"
        dtype = "bfloat16" if on_card else network.config.precision  # of the convolutions' operands
        self._plan = infer.compile(network, input_shape=shape, dtype=dtype, threads=threads)

    @classmethod
    def load(cls, path: str | Path, game: str | None = None, threads: int = 1,
             device: str = "cpu") -> "NetworkEvaluator":  # fmt: skip
        """From a weights file; of the game its metadata names. Raises `UserError` if that is not `game`, ValueError if
        there is no such device."""
        made = make_game(game or read_about(path)["game"])
        network = load_network(path, made)
        network.to(device=device)
        return cls(network, made, threads)

    def __call__(self, planes: np.ndarray, legal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """planes float32 `[n, rows, cols, planes]` -> logits float32 `[n, actions]`, values float32 `[n]`."""
        return self._plan(planes)


def plain_evaluator(network: Network) -> Evaluator:
    """The network computed operation by operation, as it is defined: slow, to judge the compiled one by."""
    def evaluate(planes: np.ndarray, legal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with nn.no_grad():
            logits, values = network(nn.Tensor(planes))
        return logits.numpy(), values.numpy()

    return evaluate

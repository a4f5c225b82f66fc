"""Checks of what evaluates positions on this machine: compiled inference, on the processor and on a card."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from mcts_ext.evaluators import Disagreement, Evaluator, check
from mcts_ext.state import Game, State
from nn import backend, cpu
from zero.config import NetworkConfig
from zero.doctor import Check, Fault, Skipped, attempt, random_games, sample
from zero.evaluator import NetworkEvaluator, plain_evaluator
from zero.games import make_game
from zero.network import Network, load_network, read_about

POSITIONS = 12  # of each of two random games
TOLERANCE = 1e-3  # of a probability or a value; float32 on the processor stays far below
ROUNDED_TOLERANCE = 0.05  # of bfloat16; as the definition of its kernels rounds, up to 0.03 was seen in 5 blocks
SMALL = NetworkConfig(blocks=2, channels=16)


def examine_evaluation(game: Game) -> Iterator[Check]:
    """The checks of a network, with a small untrained one: are the kernels right for boards of this game?"""
    yield from _examine(game, lambda: Network(game, SMALL, np.random.default_rng(0)).eval())


def examine_network(path: Path) -> Iterator[Check]:
    """The checks of a network file: what the search is told is what the network says, whoever sits beside it, and
    wherever it is computed."""
    game = make_game(read_about(path)["game"])
    yield from _examine(game, lambda: load_network(path, game))


def _examine(game: Game, make: Callable[[], Network]) -> Iterator[Check]:
    network = make()
    states, evaluator = _positions(game), NetworkEvaluator(network, game)
    tolerance = ROUNDED_TOLERANCE if cpu.kernel(network.config.precision) == "amx" else TOLERANCE
    yield attempt("compiled against plain evaluation",
                  lambda: compare(evaluator, plain_evaluator(make()), states, tolerance))
    yield attempt("finite answers", lambda: check_finite(evaluator, states))
    yield attempt("independent of the batch", lambda: check_alone(evaluator, states))
    yield attempt("card against processor",
                  lambda: compare(_on_card(make(), game), evaluator, states, ROUNDED_TOLERANCE))


def _positions(game: Game) -> list[State]:
    rng = np.random.default_rng(0)
    return [state for states, _ in random_games(game, 2, rng) for state in sample(states[:-1], POSITIONS, rng)]


def examine_card(game: Game, config: NetworkConfig) -> Check:
    """Does a card of this machine say of an untrained network of that shape what the processor does?"""
    def make() -> Network:
        return Network(game, config, np.random.default_rng(0)).eval()

    states, evaluator = _positions(game), NetworkEvaluator(make(), game)
    return attempt("card against processor",
                   lambda: compare(_on_card(make(), game), evaluator, states, ROUNDED_TOLERANCE))


def compare(evaluator: Evaluator, reference: Evaluator, states: list[State], tolerance: float) -> None:
    """Raises `Fault` with the first position where the two differ by more than `tolerance`."""
    try:
        check(evaluator, reference, tolerance, tolerance)(*_batch(states))
    except Disagreement as error:
        raise Fault(str(error), states[error.row]) from None


def check_finite(evaluator: Evaluator, states: list[State]) -> None:
    for state, logits, value in zip(states, *evaluator(*_batch(states)), strict=True):
        if not (np.isfinite(logits).all() and abs(value) <= 1):
            raise Fault("logits or a value that is not finite, or a value outside -1..1", state)


def check_alone(evaluator: Evaluator, states: list[State]) -> None:
    together = [array.copy() for array in evaluator(*_batch(states))]
    for state, row, value in zip(states, *together, strict=True):
        one_row, one_value = evaluator(*_batch([state]))
        if not (np.array_equal(one_row[0], row) and one_value[0] == value):
            raise Fault("evaluated differently alone and in a batch", state)


def _batch(states: list[State]) -> tuple[np.ndarray, np.ndarray]:
    """Planes and legal actions."""
    return np.stack([state.encode() for state in states]), np.stack([state.legal() for state in states])


def _on_card(network: Network, game: Game) -> Evaluator:
    if backend.cupy() is None:
        raise Skipped("no NVIDIA card, driver or CuPy here")
    network.to(device="cuda")
    return NetworkEvaluator(network, game)

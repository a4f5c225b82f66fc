"""What the tests of the search share."""
import numpy as np

from mcts_ext.games import make
from mcts_ext.search import Search


def network(planes, legal):
    """A deterministic stand-in: each position's answer depends on that position alone."""
    flat = planes.reshape(len(planes), -1).astype(np.float64)
    weight = np.sin(np.arange(flat.shape[1] * legal.shape[1]) * 12.9898).reshape(flat.shape[1], -1)
    hidden = flat @ weight
    return (2 * np.sin(hidden)).astype(np.float32), np.tanh(hidden.sum(1) / 9).astype(np.float32)


def searched(name="connect4", sims=100, options=None, evaluate=network, moves="", noise=False, seed=1, **more):
    """A search of one slot after `moves`, each one character, and so many simulations."""
    search = Search(make(name), 1, options, seed=seed, **more)
    for move in moves:
        search.play(0, search.game.text_to_action(move))
    search.start(0, sims, noise)
    search.run(evaluate)
    return search


def same(first, second):
    """Whether two results are equal bit for bit."""
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in first._fields)

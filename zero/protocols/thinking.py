"""What a search thinks of a position, for those who want to see it: our analysis, GTP, the game review."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcts_ext.search import Search
from mcts_ext.state import State

OWNERSHIP_PLAYOUTS = 64


@dataclass(frozen=True)
class MoveThought:
    """One move at the root. `value` and its lower confidence bound `lcb` are the root mover's, in [-1, 1]; `pv` is the
    line that begins with the move."""

    action: int
    visits: int
    prior: float
    value: float
    lcb: float
    pv: tuple[int, ...]


@dataclass(frozen=True)
class Thoughts:
    """A position as the search sees it, moves in order of preference; values are the mover's."""

    best: int
    value: float
    raw_value: float
    visits: int
    moves: tuple[MoveThought, ...]
    policy: np.ndarray  # float32 [A], the evaluator's, 0 where illegal


def read_thoughts(search: Search, slot: int) -> Thoughts:
    """The present state of a search that is not running. A move without visits has the position's own value."""
    result = search.result(slot)
    legal = np.flatnonzero(search.state(slot).legal())
    order = sorted(legal, key=lambda a: (a != result.best, -int(result.visits[a]), -float(result.prior[a])))
    moves = tuple(
        MoveThought(
            int(action), int(result.visits[action]), float(result.prior[action]),
            float(result.q[action] if result.visits[action] else result.value), float(result.lcb[action]),
            tuple(result.pv) if action == result.best else tuple(search.principal_variation(slot, int(action))))
        for action in order)
    return Thoughts(int(result.best), float(result.value), float(result.raw_value), int(result.visits.sum()), moves,
                    result.prior)


def estimate_ownership(state: State, line: Sequence[int] = (), playouts: int = OWNERSHIP_PLAYOUTS) -> np.ndarray:
    """Who will own each point, float64 [rows, cols] in [-1, 1], seen by the player to move in `state`.

    The mean over random games that go on from the end of `line`, the variation the search believes in.
    Raises ValueError for games that count no points.
    """
    start = state.copy()
    for action in line:
        start.play(action)
    total = np.zeros((state.game.rows, state.game.cols))
    for k in range(playouts):
        final = start.copy()
        final.playout(k + 1)
        owners = final.ownership()
        total += (owners == 1).astype(float) - (owners == 2)
    return total / playouts * (1 if state.to_move == 0 else -1)

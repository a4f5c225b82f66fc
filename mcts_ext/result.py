"""What a search found."""
from dataclasses import dataclass

import numpy as np


class EvaluationError(ValueError):
    """An evaluator answered with something that is no evaluation."""


@dataclass(frozen=True)
class SearchResult:
    """Arrays are over all actions [A], 0 where an action is illegal; values as the player to move at the root sees
    them."""

    visits: np.ndarray
    """uint32 [A]: visits of each action, those of a reused tree among them."""
    q: np.ndarray
    """float32 [A]: mean value of each action, 0 where it was never visited."""
    prior: np.ndarray
    """float32 [A]: the evaluator's policy, without noise."""
    policy: np.ndarray
    """float32 [A], sums to 1: the policy target, see SearchOptions.root."""
    value: float
    """Mean value of the root."""
    raw_value: float
    """The evaluator's value of the root."""
    best: int
    """The action to play; -1 if the game is over."""
    pv: list[int]
    """The principal variation: `best`, then the most visited actions."""
    simulations: int
    """Done by this search."""

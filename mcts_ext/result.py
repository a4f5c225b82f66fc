"""What a search found."""
from typing import NamedTuple

import numpy as np

UNPROVEN = 2


class EvaluationError(ValueError):
    """An evaluator answered with something that is no evaluation."""


class SearchResult(NamedTuple):
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
    lcb: np.ndarray
    """float32 [A]: lower confidence bound of q (SearchOptions.lcb_stdevs), -1 where it was never visited."""
    proven: np.ndarray
    """int8 [A]: 1, 0 or -1 where the solver proved an action's value, UNPROVEN elsewhere."""
    value: float
    """Mean value of the root; its true value if that is proven."""
    raw_value: float
    """The evaluator's value of the root."""
    proven_value: int | None
    """1, 0 or -1 if the solver proved the value of the root, or the game is over."""
    best: int
    """The action to play; -1 if the game is over."""
    pv: list[int]
    """The principal variation: `best`, then the most visited actions."""
    simulations: int
    """Done by this search."""

    @property
    def policy_value(self) -> float:
        """What the policy target expects: the mean of q weighted by `policy` over visited actions; the true value if
        that is proven. Sequential halving spends visits on weak actions, which lower `value` but not this."""
        if self.proven_value is not None:
            return float(self.proven_value)
        weights = np.where(self.visits > 0, self.policy, 0)
        total = float(weights.sum())
        return float(weights @ self.q) / total if total > 0 else self.value

"""Evaluators made of other evaluators. Each maps (planes [k, rows, cols, planes], legal [k, A]) to (logits [k, A],
values [k], seen by the player to move). `uniform` and `rollout` are built into the search, `mixed` is its option
rollout_weight."""
from collections.abc import Callable

import numpy as np

Evaluator = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


class Disagreement(AssertionError):
    """Two evaluators answered differently; `row` is the first such position of the batch."""

    def __init__(self, text: str, row: int):
        super().__init__(text)
        self.row = row


def check(evaluator: Evaluator, reference: Evaluator, policy_tolerance: float = 1e-3,
          value_tolerance: float = 1e-3) -> Evaluator:
    """Answers like `evaluator`, and raises Disagreement where `reference` gives another policy or value.

    Policies are compared as probabilities of the legal actions. Say a new kernel or device against a trusted one.
    """
    def checked(planes: np.ndarray, legal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits, values = evaluator(planes, legal)
        expected_logits, expected_values = reference(planes, legal)
        difference = np.abs(softmax(logits, legal) - softmax(expected_logits, legal)).max(axis=1)
        _compare("policy", difference, policy_tolerance)
        _compare("value", np.abs(np.reshape(values, -1) - np.reshape(expected_values, -1)), value_tolerance)
        return logits, values
    return checked


def _compare(what: str, difference: np.ndarray, tolerance: float) -> None:
    # `not <=` so that NaN is a disagreement.
    wrong = np.flatnonzero(~(difference <= tolerance))
    if wrong.size:
        raise Disagreement(f"{what} of position {wrong[0]} of {len(difference)}: the evaluators differ by "
                           f"{difference[wrong[0]]:.3g}, more than {tolerance:g}", int(wrong[0]))


def softmax(logits: np.ndarray, legal: np.ndarray) -> np.ndarray:
    """float64 [k, A]: probabilities over the legal actions, 0 elsewhere."""
    masked = np.where(legal, np.asarray(logits, np.float64), -np.inf)
    weights = np.exp(masked - masked.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)

"""The learner's losses, each a mean over the samples of a batch.

    l = policy + value_weight value + sum of weight * auxiliary loss

The L2 term of the paper's loss (Silver et al. 2017, equation 1) is the optimiser's weight decay.
"""

import numpy as np

import nn
from nn import ops
from zero.batch import Batch
from zero.config import LearnerConfig
from zero.heads import value_of

SOFTENING = 0.25  # exponent of the soft policy target: a temperature of 4
PLIES_UNIT, PLIES_DELTA = 20.0, 10.0  # moves left are compared in this unit; beyond delta errors count linearly: lc0's
POINTS_UNIT, POINTS_DELTA = 20.0, 12.0  # the same for the score; KataGo's delta


def all_losses(policy, value, auxiliary: dict, batch: Batch, settings: LearnerConfig) -> dict:
    """name -> (weight, loss), from the logits of the heads: policy `[n, actions]`, value `[n, 1 or 3]`."""
    has_policy = _given(batch.policy)
    parts = {
        "policy": (1.0, ops.cross_entropy(policy, nn.Tensor(batch.policy), batch.legal, has_policy)),
        "value": (settings.value_weight, _value_loss(value, batch)),
    }
    if "reply" in auxiliary:
        loss = ops.cross_entropy(auxiliary["reply"], nn.Tensor(batch.reply), batch.existing, _given(batch.reply))
        parts["reply"] = settings.reply_weight, loss
    if "soft_policy" in auxiliary:
        loss = ops.cross_entropy(auxiliary["soft_policy"], nn.Tensor(softened(batch.policy)), batch.legal, has_policy)
        parts["soft_policy"] = settings.soft_policy_weight, loss
    if "moves_left" in auxiliary:
        loss = _distance(auxiliary["moves_left"], batch.moves_left, PLIES_UNIT, PLIES_DELTA)
        parts["moves_left"] = settings.moves_left_weight, loss
    if "ownership" in auxiliary:
        parts["ownership"] = settings.ownership_weight, _ownership_loss(auxiliary["ownership"], batch)
    if "score" in auxiliary:
        parts["score"] = settings.score_weight, _distance(auxiliary["score"], batch.score, POINTS_UNIT, POINTS_DELTA)
    return parts


def sample_counts(batch: Batch) -> dict[str, float]:
    """name of a loss -> how many samples of the batch it is the mean over."""
    has_policy = _given(batch.policy).sum()
    counts = {"policy": has_policy, "soft_policy": has_policy, "value": len(batch.value)}
    counts |= {"reply": _given(batch.reply).sum(), "moves_left": _known(batch.moves_left).sum()}
    for name, target in (("ownership", batch.ownership), ("score", batch.score)):
        counts[name] = 0 if target is None else _known(target).sum()
    return counts


def _given(policy: np.ndarray) -> np.ndarray:
    """1 where there is a policy target, `[n]`: the others take no part."""
    return policy.any(axis=1).astype(np.float32)


def _known(target: np.ndarray) -> np.ndarray:
    """Which samples have that target, bool `[n]`; of the others it is NaN."""
    return ~np.isnan(target.reshape(len(target), -1)).any(axis=1)


def _distance(predicted, target: np.ndarray, unit: float, delta: float):
    """Huber loss of `predicted [n, 1]`, over the samples whose `target [n]` is known (not NaN)."""
    known = _known(target)
    target = np.where(known, target / unit, 0).astype(np.float32)[:, None]
    return ops.huber(predicted / unit, nn.Tensor(target), known.astype(np.float32), delta=delta / unit)


def _ownership_loss(logits, batch: Batch):
    """Mean binary cross-entropy of the points' owners, `[n, points]`, over the samples whose owners are known."""
    target, mask = batch.ownership, batch.mask
    known, points = _known(target), target.shape[1] if mask is None else mask.sum((1, 2))
    mine = np.where(known[:, None], (1 + target) / 2, 0).astype(np.float32)
    share = (known / (max(known.sum(), 1) * points)).astype(np.float32)[:, None]
    if mask is not None:
        share = share * mask.reshape(target.shape)
    return ((ops.softplus(logits) - logits * mine) * share).sum()


def _value_loss(logits, batch: Batch):
    """Squared error of a scalar value, cross-entropy with (win, draw, loss) of three logits."""
    if logits.shape[1] == 1:
        return ops.mse(value_of(logits), nn.Tensor(batch.value))
    return ops.cross_entropy(logits, nn.Tensor(win_draw_loss(batch.value, batch.draw)))


def win_draw_loss(value: np.ndarray, draw: np.ndarray) -> np.ndarray:
    """The distribution `[n, 3]` with P(draw) = `draw [n]` and P(win) - P(loss) = `value [n]`; |value| <= 1 - draw."""
    decided = 1 - draw
    return np.stack([(decided + value) / 2, draw, (decided - value) / 2], axis=1)


def softened(policy: np.ndarray) -> np.ndarray:
    """`policy ** 0.25` `[n, actions]`, made to sum to 1 again; a row of zeros stays one (KataGoMethods.md)."""
    soft = policy ** np.float32(SOFTENING)
    sums = soft.sum(axis=1, keepdims=True)
    return soft / np.where(sums > 0, sums, np.float32(1))

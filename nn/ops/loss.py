"""Losses: means over the samples, each one operation with an exact gradient.

`weight [n]` weighs the samples: the loss is sum(weight * loss) / sum(weight), 0 if all weights are 0.
"""

from nn.backend import array_module
from nn.tensor import op


def _shares(weight, like, n):
    """Each sample's share of the mean, `[n]` of the dtype of `like`."""
    xp = array_module(like)
    if weight is None:
        return xp.full(n, 1 / n, like.dtype)
    if weight.shape != (n,):
        raise ValueError(f"weight must have shape [{n}], not {list(weight.shape)}")
    total = weight.sum()
    return (weight / xp.where(total > 0, total, 1)).astype(like.dtype)


@op
def cross_entropy(logits, target, legal=None, weight=None):
    """Cross-entropy of softmax(`logits [n, k]`) with `target`: probabilities `[n, k]` or class numbers int `[n]`.

    Classes where `legal [n, k]` is 0 take no part: probability 0, gradient 0; a row of them has loss 0. The gradient in
    the logits is (softmax - target) times the sample's share; it never passes through a logarithm.
    """
    xp = array_module(logits)
    n, k = logits.shape
    if target.ndim == 1:
        if target.dtype.kind not in "iu":
            raise TypeError(f"class numbers must be integers, not {target.dtype}")
        if n and not (0 <= target.min() and target.max() < k):
            raise ValueError(f"class numbers must be 0 to {k - 1}, found {int(target.min())} to {int(target.max())}")
        target = xp.eye(k, dtype=logits.dtype)[target]
    if target.shape != logits.shape:
        raise ValueError(f"target must have shape {[n, k]} or [{n}], not {list(target.shape)}")
    if legal is not None:
        logits = xp.where(legal, logits, logits.dtype.type(-xp.inf))
        target = xp.where(legal, target, logits.dtype.type(0))
    peak = logits.max(1, keepdims=True)
    shifted = logits - xp.where(xp.isfinite(peak), peak, peak.dtype.type(0))  # no legal class: all stay -inf
    p = xp.exp(shifted)
    total = p.sum(1, keepdims=True)
    total = xp.where(total > 0, total, total.dtype.type(1))
    p /= total
    log_p = shifted - xp.log(total)
    if legal is not None:
        log_p = xp.where(legal, log_p, log_p.dtype.type(0))
    share = _shares(weight, logits, n)
    value = -(share * (target * log_p).sum(1)).sum()

    def pullback(g):
        return (g * share)[:, None] * (p * target.sum(1, keepdims=True) - target), None, None, None

    return value, pullback


def _elementwise(x, target, weight, value, slope):
    """Mean over the elements of a sample, weighted mean over the samples."""
    n = x.shape[0]
    share = _shares(weight, x, n).reshape(n, *[1] * (x.ndim - 1)) / (x.size // n)
    share = share.astype(x.dtype, copy=False)

    def pullback(g):
        gx = g * share * slope
        return gx, -gx, None

    return (share * value).sum(), pullback


def _check_target(x, target):
    if x.shape != target.shape:
        raise ValueError(f"prediction {list(x.shape)} and target {list(target.shape)} must have one shape")


@op
def mse(x, target, weight=None):
    """Mean squared error of `x [n, ...]`."""
    _check_target(x, target)
    difference = x - target
    return _elementwise(x, target, weight, difference * difference, 2 * difference)


@op
def huber(x, target, weight=None, *, delta=1.0):
    """Huber loss (1964): d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2)."""
    _check_target(x, target)
    xp = array_module(x)
    difference = x - target
    clipped = xp.clip(difference, -delta, delta)
    return _elementwise(x, target, weight, clipped * (difference - 0.5 * clipped), clipped)

"""Post-training quantisation of the 3x3 convolutions: int8 operands, exact integer sums (Jacob et al. 2018, section 2).

A real number r is stored as q = round(r / scale), -127 <= q <= 127. Weights have one scale per output channel,
activations one per layer, chosen on calibration samples. Bias, residuals and everything outside the towers stay
float32. `nn.infer.compile(..., dtype="int8", calibration=samples)` uses it; `accuracy_loss` says what it cost.
"""

from dataclasses import dataclass

import numpy as np

from nn.reference import Tower

LARGEST = 127
_CLIPS = np.linspace(0.4, 1.0, 13)  # candidates, as fractions of the largest magnitude
_SAMPLED = 100_000  # values looked at per layer


def quantise(x, scale):
    """`x` as int8 multiples of `scale`, the nearest ones."""
    return np.clip(np.rint(x / scale), -LARGEST, LARGEST).astype(np.int8)


def weight_scales(w):
    """One scale per output channel of `w [..., co]`: the largest weight becomes 127."""
    largest = np.abs(w).reshape(-1, w.shape[-1]).max(0)
    return (np.where(largest > 0, largest, 1) / LARGEST).astype(np.float32)


def activation_scale(x):
    """The scale with the least squared rounding and clipping error over the values of `x`."""
    values = x.reshape(-1)[:: max(1, x.size // _SAMPLED)]
    largest = float(np.abs(values).max())
    if largest == 0:
        return np.float32(1 / LARGEST)
    scales = _CLIPS * (largest / LARGEST)
    errors = [np.square(quantise(values, s) * s - values).sum() for s in scales]
    return np.float32(scales[int(np.argmin(errors))])


def calibrate(layers, x, outside=None):
    """Activation scales of a tower's layers for the samples `x [n, h, w, ci]`, run in float32."""
    tower = Tower(layers, *x.shape[1:3])
    inputs = [x, *tower.activations(x, outside)[:-1]]
    return [activation_scale(a) for a in inputs]


@dataclass(frozen=True)
class OutputLoss:
    """How one output of a quantised plan differs from the exact one, over the samples."""

    relative_error: float  # |difference| / |exact|, Euclidean norms
    largest_error: float  # of any element
    same_choice: float  # fraction of samples with the same largest element; 1.0 for outputs of one element


def accuracy_loss(plan, exact, x):
    """An `OutputLoss` per output of two plans of one network, for samples `x [n, ...]`."""
    return [_loss(a.reshape(len(x), -1), b.reshape(len(x), -1)) for a, b in zip(plan(x), exact(x), strict=True)]


def _loss(a, b):
    difference = a - b
    norm = max(float(np.linalg.norm(b)), np.finfo(np.float32).tiny)
    same = float((a.argmax(1) == b.argmax(1)).mean())
    return OutputLoss(float(np.linalg.norm(difference)) / norm, float(np.abs(difference).max()), same)

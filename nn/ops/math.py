"""Arithmetic, elementwise functions, comparisons, reductions and matrix products."""

import math

import numpy as np

from nn.backend import array_module, dtype_of, kernels
from nn.tensor import op, unbroadcast


def _shape(x):
    return getattr(x, "shape", ())


@op
def add(a, b):
    return a + b, lambda g: (unbroadcast(g, _shape(a)), unbroadcast(g, _shape(b)))


@op
def sub(a, b):
    return a - b, lambda g: (unbroadcast(g, _shape(a)), unbroadcast(-g, _shape(b)))


@op
def mul(a, b, *, need):
    def pullback(g):
        return (unbroadcast(g * b, _shape(a)) if need[0] else None, unbroadcast(g * a, _shape(b)) if need[1] else None)

    return a * b, pullback


@op
def div(a, b, *, need):
    value = a / b

    def pullback(g):
        ga = g / b
        return unbroadcast(ga, _shape(a)), unbroadcast(-ga * value, _shape(b)) if need[1] else None

    return value, pullback


@op
def pow(a, b, *, need):
    """`a ** b`; the gradient in `b` is for `a > 0` (zero elsewhere, as at a = 0)."""
    value = a**b

    def pullback(g):
        ga = unbroadcast(g * b * a ** (b - 1), _shape(a)) if need[0] else None
        if not need[1]:
            return ga, None
        xp = array_module(g)
        positive = xp.asarray(a) > 0
        log = xp.log(xp.where(positive, a, 1))
        return ga, unbroadcast(xp.where(positive, g * value * log, 0).astype(g.dtype), _shape(b))

    return value, pullback


@op
def neg(x):
    return -x, lambda g: -g


@op
def abs(x):
    xp = array_module(x)
    return xp.abs(x), lambda g: g * xp.sign(x)


@op
def exp(x):
    value = array_module(x).exp(x)
    return value, lambda g: g * value


@op
def log(x):
    return array_module(x).log(x), lambda g: g / x


@op
def log1p(x):
    """log(1 + x), exact for small x."""
    return array_module(x).log1p(x), lambda g: g / (1 + x)


@op
def expm1(x):
    """exp(x) - 1, exact for small x."""
    value = array_module(x).expm1(x)
    return value, lambda g: g * (value + 1)


@op
def sqrt(x):
    value = array_module(x).sqrt(x)
    return value, lambda g: g / (2 * value)


@op
def square(x):
    return x * x, lambda g: 2 * g * x


@op
def sin(x):
    xp = array_module(x)
    return xp.sin(x), lambda g: g * xp.cos(x)


@op
def cos(x):
    xp = array_module(x)
    return xp.cos(x), lambda g: -g * xp.sin(x)


@op
def tanh(x):
    value = array_module(x).tanh(x)
    return value, lambda g: g * (1 - value * value)


def _sigmoid(x):
    return 0.5 * array_module(x).tanh(0.5 * x) + 0.5  # never overflows


@op
def sigmoid(x):
    value = _sigmoid(x)
    return value, lambda g: g * value * (1 - value)


@op
def softplus(x):
    """log(1 + exp(x))."""
    xp = array_module(x)
    return xp.logaddexp(x, x.dtype.type(0)), lambda g: g * _sigmoid(x)


@op
def relu(x):
    value = array_module(x).maximum(x, 0)
    return value, lambda g: g * (value > 0)


@op
def silu(x):
    """x * sigmoid(x)."""
    s = _sigmoid(x)
    return x * s, lambda g: g * (s * (1 + x * (1 - s)))


@op
def gelu(x):
    """Gaussian error linear unit in the tanh form (Hendrycks & Gimpel 2016, section 2)."""
    xp = array_module(x)
    c = math.sqrt(2 / math.pi)
    t = xp.tanh(c * (x + 0.044715 * x**3))

    def pullback(g):
        slope = c * (1 + 3 * 0.044715 * x * x)
        return g * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * slope)

    return 0.5 * x * (1 + t), pullback


@op
def mish(x):
    """x * tanh(softplus(x)) (Misra 2019)."""
    xp = array_module(x)
    t = xp.tanh(xp.logaddexp(x, x.dtype.type(0)))
    return x * t, lambda g: g * (t + x * (1 - t * t) * _sigmoid(x))


@op
def maximum(a, b):
    """Elementwise maximum; equal operands share the gradient evenly."""
    return _extremum(array_module(a).maximum(a, b), a, b)


@op
def minimum(a, b):
    """Elementwise minimum; equal operands share the gradient evenly."""
    return _extremum(array_module(a).minimum(a, b), a, b)


def _extremum(value, a, b):
    def pullback(g):
        half = g * 0.5
        ga = half * (a == value) + half * (b != value)
        return unbroadcast(ga, _shape(a)), unbroadcast(g - ga, _shape(b))

    return value, pullback


@op
def clip(x, *, low=None, high=None):
    """`x` limited to [low, high]; no gradient outside."""
    value = array_module(x).clip(x, low, high)
    return value, lambda g: g * (value == x)


def _comparison(name):
    def compare(a, b):
        return getattr(array_module(a), name)(a, b), None

    compare.__name__ = name
    compare.__doc__ = f"Elementwise `{name}`: a bool tensor without gradient."
    return op(compare)


equal, not_equal = _comparison("equal"), _comparison("not_equal")
less, less_equal = _comparison("less"), _comparison("less_equal")
greater, greater_equal = _comparison("greater"), _comparison("greater_equal")


@op
def where(condition, a, b):
    """`a` where `condition` holds, else `b`."""
    xp = array_module(condition)
    dtype = getattr(a, "dtype", None) or getattr(b, "dtype", None)
    value = xp.where(condition, xp.asarray(a, dtype), xp.asarray(b, dtype))

    def pullback(g):
        ga = xp.where(condition, g, g.dtype.type(0))
        return None, unbroadcast(ga, _shape(a)), unbroadcast(g - ga, _shape(b))

    return value, pullback


def _spread(g, shape, axis):
    """A reduction's gradient with its axes back, as a read-only view of `shape`."""
    xp = array_module(g)
    if axis is not None and g.ndim != len(shape):
        g = xp.expand_dims(g, axis)
    elif axis is None and g.ndim != len(shape):
        g = g.reshape((1,) * len(shape))
    return xp.broadcast_to(g, shape)


@op
def sum(x, *, axis=None, keepdims=False):
    return _reduce(x, x.sum, axis, keepdims), lambda g: _spread(g, x.shape, axis)


def _reduce(x, reduction, axis, keepdims):
    """`reduction` with half precision accumulated in float32."""
    if x.dtype.itemsize != 2 or x.dtype.kind in "iu":
        return reduction(axis, keepdims=keepdims)
    return reduction(axis, keepdims=keepdims, dtype=np.float32).astype(x.dtype)


def _count(shape, axis):
    axes = range(len(shape)) if axis is None else np.atleast_1d(axis)
    return math.prod(shape[i] for i in axes)


@op
def mean(x, *, axis=None, keepdims=False):
    return _reduce(x, x.mean, axis, keepdims), lambda g: _spread(g / _count(x.shape, axis), x.shape, axis)


@op
def var(x, *, axis=None, keepdims=False, correction=0):
    """Variance: squared deviations over (count - correction), as `numpy.var` (correction 0) or Bessel's (1)."""
    centred = x - _reduce(x, x.mean, axis, True)
    count = _count(x.shape, axis) - correction
    value = _reduce(x, (centred * centred).sum, axis, keepdims) / count
    return value, lambda g: _spread(g * (2 / count), x.shape, axis) * centred


def _select(x, value, axis):
    """Pullback of max and min: the gradient is shared evenly by all elements that attain the extremum."""

    def pullback(g):
        hits = x == _spread(value, x.shape, axis)
        return _spread(g, x.shape, axis) * hits / hits.sum(axis, keepdims=True).astype(x.dtype)

    return pullback


@op
def max(x, *, axis=None, keepdims=False):
    value = x.max(axis, keepdims=keepdims)
    return value, _select(x, value, axis)


@op
def min(x, *, axis=None, keepdims=False):
    value = x.min(axis, keepdims=keepdims)
    return value, _select(x, value, axis)


@op
def argmax(x, *, axis=None):
    """Index of the first largest element (int64, no gradient)."""
    return x.argmax(axis), None


@op
def matmul(a, b, *, need):
    """Matrix product, `a [..., n, k] @ b [..., k, m]`, leading axes broadcast; one-dimensional operands as in numpy."""

    def pullback(g):
        xp = array_module(g)
        left = a[None, :] if a.ndim == 1 else a
        right = b[:, None] if b.ndim == 1 else b
        if a.ndim == 1:
            g = xp.expand_dims(g, -1 if b.ndim == 1 else -2)
        if b.ndim == 1:
            g = xp.expand_dims(g, -1)
        ga = unbroadcast(g @ right.swapaxes(-1, -2), left.shape).reshape(a.shape) if need[0] else None
        gb = unbroadcast(left.swapaxes(-1, -2) @ g, right.shape).reshape(b.shape) if need[1] else None
        return ga, gb

    return a @ b, pullback


@op
def linear(x, w, bias=None, *, need):
    """`x [..., in] @ w [in, out] + bias [out]`."""
    rows = x.reshape(-1, x.shape[-1])
    value = kernels(x).linear(rows, w, bias)

    def pullback(g):
        g = g.reshape(-1, g.shape[-1])
        gx = (g @ w.T).reshape(x.shape) if need[0] else None
        return gx, rows.T @ g if need[1] else None, g.sum(0) if need[2] else None

    return value.reshape(*x.shape[:-1], w.shape[1]), pullback


@op
def astype(x, *, dtype):
    """`x` converted to `dtype`."""
    return x.astype(dtype_of(dtype)), lambda g: g.astype(x.dtype)


astype.casts = True

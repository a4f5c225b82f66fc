"""Convolution and pooling on images `[n, rows, cols, channels]`."""

from numpy.lib.stride_tricks import sliding_window_view

from nn.backend import array_module, kernels
from nn.tensor import op


@op
def conv2d(x, w, bias=None, *, stride=1, padding="same", need):
    """Convolution of `x [n, h, w, ci]` with `w [kh, kw, ci, co]` plus `bias [co]`: see `nn.reference.conv2d`."""
    if x.ndim != 4 or w.ndim != 4 or x.shape[3] != w.shape[2]:
        raise ValueError("image and filter must be [n, h, w, ci] and [kh, kw, ci, co]")
    k = kernels(x)

    def pullback(g):
        gx = k.conv2d_grad_input(g, w, x.shape, stride, padding) if need[0] else None
        gw = k.conv2d_grad_weight(x, g, w.shape, stride, padding) if need[1] else None
        return gx, gw, g.sum((0, 1, 2)) if need[2] else None

    return k.conv2d(x, w, bias, stride, padding), pullback


def _windows(x, size, stride):
    """Views of all pooling windows: `[n, rows, cols, c, size, size]`."""
    return sliding_window_view(x, (size, size), axis=(1, 2))[:, ::stride, ::stride]


def _scatter(shape, dtype, xp, size, stride, rows, cols, part):
    """Gradient of a pooling: `part(i, j) [n, rows, cols, c]` belongs to element (i, j) of every window."""
    gx = xp.zeros(shape, dtype)
    for i in range(size):
        for j in range(size):
            gx[:, i : i + rows * stride : stride, j : j + cols * stride : stride] += part(i, j)
    return gx


@op
def max_pool(x, *, size, stride=None):
    """Largest element of each `size` x `size` window, `stride` apart (default `size`); the first wins a tie."""
    stride = stride or size
    xp = array_module(x)
    windows = _windows(x, size, stride)
    flat = windows.reshape(*windows.shape[:4], size * size)
    winner = flat.argmax(-1)
    value = xp.take_along_axis(flat, winner[..., None], -1)[..., 0]
    rows, cols = value.shape[1:3]

    def pullback(g):
        return _scatter(x.shape, x.dtype, xp, size, stride, rows, cols, lambda i, j: g * (winner == i * size + j))

    return value, pullback


@op
def avg_pool(x, *, size, stride=None):
    """Mean of each `size` x `size` window, `stride` apart (default `size`)."""
    stride = stride or size
    value = _windows(x, size, stride).mean((-1, -2))
    rows, cols = value.shape[1:3]

    def pullback(g):
        share = g / (size * size)
        return _scatter(x.shape, x.dtype, array_module(x), size, stride, rows, cols, lambda i, j: share)

    return value, pullback


@op
def global_pool(x, *, mask=None):
    """Mean and maximum of each channel over the board: `[n, h, w, c]` -> `[n, 2 c]` (means first).

    Equal maxima share the gradient evenly. With `mask` (bool array `[n, h, w]`) only the points where it is True exist.
    """
    xp = array_module(x)
    n, h, w, c = x.shape
    if mask is None:
        both, count, seen = kernels(x).global_pool(x), h * w, x
    else:
        on = mask[..., None]
        count = on.sum((1, 2), dtype=x.dtype)
        mean = (x * on).sum((1, 2)) / count
        seen = xp.where(on, x, x.dtype.type(-xp.inf))
        both = xp.concatenate([mean, seen.max((1, 2))], 1)
    peak = both[:, c:]

    def pullback(g):
        hits = seen == peak[:, None, None]
        from_max = g[:, c:] / hits.sum((1, 2), dtype=x.dtype)
        gx = hits * from_max[:, None, None]
        from_mean = (g[:, :c] / count)[:, None, None]
        gx += from_mean if mask is None else from_mean * mask[..., None]
        return gx

    return both, pullback

"""Convolution as a matrix product of gathered patches, for any filter, stride and dtype; numpy or CuPy arrays."""

from nn.backend import array_module
from nn.reference import conv2d_shape, margins


def _patches(shape, kernel_shape, stride, padding):
    """Shape of the padded image, where the image lies in it, and for each tap the slices that its patches take."""
    n, h, w, c = shape
    (top, bottom), (left, right) = margins(kernel_shape, padding)
    padded = (n, h + top + bottom, w + left + right, c)
    rows, cols = conv2d_shape(shape, (*kernel_shape, c, 1), stride, padding)[1:3]
    taps = [
        (slice(None), slice(i, i + rows * stride, stride), slice(j, j + cols * stride, stride))
        for i in range(kernel_shape[0]) for j in range(kernel_shape[1])
    ]  # fmt: skip
    return padded, (slice(None), slice(top, top + h), slice(left, left + w)), taps, (rows, cols)


def _columns(x, kernel_shape, stride, padding):
    """Every patch as one row: `[n * rows * cols, kh * kw * ci]`."""
    xp = array_module(x)
    shape, inside, taps, (rows, cols) = _patches(x.shape, kernel_shape, stride, padding)
    image = xp.zeros(shape, x.dtype)
    image[inside] = x
    columns = xp.empty((x.shape[0], rows, cols, len(taps), x.shape[3]), x.dtype)
    for i, tap in enumerate(taps):
        columns[:, :, :, i] = image[tap]
    return columns.reshape(-1, len(taps) * x.shape[3])


def conv2d(x, w, bias, stride, padding):
    """See `nn.reference.conv2d`."""
    y = _columns(x, w.shape[:2], stride, padding) @ w.reshape(-1, w.shape[3])
    if bias is not None:
        y += bias
    return y.reshape(conv2d_shape(x.shape, w.shape, stride, padding))


def conv2d_grad_input(g, w, x_shape, stride, padding):
    """See `nn.reference.conv2d_grad_input`."""
    xp = array_module(g)
    shape, inside, taps, (rows, cols) = _patches(x_shape, w.shape[:2], stride, padding)
    parts = (g.reshape(-1, w.shape[3]) @ w.reshape(-1, w.shape[3]).T).reshape(-1, rows, cols, len(taps), w.shape[2])
    gx = xp.zeros(shape, g.dtype)
    for i, tap in enumerate(taps):
        gx[tap] += parts[:, :, :, i]
    return xp.ascontiguousarray(gx[inside])


def conv2d_grad_weight(x, g, w_shape, stride, padding):
    """See `nn.reference.conv2d_grad_weight`."""
    return (_columns(x, w_shape[:2], stride, padding).T @ g.reshape(-1, w_shape[3])).reshape(w_shape)

"""What each numeric kernel means, in numpy.

The compiled kernels (`nn.cpu`, `nn.cuda`) have the same names and signatures. This file is their definition, the
oracle of their tests, and what runs where no fast path exists. It takes any float dtype and returns the same one.

Layout is NHWC everywhere: images `[n, rows, cols, channels]`, filters `[kernel_rows, kernel_cols, in, out]`.
Convolution is the cross-correlation of the deep-learning literature (filters are not flipped).
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def margins(kernel_shape, padding):
    """Rows and columns of zeros around an image: `((top, bottom), (left, right))`.

    `"same"` keeps the size of the image at stride 1; an int is added on all four sides.
    """
    if padding == "same":
        return tuple(((k - 1) // 2, k // 2) for k in kernel_shape)
    return ((padding, padding), (padding, padding))


def conv2d_shape(x_shape, w_shape, stride=1, padding="same"):
    """Shape `[n, rows, cols, co]` of `conv2d`'s result."""
    (top, bottom), (left, right) = margins(w_shape[:2], padding)
    rows = (x_shape[1] + top + bottom - w_shape[0]) // stride + 1
    cols = (x_shape[2] + left + right - w_shape[1]) // stride + 1
    return (x_shape[0], rows, cols, w_shape[3])


def _columns(x, kernel_shape, stride, padding):
    """Every patch under the filter as one row ("im2col"): `[n, rows, cols, kh * kw * ci]`."""
    kh, kw = kernel_shape
    if (kh, kw, stride) == (1, 1, 1) and padding in ("same", 0):
        return x
    x = np.pad(x, ((0, 0), *margins(kernel_shape, padding), (0, 0)))
    windows = sliding_window_view(x, (kh, kw), axis=(1, 2))[:, ::stride, ::stride]  # [n, rows, cols, ci, kh, kw]
    return windows.transpose(0, 1, 2, 4, 5, 3).reshape(*windows.shape[:3], -1)


def conv2d(x, w, bias=None, stride=1, padding="same"):
    """Convolution of `x [n, h, w, ci]` with `w [kh, kw, ci, co]`, plus `bias [co]`; returns `[n, rows, cols, co]`."""
    columns = _columns(x, w.shape[:2], stride, padding)
    y = columns.reshape(-1, columns.shape[-1]) @ w.reshape(-1, w.shape[3])
    if bias is not None:
        y += bias
    return y.reshape(conv2d_shape(x.shape, w.shape, stride, padding))


def conv2d_grad_input(g, w, x_shape, stride=1, padding="same"):
    """Gradient of `conv2d` in its image: `g [n, rows, cols, co]` -> `[n, h, w, ci]` of shape `x_shape`.

    Convolution is linear, so this is its transpose: each output position scatters back into its patch.
    """
    kh, kw, ci, co = w.shape
    n, h, width, _ = x_shape
    (top, bottom), (left, right) = margins((kh, kw), padding)
    rows, cols = g.shape[1:3]
    patches = (g.reshape(-1, co) @ w.reshape(-1, co).T).reshape(n, rows, cols, kh, kw, ci)
    if (kh, kw, stride) == (1, 1, 1) and padding in ("same", 0):
        return patches.reshape(x_shape)
    gx = np.zeros_like(g, shape=(n, h + top + bottom, width + left + right, ci))
    for i in range(kh):
        for j in range(kw):
            gx[:, i : i + rows * stride : stride, j : j + cols * stride : stride] += patches[:, :, :, i, j]
    return gx[:, top : top + h, left : left + width].copy()


def conv2d_grad_weight(x, g, w_shape, stride=1, padding="same"):
    """Gradient of `conv2d` in its filter: `x [n, h, w, ci]`, `g [n, rows, cols, co]` -> `[kh, kw, ci, co]`."""
    columns = _columns(x, w_shape[:2], stride, padding)
    return (columns.reshape(-1, columns.shape[-1]).T @ g.reshape(-1, g.shape[-1])).reshape(w_shape)


def linear(x, w, bias=None, relu=False):
    """`relu(x [n, in] @ w [in, out] + bias [out])`, the bias and the ReLU if asked for."""
    y = x @ w
    if bias is not None:
        y += bias
    return np.maximum(y, 0, out=y) if relu else y


def global_pool(x):
    """Mean and maximum of each channel over the board: `[n, h, w, c]` -> `[n, 2 c]`, means first."""
    return np.concatenate([x.mean((1, 2), dtype=x.dtype), x.max((1, 2))], 1)


def bn_act_forward(y, gamma, beta, residual=None, eps=1e-5, relu=True):
    """Batch normalisation, optional residual, optional ReLU, with the statistics of this batch.

    `out = relu(gamma * (y - mean) * inv_std + beta + residual)`; mean and biased variance run over all axes but the
    last (Ioffe & Szegedy 2015, algorithm 1). Returns `(out [..., c], mean [c], inv_std [c])`,
    `inv_std = 1 / sqrt(variance + eps)`.
    """
    axes = tuple(range(y.ndim - 1))
    mean = y.mean(axes)
    inv_std = 1 / np.sqrt(np.square(y - mean).mean(axes) + y.dtype.type(eps))
    out = (y - mean) * (inv_std * gamma) + beta
    if residual is not None:
        out += residual
    if relu:
        np.maximum(out, 0, out=out)
    return out, mean, inv_std


def bn_act_backward(g, out, y, mean, inv_std, gamma, relu=True, need_residual=False):
    """Gradients of `bn_act_forward`: `(gy [..., c], dgamma [c], dbeta [c], gresidual [..., c] or None)`.

    `out`, `mean`, `inv_std` are what the forward pass returned; the ReLU's mask is `out > 0`.
    """
    axes = tuple(range(y.ndim - 1))
    if relu:
        g = g * (out > 0)
    normalised = (y - mean) * inv_std
    dbeta = g.sum(axes)
    dgamma = (g * normalised).sum(axes)
    count = y.size // y.shape[-1]
    gy = (gamma * inv_std) * (g - (dbeta + normalised * dgamma) / y.dtype.type(count))
    return gy, dgamma, dbeta, g if need_residual else None


def conv_bn_act_forward(x, w, gamma, beta, residual=None, eps=1e-5, relu=True, stride=1):
    """`conv2d` ("same", no bias), then `bn_act_forward`: returns `(y, out, mean, inv_std)`, `y` the convolution's."""
    y = conv2d(x, w, None, stride)
    return y, *bn_act_forward(y, gamma, beta, residual, eps, relu)


def conv_bn_act_backward(
    g, out, y, mean, inv_std, gamma, x, w, relu=True, need_input=True, need_residual=False, stride=1
):  # fmt: skip
    """Gradients of `conv_bn_act_forward`: `(gx or None, gw, dgamma, dbeta, gresidual or None)`."""
    gy, *rest = bn_act_backward(g, out, y, mean, inv_std, gamma, relu, need_residual)
    gx = conv2d_grad_input(gy, w, x.shape, stride) if need_input else None
    return gx, conv2d_grad_weight(x, gy, w.shape, stride), *rest


def sgd_update(p, g, velocity, lr, momentum, weight_decay, nesterov):
    """`nn.optim.SGD`'s update of the flat arrays `p`, `velocity` `[size]` in place; `g` is used up."""
    if weight_decay:
        g += weight_decay * p
    velocity *= momentum
    velocity += g
    if nesterov:
        g += momentum * velocity
        p -= lr * g
    else:
        p -= lr * velocity


def set_precision(dtype):
    """What kernels of float32 convolutions may round their operands to; the definition never rounds."""


def round_bfloat16(x):
    """`x` float32 rounded to the nearest bfloat16 (ties to even), still stored as float32; NaN stays NaN."""
    x = np.ascontiguousarray(x, np.float32)
    bits = x.view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)
    return np.where(np.isnan(x), x, rounded.view(np.float32))


OUTSIDE = -2  # a layer's residual: what the tower was given beside its input (the value that nn/cpu/slots.hpp has)


def outside_channels(layers):
    """Channels of what the layers of a tower add from outside, None if none does. Raises ValueError if they differ."""
    widths = {w.shape[3] for w, _, residual, _ in layers if residual == OUTSIDE}
    if len(widths) > 1:
        raise ValueError(f"Tower: layers of {sorted(widths)} channels add one array from outside")
    return widths.pop() if widths else None


class Tower:
    """Inference of a stack of 3x3 convolutions (stride 1, same padding) with bias, residuals and ReLU.

    `layers` is a list of `(weight [3, 3, ci, co] float32, bias [co], residual, relu)`; `residual` is the index of the
    earlier layer whose output is added before the ReLU, OUTSIDE for the array given beside the input, or None.
    `dtype` "float32" or "bfloat16" (operands rounded to bfloat16, sums in float32). `threads` and `isa` exist for the
    compiled kernels and change nothing here.
    """

    def __init__(self, layers, rows, cols, dtype="float32", threads=1, isa=None):
        if dtype not in ("float32", "bfloat16"):
            raise ValueError(f"Tower: dtype {dtype!r}: must be 'float32' or 'bfloat16'")
        self.rows, self.cols, self.dtype = rows, cols, dtype
        self._round = round_bfloat16 if dtype == "bfloat16" else lambda a: a
        self.layers = [(self._round(w.astype(np.float32, copy=False)), b.astype(np.float32, copy=False), residual, relu)
                       for w, b, residual, relu in layers]

    def __call__(self, x, outside=None):
        """`x [n, rows, cols, ci]` float32 -> `[n, rows, cols, co]` float32; `outside` as the output of its layers."""
        return self.activations(x, outside)[-1]

    def activations(self, x, outside=None):
        """The output of every layer."""
        outputs = []
        for i, (_, _, residual, relu) in enumerate(self.layers):
            x = self._convolve(i, x)
            if residual is not None:
                x += outside if residual == OUTSIDE else outputs[residual]
            if relu:
                np.maximum(x, 0, out=x)
            outputs.append(x)
        return outputs

    def _convolve(self, i, x):
        weight, bias, _, _ = self.layers[i]
        return conv2d(self._round(x), weight, bias)


class Int8Tower(Tower):
    """A `Tower` whose products are of 8-bit integers: `scales[i]` is the scale of layer i's input (see `nn.int8`).

    Layer i computes `sum(q_x * q_w) * scales[i] * weight_scale + bias`, the sum exact; the rest is float32.
    """

    def __init__(self, layers, scales, rows, cols, threads=1, isa=None):
        from nn.int8 import quantise, weight_scales

        super().__init__(layers, rows, cols)
        self.dtype, self.scales, self._quantise = "int8", scales, quantise
        self.weight_scales = [weight_scales(w) for w, *_ in layers]
        self.weights = [quantise(w, s) for (w, *_), s in zip(layers, self.weight_scales, strict=True)]

    def _convolve(self, i, x):
        weight, scale = self.weights[i], self.scales[i]
        # Floats hold integers exactly up to 2^24 and 2^53: then a float product is an integer product.
        exact = np.float32 if 9 * weight.shape[2] * 127 * 127 < 2**24 else np.float64
        total = conv2d(self._quantise(x, scale).astype(exact), weight.astype(exact))
        return (total * (scale * self.weight_scales[i])).astype(np.float32) + self.layers[i][1]

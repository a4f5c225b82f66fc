"""The numeric kernels of `nn.reference`, compiled: same names, same signatures, float32.

A call that has no fast path (another dtype, another filter size or stride, a processor below AVX2) runs the reference.
The instruction set is chosen when the package is imported; the environment variable `NN_CPU_ISA` ("avx512", "avx2",
"numpy") or the argument `isa` overrides it. Results are the same, bit for bit, from run to run for a given instruction
set and number of threads, and the result of one board never depends on the other boards of its batch.
"""

import os

import numpy as np

from nn import reference
from nn.cpu import _kernels

_ISAS = [*_kernels.supported(), "numpy"]


def _choose(isa):
    if isa not in _ISAS:
        raise ValueError(f"instruction set {isa!r}: this machine offers {', '.join(_ISAS)}")
    return isa


_isa = _choose(os.environ.get("NN_CPU_ISA", _ISAS[0]))
_threads = 1
_precision = "float32"


def isas():
    """The instruction sets this machine offers, best first; the last is "numpy"."""
    return list(_ISAS)


def isa():
    """The instruction set in use."""
    return _isa


def set_threads(count):
    """Number of threads that a kernel may use from now on (1 at import). Towers have their own number."""
    global _threads
    if count < 1:
        raise ValueError(f"set_threads({count}): must be 1 or more")
    _threads = count


def has_amx():
    """Whether the bfloat16 kernels for AMX can run here."""
    return _kernels.has_amx()


def kernel(dtype="float32", isa=None):
    """Name of the kernels that a tower of this dtype runs on: "amx", "avx512vnni", or an instruction set."""
    if _use_amx(isa, dtype):
        return "amx"
    isa = _choose(isa or _isa)
    if dtype == "int8":
        return "avx512vnni" if isa == "avx512" and _kernels.has_vnni() else "numpy"
    return isa


def set_precision(dtype):
    """Precision of the operands of float32 convolutions from now on: "float32" (at import) or "bfloat16".

    "bfloat16" rounds the operands of 3x3 convolutions and of their gradients, sums stay in float32. AMX makes that
    fast; elsewhere the rounded operands go through the float32 kernels, which is slower than not to round, and shows
    what training in bfloat16 would do.
    """
    global _precision
    if dtype not in ("float32", "bfloat16"):
        raise ValueError(f"set_precision({dtype!r}): must be 'float32' or 'bfloat16'")
    _precision = dtype


def _use_amx(isa, dtype):
    """`isa` is the caller's wish: naming an instruction set rules AMX out."""
    return dtype == "bfloat16" and isa is None and has_amx()


def _rounded(*arrays):
    """Operands of a 3x3 convolution as `set_precision` wants them; AMX rounds them itself."""
    return [reference.round_bfloat16(a) if _precision == "bfloat16" else a for a in arrays]


def _dense(*arrays):
    return [None if a is None else np.ascontiguousarray(a) for a in arrays]


def _is_float32(*arrays):
    return all(a is None or a.dtype == np.float32 for a in arrays)


def _fast_conv(x, w_shape, stride, padding, isa):
    """Whether a convolution of these sizes has a compiled kernel."""
    return isa != "numpy" and tuple(w_shape[:2]) == (3, 3) and stride == 1 and padding in ("same", 1) and 0 not in (
        *x.shape[1:3], *w_shape)


def _is_dense_layer(x, w, stride, padding):
    """Whether a convolution is the same linear layer at every point."""
    return w.shape[:2] == (1, 1) and stride == 1 and padding in ("same", 0) and x.ndim == 4


def _check_channels(name, got, expected, what):
    if got != expected:
        raise ValueError(f"{name}: {what} has {got} channels, the filter {expected}")


def conv2d(x, w, bias=None, stride=1, padding="same", *, isa=None, tile=None):
    """See `nn.reference.conv2d`. 3x3, stride 1, "same" runs by Winograd; `tile` overrides the choice of its size.

    Raises ValueError if the channels of `x` and `w` differ.
    """
    amx, isa = _use_amx(isa, _precision), isa or _isa
    if _is_dense_layer(x, w, stride, padding):
        return linear(x.reshape(-1, x.shape[3]), w[0, 0], bias, isa=isa).reshape(*x.shape[:3], w.shape[3])
    if not (_fast_conv(x, w.shape, stride, padding, isa) and _is_float32(x, w, bias)):
        return reference.conv2d(x, w, bias, stride, padding)
    _check_channels("conv2d", x.shape[3], w.shape[2], "the image")
    if amx:
        return _kernels.amx_conv3x3(*_dense(x, w, bias), _threads)
    return _kernels.conv3x3(*_dense(*_rounded(x, w), bias), _choose(isa), _threads, tile)


def conv2d_grad_input(g, w, x_shape, stride=1, padding="same", *, isa=None, tile=None):
    """See `nn.reference.conv2d_grad_input`: the same kernel with the filter turned round and transposed."""
    amx, isa = _use_amx(isa, _precision), isa or _isa
    if _is_dense_layer(g, w, stride, padding):
        return linear(g.reshape(-1, g.shape[3]), w[0, 0].T, isa=isa).reshape(x_shape)
    if not (_fast_conv(g, w.shape, stride, padding, isa) and _is_float32(g, w)):
        return reference.conv2d_grad_input(g, w, x_shape, stride, padding)
    _check_channels("conv2d_grad_input", g.shape[3], w.shape[3], "the gradient")
    turned = w[::-1, ::-1].transpose(0, 1, 3, 2)
    if amx:
        return _kernels.amx_conv3x3(*_dense(g, turned, None), _threads)
    return _kernels.conv3x3(*_dense(*_rounded(g, turned), None), _choose(isa), _threads, tile)


def conv2d_grad_weight(x, g, w_shape, stride=1, padding="same", *, isa=None, tile=None):
    """See `nn.reference.conv2d_grad_weight`: a product accumulated over Winograd's tiles."""
    amx, isa = _use_amx(isa, _precision), isa or _isa
    if not (_fast_conv(x, w_shape, stride, padding, isa) and _is_float32(x, g)):
        return reference.conv2d_grad_weight(x, g, w_shape, stride, padding)
    if x.shape[:3] != g.shape[:3]:
        raise ValueError(f"conv2d_grad_weight: images {x.shape} and gradients {g.shape} differ in size")
    if amx:
        return _kernels.amx_conv3x3_grad_weight(*_dense(x, g), _threads)
    return _kernels.conv3x3_grad_weight(*_dense(*_rounded(x, g)), _choose(isa), _threads, tile)


def linear(x, w, bias=None, relu=False, *, isa=None):
    """See `nn.reference.linear`. A row's result does not depend on the other rows, unlike that of a BLAS."""
    isa = isa or _isa
    if isa == "numpy" or 0 in w.shape or not _is_float32(x, w, bias):
        return reference.linear(x, w, bias, relu)
    if x.ndim != 2 or x.shape[1] != w.shape[0]:
        raise ValueError(f"linear: {x.shape} and {w.shape} do not fit; expected [n, in] and [in, out]")
    return _kernels.dense(*_dense(x, w, bias), relu, _choose(isa), _threads)


def global_pool(x, *, isa=None):
    """See `nn.reference.global_pool`: one pass over the data."""
    isa = isa or _isa
    if isa == "numpy" or not x.size or not _is_float32(x):
        return reference.global_pool(x)
    return _kernels.global_pool(*_dense(x), _choose(isa), _threads)


def bn_act_forward(y, gamma, beta, residual=None, eps=1e-5, relu=True, *, isa=None):
    """See `nn.reference.bn_act_forward`: two passes over the data."""
    isa = isa or _isa
    if isa == "numpy" or not y.size or not _is_float32(y, gamma, beta, residual):
        return reference.bn_act_forward(y, gamma, beta, residual, eps, relu)
    return _kernels.bn_act_forward(*_dense(y, gamma, beta, residual), eps, relu, _choose(isa), _threads)


def bn_act_backward(g, out, y, mean, inv_std, gamma, relu=True, need_residual=False, *, isa=None):
    """See `nn.reference.bn_act_backward`: two passes over the data."""
    isa = isa or _isa
    if isa == "numpy" or not y.size or not _is_float32(g, out, y, mean, inv_std, gamma):
        return reference.bn_act_backward(g, out, y, mean, inv_std, gamma, relu, need_residual)
    return _kernels.bn_act_backward(*_dense(g, out, y, mean, inv_std, gamma), relu, need_residual, _choose(isa),
                                    _threads)


def sgd_update(p, g, velocity, lr, momentum, weight_decay, nesterov):
    """See `nn.reference.sgd_update`: one pass, which leaves `g` as it is."""
    if _isa == "numpy" or not _is_float32(p, g, velocity):
        return reference.sgd_update(p, g, velocity, lr, momentum, weight_decay, nesterov)
    _kernels.sgd_update(p, g, velocity, lr, momentum, weight_decay, nesterov)


def _fused(x, w, stride, isa):
    """Whether convolution and normalisation run as one kernel."""
    return (_fast_conv(x, w.shape, stride, "same", isa) and _precision == "float32" and _is_float32(x, w)
            and x.shape[0] and x.shape[3] == w.shape[2])


def conv_bn_act_forward(x, w, gamma, beta, residual=None, eps=1e-5, relu=True, stride=1, *, isa=None):
    """See `nn.reference.conv_bn_act_forward`: the statistics are summed while the convolution's output is in cache."""
    if not _fused(x, w, stride, isa or _isa) or not _is_float32(gamma, beta, residual):
        y = conv2d(x, w, None, stride, isa=isa)
        return y, *bn_act_forward(y, gamma, beta, residual, eps, relu, isa=isa)
    operands = _dense(x, w, gamma, beta, residual)
    return _kernels.conv_bn_act_forward(*operands, eps, relu, _choose(isa or _isa), _threads)


def conv_bn_act_backward(g, out, y, mean, inv_std, gamma, x, w, relu=True, need_input=True, need_residual=False,
                         stride=1, *, isa=None):
    """See `nn.reference.conv_bn_act_backward`: the convolution's output gradient never leaves the cache."""
    if not _fused(x, w, stride, isa or _isa) or not _is_float32(g, out, y, mean, inv_std, gamma):
        gy, *rest = bn_act_backward(g, out, y, mean, inv_std, gamma, relu, need_residual, isa=isa)
        gx = conv2d_grad_input(gy, w, x.shape, stride, isa=isa) if need_input else None
        return gx, conv2d_grad_weight(x, gy, w.shape, stride, isa=isa), *rest
    operands = _dense(g, out, y, mean, inv_std, gamma, x, w)
    return _kernels.conv_bn_act_backward(*operands, relu, need_input, need_residual, _choose(isa or _isa), _threads)


class Tower:
    """Inference of a stack of 3x3 convolutions, compiled; see `nn.reference.Tower`.

    Filters are transformed once. Each of `threads` threads carries its own boards through the whole stack, a few at a
    time, so that activations stay in its cache; bias, residual and ReLU happen in registers. `dtype` "bfloat16" runs
    on AMX, and as float32 where there is none; `kernel` says which kernels were chosen.
    """

    def __new__(cls, layers, rows, cols, dtype="float32", threads=1, isa=None):
        if _choose(isa or _isa) == "numpy" or dtype not in ("float32", "bfloat16"):
            return reference.Tower(layers, rows, cols, dtype, threads)
        return super().__new__(cls)

    def __init__(self, layers, rows, cols, dtype="float32", threads=1, isa=None):
        self.rows, self.cols, self.dtype = rows, cols, dtype
        self.planes, self.outside = layers[0][0].shape[2], reference.outside_channels(layers)
        self.kernel = kernel(dtype, isa)
        if self.kernel == "amx":
            self._tower = _kernels.AmxTower(rows, cols, threads)
        else:
            self._tower = _kernels.Tower(rows, cols, threads, self.kernel)
        channels = self.planes
        for i, (weight, bias, residual, relu) in enumerate(layers):
            self._check_layer(i, weight, bias, channels)
            if residual not in (None, reference.OUTSIDE) and not (
                0 <= residual < i and layers[residual][0].shape[3] == weight.shape[3]
            ):
                raise ValueError(f"Tower: layer {i}: residual {residual} is no earlier layer of the same width")
            weight, bias = (np.ascontiguousarray(a, np.float32) for a in (weight, bias))
            self._tower.add(weight, bias, -1 if residual is None else residual, relu)
            channels = weight.shape[3]

    def __call__(self, x, outside=None):
        """`x [n, rows, cols, ci]` -> `[n, rows, cols, co]` float32. Raises ValueError on another shape."""
        return self._tower.run(*_boards(self, x, outside))

    @staticmethod
    def _check_layer(i, weight, bias, channels):
        if weight.shape[:3] != (3, 3, channels) or bias.shape != weight.shape[3:]:
            raise ValueError(f"Tower: layer {i}: weight {weight.shape} and bias {bias.shape}; expected"
                             f" [3, 3, {channels}, out] and [out]")


def _boards(tower, x, outside):
    """The arguments of a call, dense."""
    shape = (tower.rows, tower.cols)
    if x.ndim != 4 or x.shape[1:] != (*shape, tower.planes):
        raise ValueError(f"Tower: input {x.shape}, expected [n, {tower.rows}, {tower.cols}, {tower.planes}]")
    if tower.outside is None:
        return np.ascontiguousarray(x, np.float32), None
    if outside is None or outside.shape != (len(x), *shape, tower.outside):
        got = None if outside is None else outside.shape
        raise ValueError(f"Tower: outside {got}, expected [{len(x)}, {tower.rows}, {tower.cols}, {tower.outside}]")
    return np.ascontiguousarray(x, np.float32), np.ascontiguousarray(outside, np.float32)


class Int8Tower:
    """Inference with 8-bit products on AVX-512 VNNI; see `nn.reference.Int8Tower`, which runs where there is none."""

    def __new__(cls, layers, scales, rows, cols, threads=1, isa=None):
        if kernel("int8", isa) == "numpy":
            return reference.Int8Tower(layers, scales, rows, cols, threads)
        return super().__new__(cls)

    def __init__(self, layers, scales, rows, cols, threads=1, isa=None):
        definition = reference.Int8Tower(layers, scales, rows, cols)
        self.rows, self.cols, self.dtype, self.kernel = rows, cols, "int8", kernel("int8", isa)
        self.planes, self.outside = layers[0][0].shape[2], reference.outside_channels(layers)
        self._tower = _kernels.Int8Tower(rows, cols, threads)
        for (_, bias, residual, relu), weight, weight_scale, scale in zip(
            layers, definition.weights, definition.weight_scales, scales, strict=True
        ):
            weight, weight_scale, bias = _dense(weight, weight_scale, np.asarray(bias, np.float32))
            self._tower.add(weight, weight_scale, bias, scale, -1 if residual is None else residual, relu)

    def __call__(self, x, outside=None):
        """`x [n, rows, cols, ci]` -> `[n, rows, cols, co]` float32. Raises ValueError on another shape."""
        return self._tower.run(*_boards(self, x, outside))

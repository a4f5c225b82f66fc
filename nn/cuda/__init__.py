"""The numeric kernels of `nn.reference` for CuPy arrays: same names, same signatures.

3x3 convolutions run on tensor cores with operands rounded to bfloat16 if `set_precision("bfloat16")` allows it;
everything else is float32. A `Tower` up to 128 channels is one launch that keeps its boards in shared memory. Needs a
card of compute capability 8.0 or later for these; older ones take the float32 path.
"""

import numpy as np

from nn import reference
from nn.cuda import images
from nn.cuda.tower import Tower

__all__ = ["Tower", "bn_act_backward", "bn_act_forward", "conv2d", "conv2d_grad_input", "conv2d_grad_weight",
           "conv_bn_act_backward", "conv_bn_act_forward", "global_pool", "linear", "set_precision", "sgd_update"]

_precision = "float32"


def set_precision(dtype):
    """Precision of the operands of float32 convolutions from now on: "float32" (at import) or "bfloat16"."""
    global _precision
    if dtype not in ("float32", "bfloat16"):
        raise ValueError(f"set_precision({dtype!r}): must be 'float32' or 'bfloat16'")
    _precision = dtype


def _on_tensor_cores(x, w_shape, stride, padding):
    from nn.cuda.device import has_tensor_cores

    fits = tuple(w_shape[:2]) == (3, 3) and stride == 1 and padding in ("same", 1) and 0 not in (*x.shape, *w_shape)
    return _precision == "bfloat16" and fits and x.dtype == np.float32 and has_tensor_cores()


def conv2d(x, w, bias=None, stride=1, padding="same"):
    """See `nn.reference.conv2d`."""
    if _on_tensor_cores(x, w.shape, stride, padding):
        from nn.cuda.conv import conv3x3

        return conv3x3(x, w, bias)
    return images.conv2d(x, w, bias, stride, padding)


def conv2d_grad_input(g, w, x_shape, stride=1, padding="same"):
    """See `nn.reference.conv2d_grad_input`: on tensor cores, the convolution with the filter turned round."""
    if _on_tensor_cores(g, w.shape, stride, padding):
        from nn.cuda.conv import conv3x3

        return conv3x3(g, w[::-1, ::-1].transpose(0, 1, 3, 2), None)
    return images.conv2d_grad_input(g, w, x_shape, stride, padding)


def conv2d_grad_weight(x, g, w_shape, stride=1, padding="same"):
    """See `nn.reference.conv2d_grad_weight`."""
    return images.conv2d_grad_weight(x, g, w_shape, stride, padding)


def linear(x, w, bias=None, relu=False):
    """See `nn.reference.linear`; the product is cuBLAS's."""
    return reference.linear(x, w, bias, relu)


def global_pool(x):
    """See `nn.reference.global_pool`."""
    return reference.global_pool(x)


def bn_act_forward(y, gamma, beta, residual=None, eps=1e-5, relu=True):
    """See `nn.reference.bn_act_forward`; in float32 fused, and results repeat bit for bit."""
    if y.dtype != np.float32 or not y.size:
        return reference.bn_act_forward(y, gamma, beta, residual, eps, relu)
    from nn.cuda import norm

    return norm.bn_act_forward(y, gamma, beta, residual, eps, relu)


def bn_act_backward(g, out, y, mean, inv_std, gamma, relu=True, need_residual=False):
    """See `nn.reference.bn_act_backward`; in float32 fused, and results repeat bit for bit."""
    if y.dtype != np.float32 or not y.size:
        return reference.bn_act_backward(g, out, y, mean, inv_std, gamma, relu, need_residual)
    from nn.cuda import norm

    return norm.bn_act_backward(g, out, y, mean, inv_std, gamma, relu, need_residual)


def conv_bn_act_forward(x, w, gamma, beta, residual=None, eps=1e-5, relu=True, stride=1):
    """See `nn.reference.conv_bn_act_forward`."""
    y = conv2d(x, w, None, stride)
    return y, *bn_act_forward(y, gamma, beta, residual, eps, relu)


def conv_bn_act_backward(g, out, y, mean, inv_std, gamma, x, w, relu=True, need_input=True, need_residual=False,
                         stride=1):
    """See `nn.reference.conv_bn_act_backward`."""
    gy, *rest = bn_act_backward(g, out, y, mean, inv_std, gamma, relu, need_residual)
    gx = conv2d_grad_input(gy, w, x.shape, stride) if need_input else None
    return gx, conv2d_grad_weight(x, gy, w.shape, stride), *rest


def sgd_update(p, g, velocity, lr, momentum, weight_decay, nesterov):
    """See `nn.reference.sgd_update`; in float32 one launch."""
    if p.dtype != np.float32:
        return reference.sgd_update(p, g, velocity, lr, momentum, weight_decay, nesterov)
    from nn.cuda.device import kernel

    sgd = kernel("optimizer.cu", "sgd")
    scalars = (np.float32(lr), np.float32(momentum), np.float32(weight_decay), np.int32(nesterov), np.int64(p.size))
    sgd(((p.size + 255) // 256,), (256,), (p, g, velocity, *scalars))

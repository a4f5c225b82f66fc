"""All operations, and the methods and operators of Tensor made of them.

Each operation is one function with its forward and its backward side by side; see `nn.tensor.op`.
"""
# ruff: noqa: F401

from nn.ops.conv import avg_pool, conv2d, global_pool, max_pool
from nn.ops.loss import cross_entropy, huber, mse
from nn.ops.math import (
    abs,
    add,
    argmax,
    astype,
    clip,
    cos,
    div,
    equal,
    exp,
    expm1,
    gelu,
    greater,
    greater_equal,
    less,
    less_equal,
    linear,
    log,
    log1p,
    matmul,
    max,
    maximum,
    mean,
    min,
    minimum,
    mish,
    mul,
    neg,
    not_equal,
    pow,
    relu,
    sigmoid,
    silu,
    sin,
    softplus,
    sqrt,
    square,
    sub,
    sum,
    tanh,
    var,
    where,
)
from nn.ops.norm import bn_act, conv_bn_act, dropout, layer_norm, log_softmax, softmax
from nn.ops.shape import broadcast_to, concat, flip, index, pad, reshape, stack, transpose
from nn.tensor import Tensor

_METHODS = (
    abs, argmax, astype, broadcast_to, clip, cos, exp, expm1, flip, gelu, log, log1p, log_softmax, matmul, max, mean,
    min, mish, pad, relu, sigmoid, silu, sin, softmax, softplus, sqrt, square, sum, tanh, var,
)  # fmt: skip
_OPERATORS = {
    "add": add, "sub": sub, "mul": mul, "truediv": div, "pow": pow, "matmul": matmul, "neg": neg, "abs": abs,
    "eq": equal, "ne": not_equal, "lt": less, "le": less_equal, "gt": greater, "ge": greater_equal,
}  # fmt: skip


def _reverse(operation):
    return lambda self, other: operation(other, self)


def _key(key):
    """An index with arrays where there were tensors."""
    if isinstance(key, tuple):
        return tuple(_key(k) for k in key)
    return key.data if isinstance(key, Tensor) else key


def _squeeze(self, axis):
    """Without `axis`, which must have one element."""
    if self.shape[axis] != 1:
        raise ValueError(f"squeeze: {list(self.shape)}: axis {axis} has {self.shape[axis]} elements, must have 1")
    return index(self, key=(slice(None),) * (axis % self.ndim) + (0,))


def _dimensions(args):
    """`(2, 3)` of both x.reshape(2, 3) and x.reshape((2, 3))."""
    return tuple(args[0]) if len(args) == 1 and isinstance(args[0], tuple | list) else args


for _operation in _METHODS:
    setattr(Tensor, _operation.__name__, _operation)
for _name, _operation in _OPERATORS.items():
    setattr(Tensor, f"__{_name}__", _operation)
    if _name in ("add", "sub", "mul", "truediv", "pow", "matmul"):
        setattr(Tensor, f"__r{_name}__", _reverse(_operation))
Tensor.__hash__ = object.__hash__
Tensor.__getitem__ = lambda self, key: index(self, key=_key(key))
Tensor.reshape = lambda self, *shape: reshape(self, shape=_dimensions(shape))
Tensor.transpose = lambda self, *axes: transpose(self, axes=_dimensions(axes) or None)
Tensor.flatten = lambda self: reshape(self, shape=(len(self), -1))
Tensor.squeeze = _squeeze
Tensor.unsqueeze = lambda self, axis: index(self, key=(slice(None),) * (axis % (self.ndim + 1)) + (None,))

"""Modules: trees of layers that own parameters and buffers.

Weights are drawn from an explicit `numpy.random.Generator`, so a seed fixes a network bit for bit.
"""

import math

import numpy as np

from nn import ops
from nn.tensor import Parameter, Tensor


def he_normal(rng, shape, fan_in):
    """Normal with variance 2 / fan_in, for layers followed by ReLU (He et al. 2015, equation 10)."""
    return (rng.standard_normal(shape) * math.sqrt(2 / fan_in)).astype(np.float32)


def glorot_uniform(rng, shape, fan_in, fan_out):
    """Uniform with variance 2 / (fan_in + fan_out) (Glorot & Bengio 2010, equation 16)."""
    limit = math.sqrt(6 / (fan_in + fan_out))
    return rng.uniform(-limit, limit, shape).astype(np.float32)


class Module:
    """A layer or a network: attributes that are `Parameter`, `Tensor` (buffers), `Module` or (nested) lists of modules.

    Names of parameters and buffers are attribute paths, "blocks.0.conv.weight".
    """

    training = True

    def __call__(self, *args, **kwargs):
        return self.forward(*args, **kwargs)

    def forward(self, *args, **kwargs):
        raise NotImplementedError(f"{type(self).__name__}.forward")

    def children(self):
        """Pairs (name, module) of the direct parts."""
        for name, value in vars(self).items():
            yield from _modules_in(name, value)

    def modules(self):
        """This module and all below it."""
        yield self
        for _, child in self.children():
            yield from child.modules()

    def named_tensors(self, prefix=""):
        """Pairs (name, tensor) of all parameters and buffers."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                yield prefix + name, value
        for name, child in self.children():
            yield from child.named_tensors(f"{prefix}{name}.")

    def named_parameters(self):
        return ((name, t) for name, t in self.named_tensors() if isinstance(t, Parameter))

    def named_buffers(self):
        return ((name, t) for name, t in self.named_tensors() if not isinstance(t, Parameter))

    def parameters(self):
        """All parameters; one that is used in several places appears once."""
        return list(dict.fromkeys(t for _, t in self.named_parameters()))

    def buffers(self):
        return [t for _, t in self.named_buffers()]

    def train(self, mode=True):
        for module in self.modules():
            module.training = mode
        return self

    def eval(self):
        return self.train(False)

    def zero_grad(self):
        for p in self.parameters():
            p.grad = None

    def to(self, device=None, dtype=None):
        """Move all parameters and buffers to `device`, convert them to `dtype`; gradients are dropped."""
        for _, t in self.named_tensors():
            t.data, t.grad = Tensor(t.data, dtype=dtype, device=device).data, None
        return self

    def state_dict(self):
        """Copies of all parameters and buffers: name -> numpy array."""
        return {name: np.array(t.numpy()) for name, t in self.named_tensors()}

    def load_state_dict(self, state, strict=True):
        """Copy arrays into the parameters and buffers of the same name, in place.

        Raises ValueError naming every missing, unexpected (both only if `strict`) or misshapen tensor; then nothing
        has been changed.
        """
        own = dict(self.named_tensors())
        faults = []
        if strict:
            faults += [f"missing {name}" for name in own if name not in state]
            faults += [f"unexpected {name}" for name in state if name not in own]
        for name, t in own.items():
            if name in state and np.shape(state[name]) != t.shape:
                faults.append(f"{name} has shape {list(np.shape(state[name]))}, must be {list(t.shape)}")
        if faults:
            shown = "; ".join(faults[:5]) + (f"; and {len(faults) - 5} more" if len(faults) > 5 else "")
            raise ValueError(f"{type(self).__name__}: {shown}")
        for name, t in own.items():
            if name in state:
                t.data[...] = Tensor(state[name], device=t.device).data
        return self


def _modules_in(name, value):
    if isinstance(value, Module):
        yield name, value
    elif isinstance(value, list | tuple):
        for i, part in enumerate(value):
            yield from _modules_in(f"{name}.{i}", part)


class Linear(Module):
    """`x [..., in] @ weight [in, out] + bias [out]`."""

    def __init__(self, inputs, outputs, rng, bias=True):
        self.weight = Parameter(glorot_uniform(rng, (inputs, outputs), inputs, outputs))
        self.bias = Parameter(np.zeros(outputs, np.float32)) if bias else None

    def forward(self, x):
        return ops.linear(x, self.weight, self.bias)


class Conv2d(Module):
    """Convolution of images `[n, h, w, inputs]`; weight `[kernel, kernel, inputs, outputs]`."""

    def __init__(self, inputs, outputs, kernel, rng, stride=1, padding="same", bias=True):
        self.weight = Parameter(he_normal(rng, (kernel, kernel, inputs, outputs), kernel * kernel * inputs))
        self.bias = Parameter(np.zeros(outputs, np.float32)) if bias else None
        self.stride, self.padding = stride, padding

    def forward(self, x):
        return ops.conv2d(x, self.weight, self.bias, stride=self.stride, padding=self.padding)


class BatchNorm(Module):
    """Batch normalisation over the last axis, with optional residual and ReLU in the same pass (`nn.ops.bn_act`)."""

    reduce = None  # sums an array over the processes that share a batch, if there are several

    def __init__(self, channels, momentum=0.1, eps=1e-5):
        self.gamma = Parameter(np.ones(channels, np.float32))
        self.beta = Parameter(np.zeros(channels, np.float32))
        self.running_mean = Tensor(np.zeros(channels, np.float32))
        self.running_var = Tensor(np.ones(channels, np.float32))
        self.momentum, self.eps = momentum, eps

    def forward(self, x, residual=None, relu=False, mask=None):
        return ops.bn_act(
            x, self.gamma, self.beta, residual, running_mean=self.running_mean.data, running_var=self.running_var.data,
            training=self.training, momentum=self.momentum, eps=self.eps, relu=relu, mask=mask,
            reduce=self.reduce,
        )  # fmt: skip


class ConvBN(Module):
    """Convolution without bias, batch normalisation, residual, ReLU: the brick of residual networks."""

    def __init__(self, inputs, outputs, kernel, rng, stride=1):
        self.conv = Conv2d(inputs, outputs, kernel, rng, stride=stride, bias=False)
        self.norm = BatchNorm(outputs)

    def forward(self, x, residual=None, relu=True, mask=None):
        conv, norm = self.conv, self.norm
        if not norm.training or mask is not None or norm.reduce is not None:
            return norm(conv(x), residual, relu, mask)
        return ops.conv_bn_act(
            x, conv.weight, norm.gamma, norm.beta, residual, running_mean=norm.running_mean.data,
            running_var=norm.running_var.data, stride=conv.stride, momentum=norm.momentum, eps=norm.eps, relu=relu,
        )  # fmt: skip


class LayerNorm(Module):
    """Normalisation over the last axis."""

    def __init__(self, features, eps=1e-5):
        self.gamma = Parameter(np.ones(features, np.float32))
        self.beta = Parameter(np.zeros(features, np.float32))
        self.eps = eps

    def forward(self, x):
        return ops.layer_norm(x, self.gamma, self.beta, eps=self.eps)


class Dropout(Module):
    """In training, zero each element with probability `p`; draws from its own `rng`."""

    def __init__(self, p, rng):
        self.p, self.rng = p, rng

    def forward(self, x):
        return ops.dropout(x, p=self.p, rng=self.rng) if self.training and self.p > 0 else x


class MaxPool(Module):
    """Largest element of each window."""

    def __init__(self, size, stride=None):
        self.size, self.stride = size, stride

    def forward(self, x):
        return ops.max_pool(x, size=self.size, stride=self.stride)


class AvgPool(Module):
    """Mean of each window."""

    def __init__(self, size, stride=None):
        self.size, self.stride = size, stride

    def forward(self, x):
        return ops.avg_pool(x, size=self.size, stride=self.stride)


class GlobalPool(Module):
    """Mean and maximum of each channel over the board: `[n, h, w, c]` -> `[n, 2 c]`."""

    def forward(self, x):
        return ops.global_pool(x)


class ReLU(Module):
    def forward(self, x):
        return ops.relu(x)


class Tanh(Module):
    def forward(self, x):
        return ops.tanh(x)


class Flatten(Module):
    """`[n, ...]` -> `[n, all]`."""

    def forward(self, x):
        return x.reshape(len(x), -1)


class Sequential(Module):
    """Modules applied one after the other."""

    def __init__(self, *layers):
        self.layers = list(layers)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x

    def __getitem__(self, i):
        return self.layers[i]

    def __len__(self):
        return len(self.layers)

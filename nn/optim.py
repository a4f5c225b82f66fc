"""Optimisers: one fused update over all parameters.

The parameters of an optimiser are moved into one flat array, of which they stay views; state and update work on the
flat array, a block at a time so that the passes over it run in the cache.
"""

import math

import numpy as np

from nn.backend import array_module

_BLOCK = 16384  # floats; all arrays of an update together stay within a core's second-level cache


def clip_grad_norm(parameters, limit):
    """Scale all gradients in place so that their joint Euclidean norm is at most `limit`; returns the norm before."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = math.sqrt(sum(float((g * g).sum()) for g in gradients))
    if norm > limit:
        for g in gradients:
            g *= limit / norm
    return norm


class Optimizer:
    """Base: parameters as views of the flat array `self.flat`, gradients gathered into `self.gradient`.

    A subclass names its state arrays in `slots` and writes `_update(block, ...)`. Parameters without a gradient count
    as having gradient zero. All parameters must have one dtype and one device. `lr` may be changed between steps.
    """

    slots = ()

    def __init__(self, parameters, lr):
        self.parameters = list(parameters)
        if not self.parameters:
            raise ValueError(f"{type(self).__name__}: no parameters to train")
        kinds = {(p.dtype.name, p.device) for p in self.parameters}
        if len(kinds) > 1:
            raise TypeError(f"{type(self).__name__}: parameters of different dtypes or devices: {sorted(kinds)}")
        self.lr, self.steps = lr, 0
        xp = array_module(self.parameters[0].data)
        self.flat = xp.concatenate([p.data.reshape(-1) for p in self.parameters])
        self.gradient = xp.zeros_like(self.flat)
        self._gradients = []
        self.state = {slot: xp.zeros_like(self.flat) for slot in self.slots}
        start = 0
        for p in self.parameters:
            p.data = self.flat[start : start + p.size].reshape(p.shape)
            self._gradients.append(self.gradient[start : start + p.size].reshape(p.shape))
            start += p.size

    def zero_grad(self):
        for p in self.parameters:
            p.grad = None

    def step(self):
        """Update the parameters from their gradients."""
        for p, gradient in zip(self.parameters, self._gradients, strict=True):
            if p.grad is None:
                gradient[...] = 0
            else:
                gradient[...] = p.grad
        self.steps += 1
        block = _BLOCK if isinstance(self.flat, np.ndarray) else self.flat.size
        for start in range(0, self.flat.size, block):
            part = slice(start, start + block)
            self._update(self.flat[part], self.gradient[part], *(self.state[slot][part] for slot in self.slots))

    def state_dict(self):
        """Copies of everything an exact continuation needs, besides the parameters: name -> numpy array."""
        get = (lambda a: a.copy()) if isinstance(self.flat, np.ndarray) else (lambda a: a.get())
        arrays = {slot: get(a) for slot, a in self.state.items()}
        return {**arrays, "steps": np.array(self.steps, np.int64), "lr": np.array(self.lr, np.float64)}

    def load_state_dict(self, state):
        """Restore `state_dict()`. Raises ValueError for missing or unexpected names and wrong shapes."""
        expected = {**{slot: self.flat.shape for slot in self.slots}, "steps": (), "lr": ()}
        if set(state) != set(expected):
            raise ValueError(f"{type(self).__name__}: state has {sorted(state)}, must have {sorted(expected)}")
        for name, shape in expected.items():
            found = np.shape(state[name])
            if found != shape:
                raise ValueError(f"{type(self).__name__}: {name} has shape {list(found)}, must be {list(shape)}")
        xp = array_module(self.flat)
        for slot in self.slots:
            self.state[slot][...] = xp.asarray(state[slot])
        self.steps, self.lr = int(state["steps"]), float(state["lr"])


class SGD(Optimizer):
    """Stochastic gradient descent with momentum, as in PyTorch.

    `g += weight_decay * p; v = momentum * v + g; p -= lr * v`, with Nesterov `p -= lr * (g + momentum * v)`
    (Sutskever et al. 2013). `weight_decay` is the L2 penalty's gradient.
    """

    slots = ("velocity",)

    def __init__(self, parameters, lr, momentum=0.9, nesterov=False, weight_decay=0.0):
        super().__init__(parameters, lr)
        self.momentum, self.nesterov, self.weight_decay = momentum, nesterov, weight_decay

    def _update(self, p, g, velocity):
        if self.weight_decay:
            g += self.weight_decay * p
        velocity *= self.momentum
        velocity += g
        if self.nesterov:
            g += self.momentum * velocity
            p -= self.lr * g
        else:
            p -= self.lr * velocity


class AdamW(Optimizer):
    """Adam with decoupled weight decay (Kingma & Ba 2015, algorithm 1; Loshchilov & Hutter 2019, algorithm 2)."""

    slots = ("mean", "square")

    def __init__(self, parameters, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        super().__init__(parameters, lr)
        self.betas, self.eps, self.weight_decay = betas, eps, weight_decay

    def _update(self, p, g, mean, square):
        beta1, beta2 = self.betas
        p *= 1 - self.lr * self.weight_decay
        self._adam(p, g, mean, square, beta1, beta2)

    def _adam(self, p, g, mean, square, beta1, beta2):
        mean += (1 - beta1) * (g - mean)
        square += (1 - beta2) * (g * g - square)
        size = array_module(g).sqrt(square / (1 - beta2**self.steps))
        size += self.eps
        p -= (self.lr / (1 - beta1**self.steps)) * mean / size

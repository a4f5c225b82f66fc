"""Optimisers: one fused update over all parameters.

The parameters of an optimiser are moved into one flat array, of which they stay views; state and update work on the
flat array, a block at a time so that the passes over it run in the cache. Parameters of 16 bits get a float32 master
copy, which is what is trained.
"""

import math

import numpy as np

from nn.backend import array_module, kernels

_BLOCK = 16384  # floats; all arrays of an update together stay within a core's second-level cache


def clip_grad_norm(parameters, limit):
    """Scale all gradients in place so that their joint Euclidean norm is at most `limit`; returns the norm before."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = math.sqrt(sum(_square_sum(g) for g in gradients))
    if norm > limit:
        for g in gradients:
            g *= limit / norm
    return norm


def _square_sum(g):
    if g.dtype.itemsize == 2:
        g = g.astype(np.float32)  # a square overflows float16 easily
    return float(array_module(g).vdot(g, g))


class Optimizer:
    """Base: parameters as views of the flat array `self.flat`, gradients gathered into `self.gradient`.

    A subclass names its state arrays in `slots` and writes `_update(block of flat, gradient and each slot)`. Parameters
    without a gradient count as having gradient zero. All must have one dtype and one device; load their values in
    place (`Module.load_state_dict`). `lr` may be changed between steps: `optimizer.lr = schedule(optimizer.steps)`.
    """

    slots = ()

    def __init__(self, parameters, lr):
        self.parameters = list(dict.fromkeys(parameters))
        if not self.parameters:
            raise ValueError(f"{type(self).__name__}: no parameters to train")
        kinds = {(p.dtype.name, p.device) for p in self.parameters}
        if len(kinds) > 1:
            raise TypeError(f"{type(self).__name__}: parameters of different dtypes or devices: {sorted(kinds)}")
        self.lr, self.steps = lr, 0
        xp = array_module(self.parameters[0].data)
        values = xp.concatenate([p.data.reshape(-1) for p in self.parameters])
        self._half = values if values.dtype.itemsize == 2 else None
        self.flat = values if self._half is None else values.astype(np.float32)
        self.gradient = xp.zeros_like(self.flat)
        self.state = {slot: xp.zeros_like(self.flat) for slot in self.slots}
        if self._half is not None:
            self.state["master"] = self.flat
        self._gradients, self._values = self._views(self.gradient), self._views(values)
        for p, view in zip(self.parameters, self._values, strict=True):
            p.data = view

    def _views(self, flat):
        """One array per parameter, sharing the memory of `flat`."""
        ends = np.cumsum([p.size for p in self.parameters])
        return [flat[end - p.size : end].reshape(p.shape) for p, end in zip(self.parameters, ends, strict=True)]

    def zero_grad(self):
        for p in self.parameters:
            p.grad = None

    def step(self):
        """Update the parameters from their gradients. Raises RuntimeError if a parameter's array was replaced."""
        for p, gradient, value in zip(self.parameters, self._gradients, self._values, strict=True):
            if p.data is not value:
                raise RuntimeError(
                    f"{type(self).__name__}: a parameter got a new array after the optimiser was made; move a module"
                    " to its device and dtype first, and load values in place"
                )
            if p.grad is None:
                gradient[...] = 0
            else:
                gradient[...] = p.grad
        self.steps += 1
        self._update_all()
        if self._half is not None:
            self._half[...] = self.flat

    def _update_all(self):
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
        expected = {**{slot: self.flat.shape for slot in self.state}, "steps": (), "lr": ()}
        if set(state) != set(expected):
            raise ValueError(f"{type(self).__name__}: state has {sorted(state)}, must have {sorted(expected)}")
        for name, shape in expected.items():
            found = np.shape(state[name])
            if found != shape:
                raise ValueError(f"{type(self).__name__}: {name} has shape {list(found)}, must be {list(shape)}")
        xp = array_module(self.flat)
        for slot, array in self.state.items():
            array[...] = xp.asarray(state[slot])
        if self._half is not None:
            self._half[...] = self.flat
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
        kernels(p).sgd_update(p, g, velocity, self.lr, self.momentum, self.weight_decay, self.nesterov)


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, algorithm 1); `weight_decay` is an L2 penalty, added to the gradient."""

    slots = ("mean", "square")

    def __init__(self, parameters, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
        super().__init__(parameters, lr)
        self.betas, self.eps, self.weight_decay = betas, eps, weight_decay

    def _update(self, p, g, mean, square):
        if self.weight_decay:
            g += self.weight_decay * p
        self._move(p, g, mean, square)

    def _move(self, p, g, mean, square):
        beta1, beta2 = self.betas
        mean += (1 - beta1) * (g - mean)
        square += (1 - beta2) * (g * g - square)
        size = array_module(g).sqrt(square / (1 - beta2**self.steps))
        size += self.eps
        p -= (self.lr / (1 - beta1**self.steps)) * mean / size


class AdamW(Adam):
    """Adam with weight decay apart from the gradient (Loshchilov & Hutter 2019, algorithm 2)."""

    def __init__(self, parameters, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        super().__init__(parameters, lr, betas, eps, weight_decay)

    def _update(self, p, g, mean, square):
        p *= 1 - self.lr * self.weight_decay
        self._move(p, g, mean, square)


def orthogonalise(matrix, steps=5):
    """A matrix near U V^T of `matrix = U S V^T`, by Newton-Schulz iteration (Jordan et al. 2024, "Muon").

    The quintic's coefficients push small singular values up fast and leave them all in about [0.7, 1.2].
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (array_module(x).sqrt((x * x).sum()) + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x.T if tall else x


class Muon(Optimizer):
    """Momentum orthogonalised, for the weights of hidden layers (Jordan et al. 2024); train the rest with AdamW.

    A filter `[kh, kw, ci, co]` counts as the matrix `[kh kw ci, co]`. Nesterov momentum, decoupled weight decay; the
    step is scaled by sqrt(max(1, co / inputs)). Raises ValueError for parameters of fewer than two dimensions.
    """

    slots = ("momentum",)

    def __init__(self, parameters, lr=0.02, momentum=0.95, weight_decay=0.0):
        super().__init__(parameters, lr)
        self.momentum, self.weight_decay = momentum, weight_decay
        flat = [p.shape for p in self.parameters if p.ndim < 2]
        if flat:
            raise ValueError(f"Muon: a parameter of shape {list(flat[0])} is no matrix: give it to AdamW")

    def _update_all(self):
        views = (self._views(a) for a in (self.flat, self.gradient, self.state["momentum"]))
        for p, g, v in zip(*views, strict=True):
            v += (1 - self.momentum) * (g - v)
            direction = orthogonalise((g + self.momentum * (v - g)).reshape(-1, p.shape[-1]))
            inputs, outputs = direction.shape
            p *= 1 - self.lr * self.weight_decay
            p -= (self.lr * math.sqrt(max(1, outputs / inputs))) * direction.reshape(p.shape)


class Several:
    """Optimisers of different parameters as one: `parts` are pairs (optimiser, its share of `lr`)."""

    def __init__(self, parts, lr):
        self.parts = list(parts)
        self.lr = lr

    @property
    def lr(self):
        return self._lr

    @lr.setter
    def lr(self, value):
        self._lr = value
        for optimizer, share in self.parts:
            optimizer.lr = value * share

    @property
    def steps(self):
        return self.parts[0][0].steps

    def zero_grad(self):
        for optimizer, _ in self.parts:
            optimizer.zero_grad()

    def step(self):
        for optimizer, _ in self.parts:
            optimizer.step()

    def state_dict(self):
        """The states of all parts: "0.momentum" and so on."""
        states = enumerate(optimizer.state_dict() for optimizer, _ in self.parts)
        return {f"{i}.{name}": array for i, state in states for name, array in state.items()}

    def load_state_dict(self, state):
        """Restore `state_dict()`. Raises ValueError like its parts."""
        for i, (optimizer, _) in enumerate(self.parts):
            start = f"{i}."
            optimizer.load_state_dict({k.removeprefix(start): v for k, v in state.items() if k.startswith(start)})


class LossScaler:
    """Keeps float16 gradients in range: multiply the loss, divide the gradients, skip steps that overflowed.

        scaler.scale(loss).backward()
        if scaler.unscale(optimizer.parameters):
            optimizer.step()

    The scale halves after an overflow and doubles after `interval` good steps (Micikevicius et al. 2018, section 3.2).
    """

    def __init__(self, scale=2.0**15, interval=2000):
        self.factor, self.interval, self.good_steps = scale, interval, 0

    def scale(self, loss):
        return loss.astype("float32") * self.factor

    def unscale(self, parameters):
        """Divide the gradients by the scale, as float32; False (and a smaller scale) if any is not finite."""
        finite = True
        for p in parameters:
            if p.grad is not None:
                p.grad = p.grad.astype(np.float32) / self.factor
                finite = finite and bool(array_module(p.grad).isfinite(p.grad).all())
        self.good_steps = self.good_steps + 1 if finite else 0
        if not finite:
            self.factor = max(self.factor / 2, 1.0)
        elif self.good_steps >= self.interval:
            self.factor, self.good_steps = self.factor * 2, 0
        return finite

    def state_dict(self):
        return {"factor": np.array(self.factor), "good_steps": np.array(self.good_steps)}

    def load_state_dict(self, state):
        self.factor, self.good_steps = float(state["factor"]), int(state["good_steps"])

"""Averages of a module's weights over training: what is published often plays better than what was trained last."""

import numpy as np

from nn.backend import array_module
from nn.layers import BatchNorm
from nn.tensor import Tensor, no_grad


class _Average:
    """Base: `average += rate * (weights - average)` over all parameters and buffers; `rate` is the subclass's."""

    def __init__(self, module):
        self.updates = 0
        self._tensors = dict(module.named_tensors())  # walking the modules costs as much as averaging
        self._arrays = {name: t.data.copy() for name, t in self._tensors.items()}

    def update(self):
        """Take in the module's present weights."""
        rate = self._rate()
        for name, average in self._arrays.items():
            difference = self._tensors[name].data - average
            difference *= rate
            average += difference
        self.updates += 1

    def copy_to(self, module):
        """Load the average into a module of the same structure."""
        module.load_state_dict(self._arrays)
        return module

    def state_dict(self):
        """name -> numpy array: the averaged weights and `updates`."""
        arrays = {name: Tensor(a).numpy().copy() for name, a in self._arrays.items()}
        return {**arrays, "updates": np.array(self.updates, np.int64)}

    def load_state_dict(self, state):
        """Restore `state_dict()`. Raises ValueError naming what is missing or misshapen."""
        for name in [*self._arrays, "updates"]:
            if name not in state:
                raise ValueError(f"{type(self).__name__}: missing {name}")
        for name, a in self._arrays.items():
            if np.shape(state[name]) != a.shape:
                raise ValueError(
                    f"{type(self).__name__}: {name} has shape {list(np.shape(state[name]))}, must be {list(a.shape)}"
                )
            a[...] = array_module(a).asarray(state[name])
        self.updates = int(state["updates"])


class EMA(_Average):
    """Exponential moving average; the first updates use the smaller decay (1 + t) / (10 + t), so it starts quickly."""

    def __init__(self, module, decay=0.999):
        super().__init__(module)
        self.decay = decay

    def _rate(self):
        return 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))


class SWA(_Average):
    """Plain mean of the weights at each `update` (Izmailov et al. 2018, algorithm 1).

    Run `update_batch_norm` on the averaged network before using it: its statistics belong to no single network.
    """

    def _rate(self):
        return 1 / (self.updates + 1)


def update_batch_norm(module, batches):
    """Set every `BatchNorm`'s running statistics to their mean over `batches` (arrays given to the module)."""
    norms = [m for m in module.modules() if isinstance(m, BatchNorm)]
    momenta, training = [m.momentum for m in norms], module.training
    module.train()
    with no_grad():
        for i, batch in enumerate(batches):
            for norm in norms:
                norm.momentum = 1 / (i + 1)
            module(Tensor(batch))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    module.train(training)

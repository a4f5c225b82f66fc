"""Graphs of a module in evaluation mode for any batch size."""

import numpy as np

from nn import ops
from nn.backend import module_of
from nn.graph.node import trace

_TRACED_BATCHES = (2, 3)  # two sizes show which numbers in the graph are the size of the batch


def trace_inference(module, input_shape):
    """The graph of `module.eval()(x [n, *input_shape] float32)`, with -1 for n in its reshapes; shapes are for n = 2.

    The module's mode is left as it was. Raises ValueError if n is used as more than the leading dimension.
    """
    modules = list(module.modules())
    modes = [m.training for m in modules]
    module.eval()
    try:
        device = next((t.device for _, t in module.named_tensors()), "cpu")
        zeros = module_of(device).zeros
        graph, other = [trace(module, zeros((n, *input_shape), np.float32)) for n in _TRACED_BATCHES]
    finally:
        for m, mode in zip(modules, modes, strict=True):
            m.training = mode
    for a, b in zip(graph.nodes, other.nodes, strict=True):
        _free_batch(a, b)
    return graph


def _free_batch(a, b):
    """Put -1 where node `a` and its twin `b`, traced with another batch size, differ in a reshape."""
    if a.op is not b.op or (a.kind in ("constant", "variable") and a.shape != b.shape):
        raise ValueError(f"{a.name} {list(a.shape)} depends on the batch size")
    for key, value in a.attributes.items():
        if isinstance(value, tuple) and value != b.attributes[key]:
            free = tuple(-1 if p != q else p for p, q in zip(value, b.attributes[key], strict=True))
            if a.op is not ops.reshape or free.count(-1) > 1:
                raise ValueError(f"{a.name} to {list(value)} depends on the batch size")
            a.attributes[key] = free

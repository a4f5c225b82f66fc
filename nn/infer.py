"""Compiled inference: a module in evaluation mode as a short list of fused steps.

The module is traced, batch norm is folded into the convolutions, each stack of 3x3 convolutions becomes one
`Tower` of the compiled kernels, and the rest runs as plain array functions.
"""

import numpy as np

from nn.backend import kernels
from nn.graph import Node, find_towers, freeze, fuse_convolutions, fuse_elementwise, optimise, trace_inference
from nn.graph.convolution import tower


def compile(module, input_shape, dtype="float32", threads=1):
    """A `Plan` that computes `module.eval()(x)` for any batch size.

    `input_shape` is one sample's, e.g. `(rows, cols, planes)`; `dtype` ("float32", "bfloat16" or "int8" where the
    kernels have it) is that of the 3x3 convolutions' operands. The weights are copied: later training does not change
    the plan. Raises ValueError if the module treats the batch size as more than the leading dimension.
    """
    graph = optimise(freeze(trace_inference(module, input_shape)))
    graph = fuse_elementwise(find_towers(fuse_convolutions(graph)))
    return Plan(graph, tuple(input_shape), dtype, threads)


class Plan:
    """Compiled inference: `plan(x [n, ...]) -> tuple of arrays`, one per output of the module.

    Not for use by two threads at once; the towers release the GIL.
    """

    def __init__(self, graph, input_shape, dtype, threads):
        self.input_shape, self.dtype, self.threads = input_shape, dtype, threads
        slots = {node: i for i, node in enumerate(graph.nodes)}
        self._values = [_frozen(node) for node in graph.nodes]
        self._input = slots[graph.placeholders[0]]
        self._outputs = [slots[node] for node in graph.outputs]
        self._steps = [
            (slots[node], self._function(node), [slots[i] if isinstance(i, Node) else None for i in node.inputs],
             [None if isinstance(i, Node) else i for i in node.inputs])
            for node in graph.nodes if node.kind == "operation"
        ]  # fmt: skip

    def _function(self, node):
        if node.op is tower:
            rows, cols = node.shape[1:3]
            compiled = kernels(node.attributes["layers"][0][0]).Tower(
                node.attributes["layers"], rows, cols, dtype=self.dtype, threads=self.threads
            )
            return lambda arrays: compiled(arrays[0])
        return lambda arrays: node.evaluate(arrays)[0]

    def __call__(self, x):
        x = np.ascontiguousarray(x)
        if x.dtype != np.float32 or x.shape[1:] != self.input_shape:
            raise ValueError(f"plan: input {list(x.shape)} {x.dtype}, must be [n, *{list(self.input_shape)}] float32")
        if len(x) == 0:
            return tuple(out[:0] for out in self(np.zeros((1, *self.input_shape), np.float32)))
        values = list(self._values)
        values[self._input] = x
        for out, function, slots, numbers in self._steps:
            values[out] = function([values[s] if s is not None else v for s, v in zip(slots, numbers, strict=True)])
        return tuple(values[slot] for slot in self._outputs)


def _frozen(node):
    """A copy of a known value, None for what is computed."""
    return np.array(node.array()) if node.kind in ("constant", "variable") else None

"""Compiled inference: a module in evaluation mode as a short list of fused steps.

The module is traced, batch norm is folded into the convolutions, each stack of 3x3 convolutions becomes one
`Tower` of the compiled kernels, and the rest runs as plain array functions.
"""

from functools import partial

import numpy as np

from nn.backend import as_array, device_of, kernels, module_of
from nn.graph import Node, find_towers, freeze, fuse_convolutions, fuse_elementwise, optimise, trace_inference
from nn.graph.convolution import tower
from nn.int8 import calibrate
from nn.tensor import Tensor

_RECORDED_SIZES = 32  # CUDA graphs kept, one per size of `recorded_size`; each holds its own memory


def compile(module, input_shape, dtype="float32", threads=1, calibration=None):
    """A `Plan` that computes `module.eval()(x)` for any batch size.

    `input_shape` is one sample's, e.g. `(rows, cols, planes)`; `dtype` ("float32", "bfloat16" or "int8") is that of the
    operands of the 3x3 convolutions. "int8" needs `calibration`, some tens of typical samples `[n, *input_shape]`
    (see `nn.int8`). The weights are copied: later training does not change the plan. Raises ValueError for another
    dtype, without calibration, or if the module treats the batch size as more than the leading dimension.
    """
    if dtype not in ("float32", "bfloat16", "int8"):
        raise ValueError(f"compile: dtype {dtype!r}: must be 'float32', 'bfloat16' or 'int8'")
    if dtype == "int8" and calibration is None:
        raise ValueError("compile: dtype 'int8' needs calibration samples")
    graph = optimise(freeze(trace_inference(module, input_shape)))
    graph = fuse_elementwise(find_towers(fuse_convolutions(graph), outside=Plan.device(graph) == "cpu"))
    if dtype != "int8":
        return Plan(graph, tuple(input_shape), partial(_tower, dtype=dtype, threads=threads))
    exact = Plan(graph, tuple(input_shape), partial(_tower, dtype="float32", threads=threads))
    values = exact.values(calibration)

    def int8_tower(node):
        layers = node.attributes["layers"]
        scales = calibrate(layers, *(values[graph.nodes.index(i)] for i in node.inputs))
        return kernels(values[0]).Int8Tower(layers, scales, *node.shape[1:3], threads=threads)

    return Plan(graph, tuple(input_shape), int8_tower)


def _tower(node, dtype, threads):
    layers = node.attributes["layers"]
    return kernels(layers[0][0]).Tower(layers, *node.shape[1:3], dtype=dtype, threads=threads)


class Plan:
    """Compiled inference: `plan(x [n, ...]) -> tuple of numpy arrays`, one per output of the module.

    Runs where the module was. Not for use by two threads at once; the towers release the GIL.
    """

    def __init__(self, graph, input_shape, make_tower):
        self.input_shape = input_shape
        slots = {node: i for i, node in enumerate(graph.nodes)}
        self._values = [_frozen(node) for node in graph.nodes]
        self._xp = module_of(self.device(graph))
        self._seen, self._recorded = set(), {}
        self._input = slots[graph.placeholders[0]]
        self._outputs = [slots[node] for node in graph.outputs]
        self._steps = [
            (slots[node], _function(node, make_tower), [slots[i] if isinstance(i, Node) else None for i in node.inputs],
             [None if isinstance(i, Node) else i for i in node.inputs])
            for node in graph.nodes if node.kind == "operation"
        ]  # fmt: skip

    @staticmethod
    def device(graph):
        """Where the graph's constants are."""
        return next((device_of(node.value) for node in graph.nodes if node.kind == "constant"), "cpu")

    def __call__(self, x):
        if len(x) == 0:
            return tuple(out[:0] for out in self(np.zeros((1, *self.input_shape), np.float32)))
        x = self._xp.asarray(self._checked(x))
        run = self._outputs_of if self._xp is np else self._launches(len(x))
        return tuple(Tensor(out).numpy() for out in run(x))

    def values(self, x):
        """The value of every node of the graph."""
        values = list(self._values)
        values[self._input] = self._xp.asarray(self._checked(x))
        for out, function, slots, numbers in self._steps:
            values[out] = function([values[s] if s is not None else v for s, v in zip(slots, numbers, strict=True)])
        return values

    def _checked(self, x):
        if x.dtype != np.float32 or x.shape[1:] != self.input_shape:
            raise ValueError(f"plan: input {list(x.shape)} {x.dtype}, must be [n, *{list(self.input_shape)}] float32")
        return x if self._xp is not np else np.ascontiguousarray(x)

    def _outputs_of(self, x):
        values = self.values(x)
        return [values[slot] for slot in self._outputs]

    def _launches(self, n):
        """What computes a batch of `n` on a card: step by step at first, one CUDA graph for a size that comes back."""
        size = recorded_size(n)
        if size not in self._recorded:
            if size not in self._seen:
                self._seen.add(size)
                return self._outputs_of
            from nn.cuda.capture import Captured

            if len(self._recorded) == _RECORDED_SIZES:
                self._recorded.pop(next(iter(self._recorded)))
            self._recorded[size] = Captured(self._outputs_of, self._xp.zeros((size, *self.input_shape), np.float32))
        return self._recorded[size]


def recorded_size(n):
    """The batch size that stands for `n`: the next 2^k or 3 * 2^k. A search's batches have all sizes."""
    power = 1 << (n - 1).bit_length()
    return power * 3 // 4 if power >= 4 and n <= power * 3 // 4 else power


def _function(node, make_tower):
    if node.op is tower:
        compiled = make_tower(node)
        return lambda arrays: compiled(*arrays)
    need = {"need": (False,) * len(node.inputs)} if node.op.wants_need else {}
    forward = partial(node.op.forward, **node.attributes, **need)
    return lambda arrays: as_array(forward(*arrays)[0])


def _frozen(node):
    """A copy of a known value, None for what is computed."""
    return node.array().copy() if node.kind in ("constant", "variable") else None

"""Elementwise fusion: a tree of elementwise operations becomes one node that runs block by block.

Unfused, every operation reads and writes whole arrays in memory; fused, the values between the operations live in
small scratch arrays that stay in the cache.
"""

import math

import numpy as np

from nn import ops
from nn.backend import array_module
from nn.graph.node import Node, operation, rebuild
from nn.tensor import op

# What numpy and CuPy compute straight into an array; the others are evaluated and copied, within the cache.
_UFUNCS = {
    ops.add: "add", ops.sub: "subtract", ops.mul: "multiply", ops.div: "true_divide", ops.pow: "power",
    ops.neg: "negative", ops.abs: "absolute", ops.exp: "exp", ops.log: "log", ops.log1p: "log1p", ops.expm1: "expm1",
    ops.sqrt: "sqrt", ops.square: "square", ops.sin: "sin", ops.cos: "cos", ops.tanh: "tanh",
    ops.maximum: "maximum", ops.minimum: "minimum",
}  # fmt: skip
_OTHERS = {ops.sigmoid, ops.softplus, ops.relu, ops.silu, ops.gelu, ops.mish, ops.clip}
_BLOCK = 8192  # elements of a block


@op
def fused(*inputs, program):
    """A `Program` of elementwise operations; exists in optimised graphs only."""
    out = array_module(inputs[0]).empty(np.broadcast_shapes(*(x.shape for x in inputs)), program.dtype)
    program.run(inputs, out)
    return out, None


class Program:
    """Steps `(operation, arguments, attributes)`; an argument is a number or ("input" or "step", its index)."""

    def __init__(self, dtype, steps):
        self.dtype, self.steps = dtype, steps
        self._scratch = None

    def __repr__(self):
        return "[" + ", ".join(step[0].__name__ for step in self.steps) + "]"

    def run(self, inputs, out):
        """Compute into `out` (contiguous, of any leading size)."""
        xp = array_module(out)
        width = out.shape[-1]
        rows = out.size // max(width, 1)
        flat_out = out.reshape(rows, width)
        flat = [x.reshape(rows, width) if x.size == out.size else x.reshape(-1) for x in inputs]
        height = max(1, _BLOCK // width) if xp is np else rows
        if self._scratch is None or self._scratch.shape[1:] < (min(height, rows), width):
            self._scratch = xp.empty((len(self.steps), min(height, rows), width), self.dtype)
        for start in range(0, rows, height):
            block = slice(start, start + height)
            self._run_block(xp, [x[block] if x.ndim == 2 else x for x in flat], flat_out[block])

    def _run_block(self, xp, inputs, out):
        values = {}
        last = len(self.steps) - 1
        for i, (step, arguments, attributes) in enumerate(self.steps):
            arrays = [
                a if not isinstance(a, tuple) else inputs[a[1]] if a[0] == "input" else values[a[1]] for a in arguments
            ]
            target = out if i == last else self._scratch[i, : len(out)]
            apply_into(xp, step, arrays, attributes, target)
            values[i] = target


def apply_into(xp, operation, arrays, attributes, out):
    """The value of an elementwise operation, written into `out`."""
    if operation in _UFUNCS:
        getattr(xp, _UFUNCS[operation])(*arrays, out=out)
    else:
        need = {"need": (False,) * len(arrays)} if operation.wants_need else {}
        out[...] = operation.forward(*arrays, **need, **attributes)[0]


def is_elementwise(node):
    """Whether `node` can be a step of a program: floating-point, every input of its own shape or spread over rows."""
    if node.op not in _UFUNCS and node.op not in _OTHERS or node.dtype.kind != "f" or not node.shape:
        return False
    return all(i.dtype == node.dtype and _spreads(i.shape, node.shape) for i in node.parents)


def _spreads(shape, full):
    """Full size, one element, or one value per position of the last axis."""
    size = math.prod(shape)
    return shape == full or size == 1 or size == shape[-1] == full[-1]


def fuse_elementwise(graph):
    """The graph with every tree of two or more elementwise operations as one `fused` node."""
    users = graph.users()

    def inside(node, root):
        """Whether `node` is computed for `root`'s tree alone."""
        return (
            isinstance(node, Node) and node.kind == "operation" and is_elementwise(node) and node.shape == root.shape
            and node.dtype == root.dtype and len(set(users[node])) == 1 and node not in graph.outputs
        )  # fmt: skip

    absorbed = set()  # nodes that became steps of a later root
    for node in reversed(graph.nodes):
        if node.kind == "operation" and is_elementwise(node):
            absorbed.update(parent for parent in node.parents if inside(parent, node))

    news = {}

    def visit(node, inputs):
        if node.kind == "operation" and is_elementwise(node) and node not in absorbed:
            steps, sources = _linearise(node, absorbed)
            if len(steps) > 1:
                program = Program(node.dtype, steps)
                result = operation(fused, [news[s] for s in sources], {"program": program}, node.shape, node.dtype)
                news[node] = result
                return result
        news[node] = node.with_inputs(inputs)
        return news[node]

    return rebuild(graph, visit)


def _linearise(root, absorbed):
    """Steps that compute `root`, and the nodes they read."""
    steps, sources, place = [], [], {}

    def argument(i):
        if not isinstance(i, Node):
            return i
        if i in absorbed and i.shape == root.shape:
            if i not in place:
                emit(i)
            return ("step", place[i])
        if i not in sources:
            sources.append(i)
        return ("input", sources.index(i))

    def emit(node):
        arguments = [argument(i) for i in node.inputs]
        place[node] = len(steps)
        steps.append((node.op, arguments, node.attributes))

    emit(root)
    return steps, sources

"""A graph as a list of steps over buffers that are allocated once and shared by values whose lives do not overlap."""

import math

import numpy as np

from nn import ops
from nn.backend import array_module
from nn.graph.elementwise import apply_into, fused, is_elementwise
from nn.graph.node import Node

_VIEWS = (ops.reshape, ops.transpose, ops.broadcast_to, ops.flip, ops.index)  # may share memory with their input


def _linear_into(xp, arrays, attributes, out):
    x, w, bias = arrays
    flat = out.reshape(-1, out.shape[-1])
    xp.matmul(x.reshape(-1, x.shape[-1]), w, out=flat)
    if bias is not None:
        flat += bias


def _reduction_into(name):
    def into(xp, arrays, attributes, out):
        getattr(xp, name)(arrays[0], out=out, **attributes)

    return into


_INTO = {
    fused: lambda xp, arrays, attributes, out: attributes["program"].run(arrays, out),
    ops.matmul: lambda xp, arrays, attributes, out: xp.matmul(*arrays, out=out),
    ops.linear: _linear_into,
    ops.concat: lambda xp, arrays, attributes, out: xp.concatenate(arrays, out=out, **attributes),
    ops.stack: lambda xp, arrays, attributes, out: xp.stack(arrays, out=out, **attributes),
    **{getattr(ops, name): _reduction_into(name) for name in ("sum", "mean", "max", "min")},
}


class Plan:
    """A compiled graph: `plan(*arrays)` returns what the traced function returned, as arrays of the caller's own.

    Variables are read at every call. `bytes` is what the shared buffers take, `bytes_unshared` what one buffer per
    value would. Operations whose kernels allocate their own results (convolutions, losses) do so here too. Not for use
    by two threads at once.
    """

    def __init__(self, graph):
        self.graph = graph
        self._slots = {node: i for i, node in enumerate(graph.nodes)}
        homes, sizes = _assign(graph)
        self.bytes = sum(sizes)
        self.bytes_unshared = sum(_nbytes(node) for node in homes)
        xp = _module(graph)
        buffers = [xp.empty(size, np.uint8) for size in sizes]
        self._steps = []
        for node in graph.nodes:
            if node.kind == "operation":
                out = None
                if node in homes:
                    out = buffers[homes[node]][: _nbytes(node)].view(node.dtype).reshape(node.shape)
                inputs = [(self._slots[i], None) if isinstance(i, Node) else (None, i) for i in node.inputs]
                self._steps.append((self._slots[node], _step(node, out), inputs))

    def __call__(self, *arrays):
        values = [node.array() if node.kind in ("constant", "variable") else None for node in self.graph.nodes]
        for node, array in self.graph.bind(arrays).items():
            values[self._slots[node]] = array
        for slot, run, inputs in self._steps:
            values[slot] = run([values[s] if s is not None else number for s, number in inputs])
        return self.graph.results({node: values[self._slots[node]].copy() for node in self.graph.outputs})


def _module(graph):
    arrays = [node.array() for node in graph.nodes if node.kind in ("constant", "variable")]
    return array_module(arrays[0]) if arrays else np


def _nbytes(node):
    return math.prod(node.shape) * node.dtype.itemsize


def _fills(node):
    """Whether the operation can write into a given buffer."""
    return node.dtype.itemsize != 2 and (node.op in _INTO or is_elementwise(node))


def _step(node, out):
    if out is None:
        return lambda arrays: node.evaluate(arrays)[0]
    xp = array_module(out)

    def run(arrays):
        if node.op in _INTO:
            _INTO[node.op](xp, arrays, node.attributes, out)
        else:
            apply_into(xp, node.op, arrays, node.attributes, out)
        return out

    return run


def _may_overwrite(node, parent, storage):
    """Whether an elementwise `node` may write where it reads `parent`: element by element, not through a view."""
    direct = all(p is parent for p in node.parents if storage[p] is parent)
    return direct and (is_elementwise(node) or node.op is fused) and parent.shape == node.shape


def _assign(graph):
    """Buffer number of each node that fills one, and the buffers' sizes: first fit over the values' lifetimes."""
    storage = {}  # node -> the node whose memory it may share
    last_use = {}
    for i, node in enumerate(graph.nodes):
        is_view = node.kind == "operation" and node.op in _VIEWS and isinstance(node.inputs[0], Node)
        storage[node] = storage[node.inputs[0]] if is_view else node
        for parent in node.parents:
            last_use[storage[parent]] = i
    for node in graph.outputs:
        last_use[storage[node]] = len(graph.nodes)

    homes, sizes, free = {}, [], []
    for i, node in enumerate(graph.nodes):
        dying = {storage[p] for p in node.parents if last_use[storage[p]] == i and storage[p] in homes}
        if node.kind == "operation" and _fills(node):
            in_place = {d for d in dying if _may_overwrite(node, d, storage)}
            free += [homes[d] for d in in_place]
            dying -= in_place
            fitting = [b for b in free if sizes[b] >= _nbytes(node)]
            if fitting:
                homes[node] = min(fitting, key=sizes.__getitem__)
                free.remove(homes[node])
            else:
                homes[node] = len(sizes)
                sizes.append(_nbytes(node))
        free += [homes[d] for d in dying]
    return homes, sizes

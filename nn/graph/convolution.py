"""Rewrites of a graph for inference: batch norm into convolutions, convolutions with what follows, whole towers.

All expect parameters that no longer change: variables are read once.
"""

import numpy as np

from nn import ops
from nn.backend import array_module, kernels
from nn.graph.node import Node, constant, operation, rebuild
from nn.reference import OUTSIDE
from nn.tensor import op


@op
def conv_act(x, w, bias, residual=None, *, stride=1, padding="same", relu=False):
    """`relu(conv2d(x, w, bias) + residual)`; exists in fused graphs only."""
    k = kernels(x)
    if w.shape[:2] == (1, 1) and stride == 1 and padding in ("same", 0) and residual is None:
        y = k.linear(x.reshape(-1, x.shape[3]), w[0, 0], bias, relu)
        return y.reshape(*x.shape[:3], w.shape[3]), None
    y = k.conv2d(x, w, bias, stride, padding)
    if residual is not None:
        y += residual
    if relu:
        array_module(y).maximum(y, 0, out=y)
    return y, None


@op
def tower(x, outside=None, *, layers):
    """A stack of 3x3 convolutions: `layers` as `nn.reference.Tower` takes them; exists in fused graphs only."""
    return kernels(x).Tower(layers, *x.shape[1:3])(x, *([] if outside is None else [outside])), None


def _known(node):
    return isinstance(node, Node) and node.kind in ("constant", "variable")


def fuse_convolutions(graph):
    """The graph with every `conv2d` of known weights merged with the batch norm, sum and ReLU that alone read it."""
    users = graph.users()
    carries = {}  # conv_act node -> the old node whose value it has

    def visit(node, inputs):
        merged = None
        if node.op is ops.conv2d and _known(inputs[1]) and (inputs[2] is None or _known(inputs[2])):
            merged = _plain(node, inputs)
        for i, parent in enumerate(node.inputs):
            if merged is None and isinstance(parent, Node) and carries.get(inputs[i]) is parent:
                if len(users[parent]) == 1 and parent not in graph.outputs:
                    merged = _merge(node, inputs, i)
        if merged is None:
            return node.with_inputs(inputs)
        carries[merged] = node
        return merged

    return rebuild(graph, visit)


def _plain(node, inputs):
    x, w, bias = inputs
    w = w.array()
    bias = bias.array() if bias is not None else array_module(w).zeros(w.shape[3], w.dtype)
    return _conv(node, x, w, bias, None, node.attributes | {"relu": False})


def _conv(node, x, w, bias, residual, attributes):
    return operation(conv_act, (x, constant(w), constant(bias), residual), attributes, node.shape, node.dtype)


def _merge(node, inputs, i):
    """The convolution `inputs[i]` with the operation `node` that reads it, or None if they do not fit."""
    conv = inputs[i]
    x, w, bias, residual = conv.inputs
    settings = conv.attributes
    if settings["relu"]:
        return None
    if node.op is ops.relu:
        return _conv(node, x, w.value, bias.value, residual, settings | {"relu": True})
    if node.op is ops.add and residual is None:
        other = inputs[1 - i]
        fits = isinstance(other, Node) and other.shape == node.shape
        return _conv(node, x, w.value, bias.value, other, settings) if fits else None
    if node.op is not ops.bn_act or i != 0 or residual is not None or node.attributes["training"]:
        return None
    if not (_known(inputs[1]) and _known(inputs[2])):
        return None
    norm = ops.bn_act.defaults | node.attributes
    scale = inputs[1].array() / np.sqrt(norm["running_var"] + norm["eps"])
    shift = inputs[2].array() + (bias.value - norm["running_mean"]) * scale
    w, shift = (a.astype(node.dtype) for a in (w.value * scale, shift))
    return _conv(node, x, w, shift, inputs[3], settings | {"relu": norm["relu"]})


def _is_tower_layer(node):
    return (
        node.op is conv_act
        and node.dtype == np.float32
        and node.inputs[1].shape[:2] == (3, 3)
        and node.attributes.get("stride", 1) == 1
        and node.attributes.get("padding", "same") in ("same", 1)
    )


def find_towers(graph, outside=False):
    """The graph with each chain of fused 3x3 convolutions whose inner values nobody else reads as one `tower` node.

    With `outside`, towers add one value from outside of the chain. A sum with another ends the chain, and stands behind
    the tower.
    """
    users = graph.users()
    chains, taken = {}, set()  # last node of a chain -> the chain
    for node in graph.nodes:
        if node not in taken and _is_tower_layer(node):
            chain = _chain(graph, users, node, limit=int(outside))
            taken.update(chain)
            chains[chain[-1]] = chain
    renewed = {}  # node of a chain -> its new inputs

    def visit(node, inputs):
        if node in taken:
            renewed[node] = inputs
        if node not in chains:
            return node.with_inputs(inputs)
        chain = chains[node]
        added = _outsiders(chain)[: int(outside)]
        given = [renewed[n][3] for n in chain if n.inputs[3] in added][: len(added)]
        layers = [_layer(n, chain, added) for n in chain]
        result = operation(tower, (renewed[chain[0]][0], *given), {"layers": layers}, node.shape, node.dtype)
        if node.inputs[3] not in (None, *chain, *added):
            result = operation(ops.add, (result, inputs[3]), {}, node.shape, node.dtype)
            if node.attributes["relu"]:
                result = operation(ops.relu, (result,), {}, node.shape, node.dtype)
        return result

    return rebuild(graph, visit)


def _outsiders(chain):
    """The values that layers of a chain add and that are no layer's output, each once."""
    residuals = (node.inputs[3] for node in chain)
    return list(dict.fromkeys(r for r in residuals if r is not None and r not in chain))


def _layer(node, chain, added):
    _, w, bias, residual = node.inputs
    index = OUTSIDE if residual in added else chain.index(residual) if residual in chain else None
    inside = residual is None or index is not None
    return w.value, bias.value, index, inside and node.attributes["relu"]


def _chain(graph, users, start, limit):
    """The longest chain from `start` that closes over its inner values and adds at most `limit` from outside; its last
    layer may add one more."""
    chain = [start]
    while len(_outsiders(chain)) <= limit:
        following = [n for n in users[chain[-1]] if _is_tower_layer(n) and n.inputs[0] is chain[-1]]
        if len(following) != 1:
            break
        chain += following
    while len(chain) > 1:
        inner = chain[:-1]
        if all(u in chain for node in inner for u in users[node]) and not any(n in graph.outputs for n in inner):
            break
        chain.pop()
    return chain

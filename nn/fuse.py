"""Rewrites of a graph for inference: batch norm into convolutions, convolutions with what follows, whole towers.

All expect parameters that no longer change: variables are read once.
"""

import numpy as np

from nn import ops
from nn.backend import array_module, kernels
from nn.graph import Graph, Node
from nn.tensor import op


@op
def conv_act(x, w, bias, residual=None, *, stride=1, padding="same", relu=False):
    """`relu(conv2d(x, w, bias) + residual)`; exists in fused graphs only."""
    y = kernels(x).conv2d(x, w, bias, stride, padding)
    if residual is not None:
        y += residual
    if relu:
        array_module(y).maximum(y, 0, out=y)
    return y, None


@op
def tower(x, *, layers):
    """A stack of 3x3 convolutions, run by its compiled form (set by `nn.infer`); exists in fused graphs only."""
    raise NotImplementedError("tower: run through nn.infer.compile")


def _constant(array):
    return Node("constant", array.shape, array.dtype, value=array)


def _known(node):
    return isinstance(node, Node) and node.kind in ("constant", "variable")


def fuse_convolutions(graph):
    """The graph with every `conv2d` of known weights merged with the batch norm, sum and ReLU that alone read it."""
    users = graph.users()
    new = {}  # old node -> node that now stands for its value
    nodes = []

    def emit(node):
        nodes.append(node)
        return node

    def alone(node):
        return len(users[node]) == 1 and node not in graph.outputs

    absorbed = {}  # conv_act node -> the old node whose value it carries
    for node in graph.nodes:
        inputs = tuple(new[i] if isinstance(i, Node) else i for i in node.inputs)
        merged = None
        if node.op is ops.conv2d and all(i is None or _known(i) for i in inputs[1:]):
            merged = _plain(node, inputs)
        else:
            for i, parent in enumerate(node.inputs):
                if isinstance(parent, Node) and new[parent] in absorbed and absorbed[new[parent]] is parent:
                    merged = _merge(node, inputs, i) if alone(parent) else None
                    if merged is not None:
                        nodes.remove(inputs[i])
                        break
        if merged is not None:
            absorbed[merged] = node
            new[node] = emit(merged)
        else:
            new[node] = emit(Node(node.kind, node.shape, node.dtype, node.op, inputs, node.attributes, node.value))
    result = Graph(nodes, [new[p] for p in graph.placeholders], [new[o] for o in graph.outputs], graph.single)
    return sweep(result)


def _plain(node, inputs):
    x, w, bias = inputs
    bias = bias.array() if bias is not None else np.zeros(w.shape[3], w.dtype)
    return _conv(node, x, w.array(), bias, None, node.attributes | {"relu": False})


def _conv(node, x, w, bias, residual, attributes):
    inputs = (x, _constant(w), _constant(bias), residual)
    return Node("operation", node.shape, node.dtype, conv_act, inputs, attributes)


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
    norm = node.attributes
    eps = norm.get("eps", ops.bn_act.forward.__kwdefaults__["eps"])
    scale = inputs[1].array() / np.sqrt(norm["running_var"] + eps)
    shift = inputs[2].array() + (bias.value - norm["running_mean"]) * scale
    return _conv(node, x, w.value * scale, shift, inputs[3], settings | {"relu": norm.get("relu", True)})


def sweep(graph):
    """The graph without nodes that no output needs, every node after what it reads."""
    order, seen = [], set()
    stack = [(node, False) for node in [*graph.placeholders, *graph.outputs]]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((parent, False) for parent in node.parents)
    return Graph(order, graph.placeholders, graph.outputs, graph.single)


def _is_tower_layer(node):
    return (
        node.op is conv_act
        and node.inputs[1].shape[:2] == (3, 3)
        and node.attributes.get("stride", 1) == 1
        and node.attributes.get("padding", "same") in ("same", 1)
    )


def find_towers(graph):
    """The graph with each chain of fused 3x3 convolutions whose inner values nobody else reads as one `tower` node.

    A tower's `layers` are `(weight, bias, residual index or None, relu)`, as `nn.cpu.Tower` takes them.
    """
    users = graph.users()
    replaced, taken = {}, set()
    for start in graph.nodes:
        if start in taken or not _is_tower_layer(start) or start.inputs[3] is not None:
            continue
        chain = _chain(graph, users, start)
        taken.update(chain)
        layers = []
        for node in chain:
            _, w, bias, residual = node.inputs
            index = chain.index(residual) if residual is not None else None
            layers.append((w.value, bias.value, index, node.attributes["relu"]))
        last = chain[-1]
        replaced[last] = Node("operation", last.shape, last.dtype, tower, (start.inputs[0],), {"layers": layers})
    for node in [*graph.nodes, *replaced.values()]:
        node.inputs = tuple(replaced.get(i, i) if isinstance(i, Node) else i for i in node.inputs)
    outputs = [replaced.get(node, node) for node in graph.outputs]
    return sweep(Graph(graph.nodes, graph.placeholders, outputs, graph.single))


def _chain(graph, users, start):
    """The longest chain from `start` that closes over its inner values."""
    chain = [start]
    while True:
        following = [
            n for n in users[chain[-1]]
            if _is_tower_layer(n) and n.inputs[0] is chain[-1] and (n.inputs[3] is None or n.inputs[3] in chain)
        ]  # fmt: skip
        if len(following) != 1:
            break
        chain += following
    while len(chain) > 1:
        inner = chain[:-1]
        if all(u in chain for node in inner for u in users[node]) and not any(n in graph.outputs for n in inner):
            break
        chain.pop()
    return chain

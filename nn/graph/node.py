"""Nodes, graphs, and the trace that records them."""

import copy
from dataclasses import dataclass, field

import numpy as np

from nn.backend import array_module, as_array
from nn.tensor import Observer, Parameter, Tensor, no_grad, state


@dataclass(eq=False)
class Node:
    """One value of a graph: `inputs` are nodes, numbers or None; `value` is a constant's array, a variable's Tensor."""

    kind: str  # "placeholder", "constant", "variable" or "operation"
    shape: tuple
    dtype: np.dtype
    op: object = None
    inputs: tuple = ()
    attributes: dict = field(default_factory=dict)
    value: object = None

    @property
    def name(self):
        return self.op.__name__ if self.kind == "operation" else self.kind

    @property
    def parents(self):
        return [i for i in self.inputs if isinstance(i, Node)]

    def array(self):
        """The array of a constant or a variable."""
        return self.value.data if self.kind == "variable" else self.value

    def with_inputs(self, inputs):
        """This node, or a copy of it that reads `inputs`."""
        if all(a is b for a, b in zip(inputs, self.inputs, strict=True)):
            return self
        return Node(self.kind, self.shape, self.dtype, self.op, inputs, self.attributes, self.value)

    def evaluate(self, arrays, need=None):
        """Value and pullback of an operation for the arrays of its inputs; `need`: which of them want a gradient."""
        if self.op.wants_need:
            value, pullback = self.op.forward(*arrays, need=need or (False,) * len(arrays), **self.attributes)
        else:
            value, pullback = self.op.forward(*arrays, **self.attributes)
        return as_array(value), pullback


def constant(array):
    return Node("constant", array.shape, array.dtype, value=array)


def operation(op, inputs, attributes, shape, dtype):
    return Node("operation", shape, dtype, op, tuple(inputs), attributes)


@dataclass(eq=False)
class Graph:
    """Nodes in running order, the placeholders among them in argument order, and the output nodes."""

    nodes: list
    placeholders: list
    outputs: list
    single: bool = False  # the traced function returned one tensor, not a tuple

    def users(self):
        """For each node the operations that read it; an operation that reads a node twice is listed twice."""
        users = {node: [] for node in self.nodes}
        for node in self.nodes:
            for parent in node.parents:
                users[parent].append(node)
        return users

    def bind(self, arrays):
        """Placeholder -> array, checked. Raises ValueError for another number of inputs, shape or dtype."""
        if len(arrays) != len(self.placeholders):
            raise ValueError(f"graph: {len(arrays)} inputs given, traced with {len(self.placeholders)}")
        values = {}
        for node, array in zip(self.placeholders, arrays, strict=True):
            array = array.data if isinstance(array, Tensor) else array
            if array.shape != node.shape or array.dtype != node.dtype:
                raise ValueError(
                    f"graph: input {list(array.shape)} {array.dtype}, traced with {list(node.shape)} {node.dtype}"
                )
            values[node] = array
        return values

    def run(self, *arrays):
        """The outputs, as arrays (one, or a tuple), for inputs of the traced shapes and dtypes."""
        values = self.bind(arrays)
        for node in self.nodes:
            if node.kind == "operation":
                values[node], _ = node.evaluate([values[i] if isinstance(i, Node) else i for i in node.inputs])
            elif node.kind != "placeholder":
                values[node] = node.array()
        return self.results(values)

    def results(self, values):
        """What the traced function returned, from the values of the nodes."""
        outputs = tuple(values[node] for node in self.outputs)
        return outputs[0] if self.single else outputs

    def value_and_grad(self, *arrays):
        """The scalar that the graph computes, and its gradient in every variable.

        The gradients are added to `grad` of the parameters, as `Tensor.backward` does, in an order fixed by the graph.
        """
        if not self.single or self.outputs[0].shape != ():
            raise ValueError("graph: only a graph with one scalar output has gradients")
        values = self.bind(arrays)
        wanted, pullbacks = set(), {}
        for node in self.nodes:
            if node.kind == "operation":
                need = tuple(i in wanted for i in node.inputs)
                operands = [values[i] if isinstance(i, Node) else i for i in node.inputs]
                values[node], pullback = node.evaluate(operands, need)
                if pullback is not None and True in need:
                    wanted.add(node)
                    pullbacks[node] = pullback
            elif node.kind != "placeholder":
                values[node] = node.array()
                if node.kind == "variable":
                    wanted.add(node)
        gradients = {self.outputs[0]: array_module(values[self.outputs[0]]).ones_like(values[self.outputs[0]])}
        for node in reversed(self.nodes):
            if node not in gradients:
                continue
            g = gradients.pop(node)
            if node.kind == "variable":
                parameter = node.value
                parameter.grad = g.copy() if parameter.grad is None else parameter.grad + g
            elif node in pullbacks:
                results = pullbacks.pop(node)(g)
                for parent, part in zip(node.inputs, results if type(results) is tuple else (results,), strict=True):
                    if parent in wanted and part is not None:
                        gradients[parent] = gradients[parent] + part if parent in gradients else part
        return values[self.outputs[0]].item()

    def __str__(self):
        names = self._names()
        lines = []
        for node in self.nodes:
            inputs = [names[i] if isinstance(i, Node) else str(i) for i in node.inputs]
            settings = [f"{key}={_brief(value)}" for key, value in node.attributes.items()]
            call = f"({', '.join(inputs + settings)})" if node.kind == "operation" else ""
            lines.append(f"{names[node]}: {list(node.shape)} {node.dtype} = {node.name}{call}")
        return "\n".join([*lines, "return " + ", ".join(names[node] for node in self.outputs)])

    def dot(self):
        """The graph in the DOT language, to be drawn by Graphviz: `dot -Tsvg`."""
        names = {node: name[1:] for node, name in self._names().items()}
        shapes = {"placeholder": "ellipse", "constant": "note", "variable": "folder", "operation": "box"}
        lines = ["digraph {", "  node [fontname=Helvetica];"]
        for node in self.nodes:
            label = f"{node.name}\\n{list(node.shape)} {node.dtype}"
            bold = ", style=bold" if node in self.outputs else ""
            lines.append(f'  n{names[node]} [label="{label}", shape={shapes[node.kind]}{bold}];')
            lines += [f"  n{names[parent]} -> n{names[node]};" for parent in node.parents]
        return "\n".join([*lines, "}"])

    def _names(self):
        return {node: f"%{i}" for i, node in enumerate(self.nodes)}


def _brief(value):
    return f"array{list(value.shape)}" if hasattr(value, "shape") and value.ndim else str(value)


class _Tracer(Observer):
    """Makes a node of every operation."""

    def __init__(self):
        self.nodes = []
        self.known = {}  # id of a tensor or array -> node
        self.alive = []  # so that no id is used twice

    def add(self, node, thing):
        self.nodes.append(node)
        self.known[id(thing)] = node
        self.alive.append(thing)
        return node

    def node_of(self, thing):
        """The node of an operand; tensors and arrays from outside become variables and constants."""
        if not hasattr(thing, "shape"):
            return thing
        if id(thing) in self.known:
            return self.known[id(thing)]
        array = thing.data if isinstance(thing, Tensor) else np.asarray(thing)
        if isinstance(thing, Parameter):
            return self.add(Node("variable", array.shape, array.dtype, value=thing), thing)
        return self.add(constant(array), thing)

    def attributes(self, op, attributes):
        return attributes if op.is_pure(attributes) else copy.deepcopy(attributes)  # a trace has no effects

    def record(self, op, args, attributes, out):
        inputs = [self.node_of(a) for a in args]
        if "shape" in attributes:
            attributes = attributes | {"shape": out.shape}  # no -1 in graphs
        self.add(operation(op, inputs, dict(attributes), out.shape, out.dtype), out)


def trace(function, *examples):
    """The graph of `function(*tensors)`, recorded while it runs once on the example arrays.

    Python control flow is followed as it goes for the examples. The trace moves no running statistics and draws from
    no random generator. Raises TypeError if the function returns anything but tensors.
    """
    tracer = _Tracer()
    inputs = [Tensor(e) for e in examples]
    placeholders = [tracer.add(Node("placeholder", t.shape, t.dtype), t) for t in inputs]
    before, state.observer = state.observer, tracer
    try:
        with no_grad():
            results = function(*inputs)
    finally:
        state.observer = before
    single = isinstance(results, Tensor)
    results = (results,) if single else tuple(results)
    if not all(isinstance(r, Tensor) for r in results):
        raise TypeError(f"trace: the function must return tensors, not {[type(r).__name__ for r in results]}")
    outputs = [tracer.node_of(r) for r in results]
    return sweep(Graph(tracer.nodes, placeholders, outputs, single))


def sweep(graph):
    """The graph without nodes that no output needs."""
    live, stack = set(graph.placeholders), list(graph.outputs)
    while stack:
        node = stack.pop()
        if node not in live:
            live.add(node)
            stack.extend(node.parents)
    return Graph([n for n in graph.nodes if n in live], graph.placeholders, graph.outputs, graph.single)


def rebuild(graph, visit):
    """A new graph: `visit(node, inputs)` gets each node in order, with its new inputs, and returns what replaces it."""
    new, order, placed = {}, [], set()

    def place(node):
        stack = [(node, False)]
        while stack:
            node, parents_done = stack.pop()
            if node in placed:
                continue
            if parents_done:
                placed.add(node)
                order.append(node)
            else:
                stack.append((node, True))
                stack.extend((parent, False) for parent in reversed(node.parents))
        return node

    for node in graph.nodes:
        inputs = tuple(new[i] if isinstance(i, Node) else i for i in node.inputs)
        new[node] = visit(node, inputs)
        place(new[node])
    placeholders, outputs = ([new[node] for node in nodes] for nodes in (graph.placeholders, graph.outputs))
    return sweep(Graph(order, placeholders, outputs, graph.single))

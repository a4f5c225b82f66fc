"""Static dataflow graphs: trace a function of tensors, look at it, run it again without Python in between.

    graph = trace(lambda x: (x @ w + b).relu(), example)
    print(graph)
    graph.run(x)

A graph is a list of nodes in an order in which they can run. Kinds of nodes: placeholders (inputs), constants
(arrays), variables (parameters, read at every run) and operations. Shapes and dtypes are those of the example inputs.
"""

from dataclasses import dataclass, field

import numpy as np

from nn.tensor import Parameter, Tensor, no_grad, state


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


@dataclass(eq=False)
class Graph:
    """Nodes in running order, the placeholders among them in argument order, and the output nodes."""

    nodes: list
    placeholders: list
    outputs: list
    single: bool = False  # the traced function returned one tensor, not a tuple

    def users(self):
        """For each node the operations that read it, as a dict; a node read twice by one is listed twice."""
        users = {node: [] for node in self.nodes}
        for node in self.nodes:
            for parent in node.parents:
                users[parent].append(node)
        return users

    def run(self, *arrays):
        """The outputs, as arrays (one, or a tuple), for inputs of the traced shapes. Raises ValueError for others."""
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
        for node in self.nodes:
            if node.kind == "operation":
                values[node] = evaluate(node, [values[i] if isinstance(i, Node) else i for i in node.inputs])
            elif node.kind != "placeholder":
                values[node] = node.array()
        results = tuple(values[node] for node in self.outputs)
        return results[0] if self.single else results

    def __str__(self):
        numbers = {node: f"%{i}" for i, node in enumerate(self.nodes)}
        lines = []
        for node in self.nodes:
            inputs = [numbers[i] if isinstance(i, Node) else str(i) for i in node.inputs]
            settings = [f"{key}={_brief(value)}" for key, value in node.attributes.items()]
            call = f"({', '.join(inputs + settings)})" if node.kind == "operation" else ""
            lines.append(f"{numbers[node]}: {list(node.shape)} {node.dtype} = {node.name}{call}")
        return "\n".join([*lines, "return " + ", ".join(numbers[node] for node in self.outputs)])


def _brief(value):
    return f"array{list(value.shape)}" if hasattr(value, "shape") and value.ndim else str(value)


def evaluate(node, arrays):
    """The value of an operation node for the arrays of its inputs."""
    need = {"need": (False,) * len(arrays)} if node.op.wants_need else {}
    value, _ = node.op.forward(*arrays, **need, **node.attributes)
    return value if hasattr(value, "flags") else np.asarray(value)


class _Tracer:
    """Receives every operation that runs while it is installed."""

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
        return self.add(Node("constant", array.shape, array.dtype, value=array), thing)

    def record(self, op, args, attributes, out):
        inputs = tuple(self.node_of(a) for a in args)
        if "shape" in attributes:
            attributes = attributes | {"shape": out.shape}  # no -1 in graphs
        self.add(Node("operation", out.shape, out.dtype, op, inputs, dict(attributes)), out)


def trace(function, *examples):
    """The graph of `function(*tensors)`, recorded while it runs once on the example arrays.

    Python control flow is followed as it goes for the examples. Raises TypeError if the function returns anything
    but tensors.
    """
    tracer = _Tracer()
    inputs = [Tensor(e) for e in examples]
    placeholders = [tracer.add(Node("placeholder", t.shape, t.dtype), t) for t in inputs]
    before, state.tracer = state.tracer, tracer
    try:
        with no_grad():
            results = function(*inputs)
    finally:
        state.tracer = before
    single = isinstance(results, Tensor)
    results = (results,) if single else tuple(results)
    if not all(isinstance(r, Tensor) for r in results):
        raise TypeError(f"trace: the function must return tensors, not {[type(r).__name__ for r in results]}")
    return Graph(tracer.nodes, placeholders, [tracer.node_of(r) for r in results], single)

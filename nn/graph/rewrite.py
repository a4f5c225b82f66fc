"""Rewrites that keep a graph's values: constants folded, common subexpressions merged, stable and simpler forms.

Each is a small function on one node; `optimise` repeats them until nothing changes. They hold for training too.
"""


from nn import ops
from nn.graph.node import Node, constant, operation, rebuild

_SMALL = 4096  # elements; equal constants up to this size are merged by content


def optimise(graph):
    """The graph after constant folding, common-subexpression and dead-code elimination and stable rewrites."""
    while True:
        seen = {}
        before = len(graph.nodes), _signature(graph)
        graph = rebuild(graph, lambda node, inputs, seen=seen: _merge_equal(_improve(node.with_inputs(inputs)), seen))
        if (len(graph.nodes), _signature(graph)) == before:
            return graph


def freeze(graph):
    """The graph with its variables and running statistics as constants, copies of their present values."""

    def visit(node, inputs):
        if node.kind == "variable":
            return constant(node.array().copy())
        attributes = {k: v.copy() if hasattr(v, "shape") else v for k, v in node.attributes.items()}
        return Node(node.kind, node.shape, node.dtype, node.op, inputs, attributes, node.value)

    return rebuild(graph, visit)


def _signature(graph):
    return [node.op for node in graph.nodes]


def _merge_equal(node, seen):
    """An earlier node with the same operation on the same inputs, or this one."""
    if node.kind == "constant" and node.value.size <= _SMALL:
        key = ("constant", node.shape, node.dtype, node.value.tobytes())
    elif node.kind == "operation" and node.op.is_pure(node.attributes):
        settings = tuple((name, _identity(value)) for name, value in sorted(node.attributes.items()))
        key = (node.op, tuple(_identity(i) for i in node.inputs), settings)
    else:
        return node
    return seen.setdefault(key, node)


def _identity(value):
    """A hashable stand-in: nodes and arrays by identity, numbers by type and value (1 is not 1.0 to a dtype)."""
    if isinstance(value, Node) or hasattr(value, "shape"):
        return id(value)
    if isinstance(value, tuple | list):
        return tuple(_identity(v) for v in value)
    return type(value), repr(value)


def _improve(node):
    if node.kind != "operation":
        return node
    if node.op.is_pure(node.attributes) and node.parents and all(i is None or _is_known(i) for i in node.inputs):
        value, _ = node.evaluate([i.value if isinstance(i, Node) else i for i in node.inputs])
        return constant(value.copy())
    for rule in _RULES.get(node.op, ()):
        better = rule(node)
        if better is not None:
            return better
    return node


def _is_known(i):
    return not isinstance(i, Node) or i.kind == "constant"


def _is_op(i, op):
    return isinstance(i, Node) and i.op is op


def _is_number(i, number):
    """Whether an input is this number, as a literal or as a constant of one element."""
    if isinstance(i, Node):
        return i.kind == "constant" and i.value.size == 1 and i.value.item() == number
    return i is not None and i == number


def _same(op, x, node, **attributes):
    """`op(x)` in place of `node`."""
    return operation(op, (x,), attributes, node.shape, node.dtype)


def _log_of(node):
    x = node.inputs[0]
    if _is_op(x, ops.softmax):
        return operation(ops.log_softmax, x.inputs, x.attributes, node.shape, node.dtype)
    if _is_op(x, ops.sigmoid):  # log(sigmoid(z)) = -softplus(-z)
        negative = _same(ops.neg, x.inputs[0], node)
        return _same(ops.neg, _same(ops.softplus, negative, node), node)
    if _is_op(x, ops.exp):
        return x.inputs[0]
    if _is_op(x, ops.add):
        for one, other in (x.inputs, x.inputs[::-1]):
            if _is_number(one, 1) and isinstance(other, Node) and other.shape == node.shape:
                return _same(ops.log1p, other, node)
    return None


def _log1p_of(node):
    x = node.inputs[0]
    return _same(ops.softplus, x.inputs[0], node) if _is_op(x, ops.exp) else None


def _difference(node):
    a, b = node.inputs
    if _is_op(a, ops.exp) and _is_number(b, 1) and a.shape == node.shape:
        return _same(ops.expm1, a.inputs[0], node)
    return _right_identity(0)(node)


def _right_identity(number):
    """x op number = x."""

    def rule(node):
        a, b = node.inputs
        return a if _is_number(b, number) and isinstance(a, Node) and _alike(a, node) else None

    return rule


def _identity_element(number):
    """x op number = number op x = x."""

    def rule(node):
        for x, other in (node.inputs, node.inputs[::-1]):
            if _is_number(other, number) and isinstance(x, Node) and _alike(x, node):
                return x
        return None

    return rule


def _alike(a, b):
    return a.shape == b.shape and a.dtype == b.dtype


def _twice_neg(node):
    return node.inputs[0].inputs[0] if _is_op(node.inputs[0], ops.neg) else None


def _reshape_of(node):
    x = node.inputs[0]
    if _alike(x, node):
        return x
    return operation(ops.reshape, x.inputs, node.attributes, node.shape, node.dtype) if _is_op(x, ops.reshape) else None


def _transpose_of(node):
    x = node.inputs[0]
    axes = _axes(node)
    if axes == tuple(range(len(axes))):
        return x
    if not _is_op(x, ops.transpose):
        return None
    inner = _axes(x)
    return operation(
        ops.transpose, x.inputs, {"axes": tuple(inner[a] for a in axes)}, node.shape, node.dtype
    )  # fmt: skip


def _axes(node):
    return tuple(node.attributes.get("axes") or range(len(node.shape) - 1, -1, -1))


def _nothing_to_do(node):
    return node.inputs[0] if _alike(node.inputs[0], node) else None


_RULES = {
    ops.log: [_log_of],
    ops.log1p: [_log1p_of],
    ops.sub: [_difference],
    ops.add: [_identity_element(0)],
    ops.mul: [_identity_element(1)],
    ops.div: [_right_identity(1)],
    ops.pow: [_right_identity(1)],
    ops.neg: [_twice_neg],
    ops.reshape: [_reshape_of],
    ops.transpose: [_transpose_of],
    ops.astype: [_nothing_to_do],
    ops.broadcast_to: [_nothing_to_do],
}

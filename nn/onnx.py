"""Export to ONNX, for runtimes outside Python.

The graph keeps our layout, NHWC; each convolution and pooling is transposed to ONNX's NCHW and back, which ONNX
Runtime cancels between neighbours when it loads the model. Needs the `onnx` package.
"""

import os

import numpy as np

from nn import ops
from nn.graph import Graph, Node, freeze, fuse_convolutions, optimise, trace_inference
from nn.graph.convolution import conv_act
from nn.reference import margins
from nn.save import write_atomically

_OPSET = 20
_TO_NCHW, _TO_NHWC = [0, 3, 1, 2], [0, 2, 3, 1]


def export(path, module, input_shape, outputs=None):
    """Write `module.eval()` for inputs `[n, *input_shape]` float32 as an ONNX file with batch norm folded.

    The input is called "input", the outputs as `outputs` says or "output0", "output1", ...
    Raises ValueError for an operation that has no counterpart, and ImportError without the `onnx` package.
    """
    graph = fuse_convolutions(optimise(freeze(trace_inference(module, input_shape))))
    model = to_model(graph, inputs=["input"], outputs=outputs, free_batch=True)
    write_atomically(os.fspath(path), model.SerializeToString())


def to_model(graph: Graph, inputs=None, outputs=None, free_batch=False):
    """An `onnx.ModelProto` of a graph, checked by ONNX; with `free_batch` the leading dimension "n" is left open."""
    import onnx
    from onnx import helper

    inputs = inputs or [f"input{i}" for i in range(len(graph.placeholders))]
    outputs = outputs or [f"output{i}" for i in range(len(graph.outputs))]
    if len(outputs) != len(graph.outputs):
        raise ValueError(f"{len(outputs)} output names for {len(graph.outputs)} outputs")
    writer = _Writer()
    for name, node in zip(inputs, graph.placeholders, strict=True):
        writer.names[node] = name
    for node in graph.nodes:
        writer.add(node)
    for name, node in zip(outputs, graph.outputs, strict=True):
        writer.emit("Identity", [writer.names[node]], name)

    def info(name, node):
        shape = ["n", *node.shape[1:]] if free_batch else list(node.shape)
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(node.dtype), shape)

    body = helper.make_graph(
        writer.nodes, "nn",
        [info(name, node) for name, node in zip(inputs, graph.placeholders, strict=True)],
        [info(name, node) for name, node in zip(outputs, graph.outputs, strict=True)],
        writer.initialisers,
    )  # fmt: skip
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


class _Writer:
    """The ONNX nodes and constants made so far, and the name of each of our nodes' values."""

    def __init__(self):
        self.nodes, self.initialisers, self.names = [], [], {}
        self._count = 0

    def emit(self, kind, inputs, output=None, **attributes):
        """Append a node; returns the name of its output."""
        from onnx import helper

        self._count += 1
        output = output or f"{kind.lower()}_{self._count}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, value, dtype=None):
        from onnx import numpy_helper

        self._count += 1
        name = f"constant_{self._count}"
        self.initialisers.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def add(self, node: Node):
        if node.kind == "placeholder":
            return
        if node.kind != "operation":
            self.names[node] = self.constant(node.array())
            return
        if node.op not in _EMITTERS:
            raise ValueError(f"{node.name}: has no counterpart in ONNX")
        floats = next((p.dtype for p in node.parents if p.dtype.kind == "f"), node.dtype)
        inputs = [self._operand(i, floats) for i in node.inputs]
        self.names[node] = _EMITTERS[node.op](self, node, *inputs)

    def _operand(self, i, dtype):
        if i is None:
            return None
        return self.names[i] if isinstance(i, Node) else self.constant(i, dtype)


def _settings(node):
    return node.op.defaults | node.attributes


def _plain(kind, **attributes):
    """One ONNX node with the same operands."""
    return lambda w, node, *inputs: w.emit(kind, list(inputs), **attributes)


def _composed(make):
    """`make(writer, x, number)` where `number(v)` is a constant of the node's dtype."""
    return lambda w, node, x: make(w, x, lambda v: w.constant(v, node.dtype))


def _with_axis(kind):
    return lambda w, node, x: w.emit(kind, [x], axis=_settings(node)["axis"])


def _axes(node, rank):
    axis = _settings(node)["axis"]
    return list(range(rank)) if axis is None else [int(a) for a in np.atleast_1d(axis)]


def _reduction(kind):
    def emit(w, node, x):
        axes = w.constant(_axes(node, len(node.inputs[0].shape)), np.int64)
        return w.emit(kind, [x, axes], keepdims=int(_settings(node)["keepdims"]))

    return emit


def _var(w, node, x):
    settings, shape = _settings(node), node.inputs[0].shape
    axes = _axes(node, len(shape))
    axes_name = w.constant(axes, np.int64)
    centred = w.emit("Sub", [x, w.emit("ReduceMean", [x, axes_name], keepdims=1)])
    total = w.emit("ReduceSumSquare", [centred, axes_name], keepdims=int(settings["keepdims"]))
    count = np.prod([shape[a] for a in axes]) - settings["correction"]
    return w.emit("Div", [total, w.constant(count, node.dtype)])


def _linear(w, node, x, weight, bias):
    y = w.emit("MatMul", [x, weight])
    return y if bias is None else w.emit("Add", [y, bias])


def _reshape(w, node, x):
    return w.emit("Reshape", [x, w.constant(node.attributes["shape"], np.int64)])


def _transpose(w, node, x):
    axes = node.attributes.get("axes") or range(len(node.shape) - 1, -1, -1)
    return w.emit("Transpose", [x], perm=[int(a) for a in axes])


def _stack(w, node, *xs):
    axis = w.constant([_settings(node)["axis"]], np.int64)
    return w.emit("Concat", [w.emit("Unsqueeze", [x, axis]) for x in xs], axis=_settings(node)["axis"])


def _pad(w, node, x):
    width = np.array(node.attributes["width"], np.int64)
    value = w.constant(_settings(node)["value"], node.dtype)
    return w.emit("Pad", [x, w.constant(width.T.reshape(-1)), value])


def _slice(w, x, axis, start, stop, step):
    parts = [w.constant([v], np.int64) for v in (start, stop, axis, step)]
    return w.emit("Slice", [x, *parts])


_FAR = 2**31 - 1


def _flip(w, node, x):
    for axis in _axes(node, len(node.shape)):
        x = _slice(w, x, axis, -1, -_FAR, -1)
    return x


def _index(w, node, x):
    key, shape = node.attributes["key"], node.inputs[0].shape
    key = key if isinstance(key, tuple) else (key,)
    if any(hasattr(k, "dtype") or isinstance(k, list) for k in key):
        if len(key) > 1 or np.asarray(key[0]).dtype.kind not in "iu":
            raise ValueError("index: only one array of integers has a counterpart in ONNX")
        return w.emit("Gather", [x, w.constant(key[0], np.int64)], axis=0)
    missing = len(shape) - sum(k is not None and k is not Ellipsis for k in key)
    place = key.index(Ellipsis) if Ellipsis in key else len(key)
    key = (*key[:place], *[slice(None)] * missing, *key[place + 1 :])
    axis, squeezed, added, out_axis = 0, [], [], 0
    for k in key:
        if k is None:
            added.append(out_axis)
            out_axis += 1
            continue
        if isinstance(k, slice):
            if k != slice(None):
                start, stop, step = k.indices(shape[axis])
                x = _slice(w, x, axis, start, stop if stop >= 0 else -_FAR, step)
            out_axis += 1
        else:
            x = _slice(w, x, axis, k, k + 1 if k != -1 else _FAR, 1)
            squeezed.append(axis)
        axis += 1
    if squeezed:
        x = w.emit("Squeeze", [x, w.constant(squeezed, np.int64)])
    return w.emit("Unsqueeze", [x, w.constant(added, np.int64)]) if added else x


def _where(w, node, condition, a, b):
    return w.emit("Where", [condition, a, b])


def _clip(w, node, x):
    limits = [_settings(node)[name] for name in ("low", "high")]
    return w.emit("Clip", [x, *["" if v is None else w.constant(v, node.dtype) for v in limits]])


def _cast(w, node, x):
    from onnx import helper

    return w.emit("Cast", [x], to=helper.np_dtype_to_tensor_dtype(np.dtype(node.dtype)))


def _nchw(kind):
    """An ONNX node that works on NCHW, between two transpositions."""

    def emit(w, inputs, **attributes):
        inputs = [w.emit("Transpose", [inputs[0]], perm=_TO_NCHW), *inputs[1:]]
        return w.emit("Transpose", [w.emit(kind, inputs, **attributes)], perm=_TO_NHWC)

    return emit


def _conv(w, node, x, weight, bias, residual=None):
    settings = _settings(node)
    filters = node.inputs[1]
    if filters.kind == "constant":
        weight = w.constant(filters.value.transpose(3, 2, 0, 1))
    else:
        weight = w.emit("Transpose", [weight], perm=[3, 2, 0, 1])
    (top, bottom), (left, right) = margins(filters.shape[:2], settings["padding"])
    inputs = [x, weight] if bias is None else [x, weight, bias]
    strides = [settings["stride"]] * 2
    y = _nchw("Conv")(w, inputs, pads=[top, left, bottom, right], strides=strides)
    if residual is not None:
        y = w.emit("Add", [y, residual])
    return w.emit("Relu", [y]) if settings.get("relu") else y


def _pool(kind):
    def emit(w, node, x):
        size, stride = node.attributes["size"], _settings(node)["stride"]
        return _nchw(kind)(w, [x], kernel_shape=[size] * 2, strides=[stride or size] * 2)

    return emit


def _unmasked(node):
    if _settings(node)["mask"] is not None:
        raise ValueError(f"{node.name}: a mask has no counterpart in ONNX")


def _global_pool(w, node, x):
    _unmasked(node)
    board = w.constant([1, 2], np.int64)
    parts = [w.emit(kind, [x, board], keepdims=0) for kind in ("ReduceMean", "ReduceMax")]
    return w.emit("Concat", parts, axis=1)


def _refuse_training(w, node, *inputs):
    raise ValueError(f"{node.name}: training has no counterpart in ONNX: export in evaluation mode")


def _bn_act(w, node, y, gamma, beta, residual):
    settings = _settings(node)
    _unmasked(node)
    if settings["training"]:
        _refuse_training(w, node)
    inv_std = 1 / np.sqrt(settings["running_var"] + settings["eps"])
    mean, inv_std = (w.constant(a, node.dtype) for a in (settings["running_mean"], inv_std))
    y = w.emit("Mul", [w.emit("Sub", [y, mean]), w.emit("Mul", [gamma, inv_std])])
    y = w.emit("Add", [y, beta])
    if residual is not None:
        y = w.emit("Add", [y, residual])
    return w.emit("Relu", [y]) if settings["relu"] else y


def _layer_norm(w, node, x, gamma, beta):
    return w.emit("LayerNormalization", [x, gamma, beta], axis=-1, epsilon=_settings(node)["eps"])


def _argmax(w, node, x):
    if node.attributes.get("axis") is None:
        x, axis = w.emit("Reshape", [x, w.constant([-1], np.int64)]), 0
    else:
        axis = node.attributes["axis"]
    return w.emit("ArgMax", [x], axis=axis, keepdims=0)


_EMITTERS = {
    **{getattr(ops, ours): _plain(theirs) for ours, theirs in {
        "add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "pow": "Pow", "neg": "Neg", "abs": "Abs",
        "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "sin": "Sin", "cos": "Cos", "tanh": "Tanh", "sigmoid": "Sigmoid",
        "softplus": "Softplus", "relu": "Relu", "mish": "Mish", "maximum": "Max", "minimum": "Min",
        "matmul": "MatMul", "equal": "Equal", "less": "Less", "less_equal": "LessOrEqual", "greater": "Greater",
        "greater_equal": "GreaterOrEqual",
    }.items()},
    **{getattr(ops, ours): _reduction(theirs) for ours, theirs in {
        "sum": "ReduceSum", "mean": "ReduceMean", "max": "ReduceMax", "min": "ReduceMin"}.items()},
    ops.not_equal: lambda w, node, a, b: w.emit("Not", [w.emit("Equal", [a, b])]),
    ops.log1p: _composed(lambda w, x, number: w.emit("Log", [w.emit("Add", [x, number(1)])])),
    ops.expm1: _composed(lambda w, x, number: w.emit("Sub", [w.emit("Exp", [x]), number(1)])),
    ops.square: _composed(lambda w, x, number: w.emit("Mul", [x, x])),
    ops.silu: _composed(lambda w, x, number: w.emit("Mul", [x, w.emit("Sigmoid", [x])])),
    ops.gelu: _plain("Gelu", approximate="tanh"),
    ops.clip: _clip, ops.where: _where, ops.var: _var, ops.linear: _linear, ops.astype: _cast, ops.argmax: _argmax,
    ops.reshape: _reshape, ops.transpose: _transpose, ops.stack: _stack, ops.pad: _pad, ops.index: _index,
    ops.flip: _flip, ops.concat: lambda w, node, *xs: w.emit("Concat", list(xs), axis=_settings(node)["axis"]),
    ops.broadcast_to: lambda w, node, x: w.emit("Expand", [x, w.constant(node.shape, np.int64)]),
    ops.conv2d: _conv, conv_act: _conv, ops.max_pool: _pool("MaxPool"), ops.avg_pool: _pool("AveragePool"),
    ops.global_pool: _global_pool, ops.bn_act: _bn_act, ops.conv_bn_act: _refuse_training,
    ops.layer_norm: _layer_norm,
    ops.softmax: _with_axis("Softmax"), ops.log_softmax: _with_axis("LogSoftmax"),
}  # fmt: skip

"""The dual-head residual network in PyTorch, ONNX Runtime and JAX: what `zero bench` measures ours against.

Inference takes a `FoldedNet`; every function returns `{variant: callable}`, a callable gives `(logits, values)`.
An engine that is not installed raises `UserError`.
"""

import importlib
import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zero.errors import UserError


@dataclass(frozen=True)
class FoldedNet:
    """A network with batch normalisation folded away: convolutions HWIO and linear layers `[in, out]` with biases."""

    tower: list  # (weight, bias): the stem, then two per block
    heads: dict  # name -> (weight, bias): policy_conv, policy_out, value_conv, value_hidden, value_out


def folded(state: dict, blocks: int) -> FoldedNet:
    """From `Network.state_dict()`."""

    def conv(name):
        scale = state[f"{name}.norm.gamma"] / np.sqrt(state[f"{name}.norm.running_var"] + 1e-5)
        weight = state[f"{name}.conv.weight"] * scale
        return weight.astype("f"), (state[f"{name}.norm.beta"] - state[f"{name}.norm.running_mean"] * scale).astype("f")

    tower = [conv("stem")] + [conv(f"blocks.{b}.{part}") for b in range(blocks) for part in ("first", "second")]
    heads = {f"{head}_conv": conv(f"{head}.conv") for head in ("policy", "value")}
    for head, part in (("policy", "out"), ("value", "hidden"), ("value", "out")):
        heads[f"{head}_{part}"] = state[f"{head}.{part}.weight"], state[f"{head}.{part}.bias"]
    return FoldedNet(tower, heads)


def _import(name: str):
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UserError(f"{name} is not installed; pip install {name.split('.')[0]}, or leave out the option") from None


# ---------------------------------------------------------------- PyTorch
def torch_inference(net: FoldedNet, boards, threads: int, dtype: str, device: str) -> dict:
    """Eager in both memory formats and, in float32 on a CPU, frozen; on a GPU also compiled with CUDA graphs."""
    torch = _import("torch")
    torch.set_num_threads(threads)
    kind = torch.float32 if dtype == "float32" else torch.bfloat16  # PyTorch's int8 needs a calibrated model
    images = torch.from_numpy(boards).permute(0, 3, 1, 2).contiguous().to(device, kind)
    torch.backends.cudnn.benchmark = True
    runs = {}
    for name, layout in (("torch", torch.contiguous_format), ("torch_channels_last", torch.channels_last)):
        model = _torch_model(torch, net).to(device, kind).to(memory_format=layout).eval()
        x = images.contiguous(memory_format=layout)
        runs[name] = _torch_run(torch, model, x)
        if device == "cuda" and layout is torch.channels_last:
            runs["torch_compiled"] = _torch_run(torch, torch.compile(model, mode="max-autotune"), x)
    if device == "cpu" and dtype == "float32":
        with torch.inference_mode():
            frozen = torch.jit.freeze(torch.jit.trace(_torch_model(torch, net).eval(), images))
            runs["torch_frozen"] = _torch_run(torch, torch.jit.optimize_for_inference(frozen), images)
    return runs


def _torch_run(torch, model, x):
    def run():
        with torch.inference_mode():
            return [o.float().cpu().numpy() for o in model(x)]

    for _ in range(3):
        run()
    return run


def _torch_model(torch, net: FoldedNet):
    nn, functional = torch.nn, torch.nn.functional

    def conv(weight, bias):
        kernel, _, ci, co = weight.shape
        layer = nn.Conv2d(ci, co, kernel, padding="same")
        layer.weight.data = torch.from_numpy(weight.transpose(3, 2, 0, 1).copy())
        layer.bias.data = torch.from_numpy(bias.copy())
        return layer

    def linear(weight, bias):
        layer = nn.Linear(*weight.shape)
        layer.weight.data, layer.bias.data = torch.from_numpy(weight.T.copy()), torch.from_numpy(bias.copy())
        return layer

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.tower = nn.ModuleList([conv(*layer) for layer in net.tower])
            self.heads = nn.ModuleDict({k: conv(*v) if v[0].ndim == 4 else linear(*v) for k, v in net.heads.items()})

        def forward(self, x):
            x = functional.relu(self.tower[0](x))
            for i in range(1, len(self.tower), 2):
                x = functional.relu(self.tower[i + 1](functional.relu(self.tower[i](x))) + x)
            h = self.heads
            policy = functional.relu(h["policy_conv"](x)).permute(0, 2, 3, 1).flatten(1)
            value = functional.relu(h["value_conv"](x)).permute(0, 2, 3, 1).flatten(1)
            value = h["value_out"](functional.relu(h["value_hidden"](value)))
            return h["policy_out"](policy), torch.tanh(value)

    return Model()


def torch_train_step(state: dict, blocks: int, boards, policy, outcome, threads: int, dtype: str, device: str) -> dict:
    """Forward, loss, backward and momentum update, in both memory formats; bfloat16 by autocast."""
    torch = _import("torch")
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = True
    x = torch.from_numpy(boards).permute(0, 3, 1, 2)
    target, z = torch.from_numpy(policy).to(device), torch.from_numpy(outcome).to(device)
    runs = {}
    for name, layout in (("torch", torch.contiguous_format), ("torch_channels_last", torch.channels_last)):
        loss, parameters = _torch_loss(torch, state, blocks, layout, device)
        optimizer = torch.optim.SGD(parameters, lr=0.02, momentum=0.9, weight_decay=1e-4)
        images = x.contiguous(memory_format=layout).to(device)
        runs[name] = _torch_step(torch, loss, optimizer, (images, target, z), dtype, device)
    return runs


def _torch_step(torch, loss, optimizer, batch, dtype, device):
    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16, enabled=dtype == "bfloat16"):
            value = loss(*batch)
        value.backward()
        optimizer.step()
        return value.item()

    return step


def _torch_loss(torch, state, blocks, layout, device):
    functional = torch.nn.functional
    p = {}
    for name, array in state.items():
        if "running" in name:
            continue
        t = torch.from_numpy(array.copy()).to(device)
        if t.ndim == 4:
            t = t.permute(3, 2, 0, 1).contiguous(memory_format=layout)
        p[name] = t.requires_grad_()

    def brick(x, name, residual=None):
        y = functional.conv2d(x, p[f"{name}.conv.weight"], padding="same")
        y = functional.batch_norm(y, None, None, p[f"{name}.norm.gamma"], p[f"{name}.norm.beta"], training=True)
        return functional.relu(y if residual is None else y + residual)

    def linear(x, name):
        return functional.linear(x, p[f"{name}.weight"].t(), p[f"{name}.bias"])

    def loss(x, target, z):
        x = brick(x, "stem")
        for b in range(blocks):
            x = brick(brick(x, f"blocks.{b}.first"), f"blocks.{b}.second", x)
        logits = linear(brick(x, "policy.conv").permute(0, 2, 3, 1).flatten(1), "policy.out")
        hidden = functional.relu(linear(brick(x, "value.conv").permute(0, 2, 3, 1).flatten(1), "value.hidden"))
        value = torch.tanh(linear(hidden, "value.out"))[:, 0].float()
        return -(target * functional.log_softmax(logits.float(), 1)).sum(1).mean() + ((value - z) ** 2).mean()

    return loss, list(p.values())


# ---------------------------------------------------------------- ONNX Runtime
def onnxruntime_inference(net: FoldedNet, boards, threads: int, dtype: str, device: str) -> dict:
    """In float32, or in int8 as ONNX Runtime quantises statically: QDQ, weights per channel, calibrated on `boards`."""
    onnxruntime, onnx = _import("onnxruntime"), _import("onnx")
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.inter_op_num_threads = threads, 1
    settings.log_severity_level = 3
    images = np.ascontiguousarray(boards.transpose(0, 3, 1, 2))
    model = _onnx_model(onnx, net, boards.shape).SerializeToString()
    if dtype == "int8":
        model = _onnx_int8(model, images)
    session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    return {"onnxruntime": lambda: session.run(None, {"x": images})}


def _onnx_int8(model: bytes, images) -> bytes:
    quantization = _import("onnxruntime.quantization")

    class Reader(quantization.CalibrationDataReader):
        batches = iter([{"x": images}])

        def get_next(self):
            return next(self.batches, None)

    with tempfile.TemporaryDirectory() as folder:
        exact, quantised = Path(folder) / "exact.onnx", Path(folder) / "int8.onnx"
        exact.write_bytes(model)
        logging.disable(logging.WARNING)  # it recommends a preparation that changes nothing in such a graph
        quantization.quantize_static(exact, quantised, Reader(), per_channel=True)
        logging.disable(logging.NOTSET)
        return quantised.read_bytes()


def _onnx_model(onnx, net: FoldedNet, shape):
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    nodes, constants = [], []

    def constant(name, array):
        constants.append(onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(kind, inputs, **attributes):
        out = f"{kind}{len(nodes)}"
        nodes.append(helper.make_node(kind, inputs, [out], **attributes))
        return out

    def conv(x, name, weight, bias, residual=None):
        pad = weight.shape[0] // 2
        inputs = [x, constant(f"{name}.w", weight.transpose(3, 2, 0, 1)), constant(f"{name}.b", bias)]
        y = node("Conv", inputs, pads=[pad] * 4, kernel_shape=weight.shape[:2])
        return node("Relu", [y if residual is None else node("Add", [y, residual])])

    def linear(x, name):
        weight, bias = net.heads[name]
        return node("Gemm", [x, constant(f"{name}.w", weight), constant(f"{name}.b", bias)])

    def flat(x):
        return node("Flatten", [node("Transpose", [x], perm=[0, 2, 3, 1])], axis=1)

    x = conv("x", "stem", *net.tower[0])
    for i in range(1, len(net.tower), 2):
        x = conv(conv(x, f"t{i}", *net.tower[i]), f"t{i + 1}", *net.tower[i + 1], residual=x)
    logits = linear(flat(conv(x, "policy", *net.heads["policy_conv"])), "policy_out")
    hidden = node("Relu", [linear(flat(conv(x, "value", *net.heads["value_conv"])), "value_hidden")])
    value = node("Tanh", [linear(hidden, "value_out")])
    n, rows, cols, planes = shape
    outputs = [helper.make_tensor_value_info(logits, float32, [n, net.heads["policy_out"][1].size]),
               helper.make_tensor_value_info(value, float32, [n, 1])]
    graph = helper.make_graph(nodes, "network", [helper.make_tensor_value_info("x", float32, [n, planes, rows, cols])],
                              outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


# ---------------------------------------------------------------- JAX
def jax_inference(net: FoldedNet, boards, threads: int, dtype: str, device: str) -> dict:
    jax = _import("jax")
    jnp, relu = jax.numpy, jax.nn.relu

    def conv(x, weight, bias):
        layout = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, weight, (1, 1), "SAME", dimension_numbers=layout) + bias

    @jax.jit
    def forward(x, tower, heads):
        x = relu(conv(x, *tower[0]))
        for i in range(1, len(tower), 2):
            x = relu(conv(relu(conv(x, *tower[i])), *tower[i + 1]) + x)
        policy = relu(conv(x, *heads["policy_conv"])).reshape(len(x), -1)
        value = relu(conv(x, *heads["value_conv"])).reshape(len(x), -1)
        weight, bias = heads["value_hidden"]
        value = relu(value @ weight + bias)
        logits = policy @ heads["policy_out"][0] + heads["policy_out"][1]
        return logits, jnp.tanh(value @ heads["value_out"][0] + heads["value_out"][1])

    x, tower, heads = jax.tree.map(jnp.asarray, (boards, net.tower, net.heads))
    return {"jax": lambda: [np.asarray(o) for o in forward(x, tower, heads)]}

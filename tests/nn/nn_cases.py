"""One table of every differentiable operation: how to call it, on what, and what PyTorch calls it.

`test_nn_ops.py` checks each row against finite differences and PyTorch, `test_nn_graph.py` eager against graph.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nn import Tensor, ops


@dataclass(frozen=True)
class Case:
    name: str
    inputs: Callable  # rng -> list of float64 arrays that get gradients
    run: Callable  # tensors -> tensor
    torch: Callable | None = None  # (torch module, torch tensors) -> torch tensor


def normal(*shapes):
    return lambda rng: [rng.normal(size=shape) for shape in shapes]


def positive(*shapes):
    return lambda rng: [rng.uniform(0.5, 2, size=shape) for shape in shapes]


def away_from_zero(*shapes):
    """No element near 0, where relu and abs have a kink."""
    return lambda rng: [rng.uniform(0.1, 2, size=shape) * rng.choice([-1, 1], size=shape) for shape in shapes]


def distinct(*shapes):
    """No two elements closer than 0.1, so that a maximum has no kink nearby."""
    return lambda rng: [rng.permutation(int(np.prod(shape))).reshape(shape) * 0.1 - 1 for shape in shapes]


LABELS = np.array([0, 3, 2, 1, 1])
LEGAL = np.array([[1, 1, 0, 1], [0, 0, 1, 1], [1, 1, 1, 1], [0, 1, 0, 0], [1, 1, 1, 0]], np.uint8)
WEIGHT = np.array([1.0, 0.5, 0.0, 2.0, 1.0])
TARGET = np.random.default_rng(3).dirichlet(np.ones(4), 5)
CONDITION = np.array([[True, False, True], [False, False, True]])
KEY = np.array([2, 0, 2])
BOARD = np.random.default_rng(4).random((2, 3, 4)) < 0.6


def on(t, array):
    """A constant on the device of `t`."""
    return Tensor(array, device=t.device)


def nchw(t):
    return t.permute(0, 3, 1, 2)


def nhwc(t):
    return t.permute(0, 2, 3, 1)


def torch_conv(torch, t, **options):
    bias = t[2] if len(t) > 2 else None
    return nhwc(torch.nn.functional.conv2d(nchw(t[0]), t[1].permute(3, 2, 0, 1), bias, **options))


def torch_norm(torch, t, training, mean=None, var=None):
    y = torch.nn.functional.batch_norm(nchw(t[0]), mean, var, t[1], t[2], training)
    return torch.relu(nhwc(y) + t[3])


def torch_norm_masked(torch, t, mask):
    points = torch.nn.functional.batch_norm(t[0][mask], None, None, t[1], t[2], True)
    return torch.zeros_like(t[0]).masked_scatter(mask[..., None], torch.relu(points + t[3][mask]))


def bn(t, training, relu=True, mask=None):
    mean, var = (on(t[0], np.full(3, value, t[0].dtype)).data for value in (0.3, 1.5))
    return ops.bn_act(*t, running_mean=mean, running_var=var, training=training, relu=relu, mask=mask)


def conv_bn(t, stride):
    mean, var = (on(t[0], np.full(2, value, t[0].dtype)).data for value in (0.3, 1.5))
    return ops.conv_bn_act(*t, running_mean=mean, running_var=var, stride=stride)


def torch_conv_bn(torch, t, stride):
    y = torch.nn.functional.conv2d(nchw(t[0]), t[1].permute(3, 2, 0, 1), stride=stride, padding=1)
    y = torch.nn.functional.batch_norm(y, None, None, t[2], t[3], True)
    return torch.relu(nhwc(y) + (t[4] if len(t) > 4 else 0))


def softplus(torch, x):
    return torch.nn.functional.softplus(x)


def masked_cross_entropy(torch, x):
    log_p = torch.log_softmax(x.masked_fill(torch.tensor(LEGAL == 0), -torch.inf), 1)
    loss = -(torch.tensor(TARGET * LEGAL) * log_p.masked_fill(torch.tensor(LEGAL == 0), 0.0)).sum(1)
    return (loss * torch.tensor(WEIGHT)).sum() / WEIGHT.sum()


CASES = [
    Case("add", normal((2, 3), (3,)), lambda a, b: a + b, lambda torch, a, b: a + b),
    Case("sub", normal((2, 1, 3), (4, 1)), lambda a, b: a - b, lambda torch, a, b: a - b),
    Case("rsub", normal((2, 3)), lambda a: 1.5 - a, lambda torch, a: 1.5 - a),
    Case("mul", normal((2, 3), (2, 1)), lambda a, b: a * b, lambda torch, a, b: a * b),
    Case("div", positive((2, 3), (3,)), lambda a, b: a / b, lambda torch, a, b: a / b),
    Case("pow", positive((2, 3), (3,)), lambda a, b: a**b, lambda torch, a, b: a**b),
    Case("pow_number", positive((2, 3)), lambda a: a**3, lambda torch, a: a**3),
    Case("number_pow", normal((2, 3)), lambda a: 2.0**a, lambda torch, a: 2.0**a),
    Case("neg", normal((2, 3)), lambda a: -a, lambda torch, a: -a),
    Case("abs", away_from_zero((2, 3)), lambda a: a.abs(), lambda torch, a: a.abs()),
    *[
        Case(name, positive((2, 3)), lambda a, f=name: getattr(a, f)(), lambda torch, a, f=name: getattr(a, f)())
        for name in ("exp", "log", "log1p", "expm1", "sqrt", "square", "sin", "cos", "tanh", "sigmoid")
    ],
    Case("softplus", normal((2, 3)), lambda a: a.softplus(), softplus),
    Case("relu", away_from_zero((2, 3)), lambda a: a.relu(), lambda torch, a: a.relu()),
    Case("silu", normal((2, 3)), lambda a: a.silu(), lambda torch, a: torch.nn.functional.silu(a)),
    Case("gelu", normal((2, 3)), lambda a: a.gelu(), lambda torch, a: torch.nn.functional.gelu(a, approximate="tanh")),
    Case("mish", normal((2, 3)), lambda a: a.mish(), lambda torch, a: torch.nn.functional.mish(a)),
    Case("maximum", distinct((2, 3), (2, 3)), lambda a, b: ops.maximum(a, b + 0.03),
         lambda torch, a, b: torch.maximum(a, b + 0.03)),
    Case("minimum", distinct((2, 3), (3,)), lambda a, b: ops.minimum(a, b + 0.03),
         lambda torch, a, b: torch.minimum(a, b + 0.03)),
    Case("clip", distinct((3, 4)), lambda a: a.clip(-0.55, 0.33), lambda torch, a: a.clip(-0.55, 0.33)),
    Case("where", normal((2, 3), (3,)), lambda a, b: ops.where(on(a, CONDITION), a, b),
         lambda torch, a, b: torch.where(torch.tensor(CONDITION), a, b)),
    Case("where_number", normal((2, 3)), lambda a: ops.where(on(a, CONDITION), a, 0.0),
         lambda torch, a: torch.where(torch.tensor(CONDITION), a, 0.0)),
    Case("sum", normal((2, 3, 4)), lambda a: a.sum(1), lambda torch, a: a.sum(1)),
    Case("sum_all", normal((2, 3)), lambda a: a.sum(), lambda torch, a: a.sum()),
    Case("mean", normal((2, 3, 4)), lambda a: a.mean((0, 2), keepdims=True), lambda torch, a: a.mean((0, 2), True)),
    Case("var", normal((2, 5)), lambda a: a.var(-1, correction=1), lambda torch, a: a.var(-1)),
    Case("max", distinct((2, 3, 4)), lambda a: a.max(1), lambda torch, a: a.amax(1)),
    Case("max_all", distinct((2, 3)), lambda a: a.max(), lambda torch, a: a.amax()),
    Case("min", distinct((2, 3, 4)), lambda a: a.min((0, 2), keepdims=True), lambda torch, a: a.amin((0, 2), True)),
    Case("matmul", normal((2, 3), (3, 4)), lambda a, b: a @ b, lambda torch, a, b: a @ b),
    Case("matmul_batch", normal((5, 2, 3), (3, 4)), lambda a, b: a @ b, lambda torch, a, b: a @ b),
    Case("matmul_vector", normal((2, 3), (3,)), lambda a, b: a @ b, lambda torch, a, b: a @ b),
    Case("vector_matmul", normal((3,), (3, 2)), lambda a, b: a @ b, lambda torch, a, b: a @ b),
    Case("dot", normal((3,), (3,)), lambda a, b: a @ b, lambda torch, a, b: a @ b),
    Case("linear", normal((5, 3), (3, 2), (2,)), ops.linear, lambda torch, x, w, b: x @ w + b),
    Case("linear_rows", normal((2, 4, 3), (3, 2)), ops.linear, lambda torch, x, w: x @ w),
    Case("reshape", normal((2, 6)), lambda a: a.reshape(3, -1), lambda torch, a: a.reshape(3, -1)),
    Case("transpose", normal((2, 3, 4)), lambda a: a.transpose(2, 0, 1), lambda torch, a: a.permute(2, 0, 1)),
    Case("T", normal((2, 3)), lambda a: a.T, lambda torch, a: a.T),
    Case("broadcast_to", normal((2, 1)), lambda a: a.broadcast_to((3, 2, 4)), lambda torch, a: a.expand(3, 2, 4)),
    Case("concat", normal((2, 3), (2, 1)), lambda a, b: ops.concat(a, b, axis=1),
         lambda torch, a, b: torch.cat([a, b], 1)),
    Case("stack", normal((2, 3), (2, 3)), lambda a, b: ops.stack(a, b, axis=1),
         lambda torch, a, b: torch.stack([a, b], 1)),
    Case("pad", normal((2, 3)), lambda a: a.pad(((1, 0), (2, 1)), value=0.5),
         lambda torch, a: torch.nn.functional.pad(a, (2, 1, 1, 0), value=0.5)),
    Case("flip", normal((2, 3)), lambda a: a.flip(1), lambda torch, a: a.flip(1)),
    Case("index_slice", normal((4, 5)), lambda a: a[1:, ::2], lambda torch, a: a[1:, ::2]),
    Case("index_integer", normal((4, 5)), lambda a: a[None, 1, ..., 2], lambda torch, a: a[None, 1, ..., 2]),
    Case("index_array", normal((3, 4)), lambda a: a[KEY], lambda torch, a: a[torch.tensor(KEY)]),
    Case("index_pair", normal((3, 4)), lambda a: a[KEY, KEY], lambda torch, a: a[KEY, KEY]),
    Case("index_mask", normal((2, 3)), lambda a: a[CONDITION], lambda torch, a: a[torch.tensor(CONDITION)]),
    Case("conv2d", normal((2, 5, 4, 3), (3, 3, 3, 2), (2,)), ops.conv2d,
         lambda torch, *t: torch_conv(torch, t, padding="same")),
    Case("conv2d_1x1", normal((2, 5, 4, 3), (1, 1, 3, 2)), ops.conv2d, lambda torch, *t: torch_conv(torch, t)),
    Case("conv2d_stride", normal((2, 7, 6, 3), (3, 3, 3, 2), (2,)),
         lambda x, w, b: ops.conv2d(x, w, b, stride=2, padding=1),
         lambda torch, *t: torch_conv(torch, t, stride=2, padding=1)),
    Case("conv2d_valid", normal((2, 6, 7, 2), (2, 3, 2, 4)), lambda x, w: ops.conv2d(x, w, padding=0),
         lambda torch, *t: torch_conv(torch, t)),
    Case("max_pool", distinct((2, 5, 6, 3)), lambda x: ops.max_pool(x, size=2),
         lambda torch, x: nhwc(torch.nn.functional.max_pool2d(nchw(x), 2))),
    Case("max_pool_overlap", distinct((2, 5, 6, 3)), lambda x: ops.max_pool(x, size=3, stride=1),
         lambda torch, x: nhwc(torch.nn.functional.max_pool2d(nchw(x), 3, 1))),
    Case("avg_pool", normal((2, 5, 6, 3)), lambda x: ops.avg_pool(x, size=2),
         lambda torch, x: nhwc(torch.nn.functional.avg_pool2d(nchw(x), 2))),
    Case("global_pool", distinct((2, 3, 4, 3)), ops.global_pool,
         lambda torch, x: torch.cat([x.mean((1, 2)), x.amax((1, 2))], 1)),
    Case("global_pool_masked", distinct((2, 3, 4, 3)), lambda x: ops.global_pool(x, mask=on(x, BOARD).data),
         lambda torch, x: torch.stack([torch.cat([x[i][m].mean(0), x[i][m].amax(0)]) for i, m in enumerate(BOARD)])),
    Case("bn_act_masked", normal((2, 3, 4, 3), (3,), (3,), (2, 3, 4, 3)),
         lambda *t: bn(t, True, mask=on(t[0], BOARD).data),
         lambda torch, *t: torch_norm_masked(torch, t, torch.tensor(BOARD))),
    Case("bn_act_train", normal((3, 4, 2, 3), (3,), (3,), (3, 4, 2, 3)), lambda *t: bn(t, True),
         lambda torch, *t: torch_norm(torch, t, True)),
    Case("bn_act_eval", normal((3, 4, 2, 3), (3,), (3,), (3, 4, 2, 3)), lambda *t: bn(t, False),
         lambda torch, *t: torch_norm(torch, t, False, torch.full((3,), 0.3, dtype=torch.double),
                                         torch.full((3,), 1.5, dtype=torch.double))),
    Case("bn_plain", normal((7, 3), (3,), (3,)), lambda *t: bn(t, True, relu=False),
         lambda torch, x, g, b: torch.nn.functional.batch_norm(x, None, None, g, b, True)),
    Case("conv_bn_act", normal((3, 5, 4, 3), (3, 3, 3, 2), (2,), (2,), (3, 5, 4, 2)), lambda *t: conv_bn(t, 1),
         lambda torch, *t: torch_conv_bn(torch, t, 1)),
    Case("conv_bn_act_stride", normal((3, 5, 5, 3), (3, 3, 3, 2), (2,), (2,)), lambda *t: conv_bn(t, 2),
         lambda torch, *t: torch_conv_bn(torch, t, 2)),
    Case("layer_norm", normal((2, 4, 5), (5,), (5,)), ops.layer_norm,
         lambda torch, x, g, b: torch.nn.functional.layer_norm(x, (5,), g, b)),
    Case("softmax", normal((2, 3, 4)), lambda a: a.softmax(1), lambda torch, a: a.softmax(1)),
    Case("log_softmax", normal((2, 3)), lambda a: a.log_softmax(), lambda torch, a: a.log_softmax(1)),
    Case("dropout", normal((4, 5)), lambda a: ops.dropout(a, p=0.4, rng=np.random.default_rng(1))),
    Case("cross_entropy", normal((5, 4)), lambda x: ops.cross_entropy(x, on(x, LABELS)),
         lambda torch, x: torch.nn.functional.cross_entropy(x, torch.tensor(LABELS))),
    Case("cross_entropy_soft", normal((5, 4)), lambda x: ops.cross_entropy(x, on(x, TARGET)),
         lambda torch, x: torch.nn.functional.cross_entropy(x, torch.tensor(TARGET))),
    Case("cross_entropy_masked", normal((5, 4)),
         lambda x: ops.cross_entropy(x, on(x, TARGET), on(x, LEGAL), on(x, WEIGHT)), masked_cross_entropy),
    Case("mse", normal((5, 2), (5, 2)), ops.mse, lambda torch, a, b: torch.nn.functional.mse_loss(a, b)),
    Case("mse_weighted", normal((5,), (5,)), lambda a, b: ops.mse(a, b, on(a, WEIGHT)),
         lambda torch, a, b: ((a - b) ** 2 * torch.tensor(WEIGHT)).sum() / WEIGHT.sum()),
    Case("huber", lambda rng: [rng.uniform(1.2, 2, 6) * [1, -1, 0.2, 1, 0.3, -1], np.zeros(6)],
         lambda a, b: ops.huber(a, b, delta=0.7), lambda torch, a, b: torch.nn.functional.huber_loss(a, b, delta=0.7)),
    Case("astype", normal((2, 3)), lambda a: a.astype("float64") * 2, lambda torch, a: a * 2),
]  # fmt: skip

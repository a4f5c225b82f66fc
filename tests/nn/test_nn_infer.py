"""Compiled inference equals the module in evaluation mode."""

import numpy as np
import pytest

from nn import Tensor, no_grad, ops
from nn.graph import find_towers, fuse_convolutions, trace
from nn.graph.convolution import conv_act, tower
from nn.infer import compile
from nn.layers import Conv2d, ConvBN, Dropout, Flatten, GlobalPool, Linear, MaxPool, Module, ReLU, Sequential
from nn.reference import OUTSIDE


class DualHead(Module):
    """A residual network with a policy and a value head; statistics as after some training."""

    def __init__(self, rng, channels=8, blocks=2, points=30):
        self.stem = ConvBN(3, channels, 3, rng)
        self.blocks = [[ConvBN(channels, channels, 3, rng), ConvBN(channels, channels, 3, rng)] for _ in range(blocks)]
        self.policy = Sequential(ConvBN(channels, 2, 1, rng), Flatten(), Linear(2 * points, points + 1, rng))
        self.value = Sequential(ConvBN(channels, 4, 1, rng), GlobalPool(), Linear(8, 5, rng), ReLU(), Linear(5, 1, rng))
        for name, b in self.named_buffers():
            b.data[...] = rng.uniform(0.5, 1.5, b.shape) if "var" in name else rng.normal(size=b.shape) * 0.3

    def forward(self, x):
        x = self.stem(x)
        for first, second in self.blocks:
            x = second(first(x), residual=x)
        return self.policy(x), self.value(x).tanh()


def eager(net, x):
    net.eval()
    with no_grad():
        out = net(Tensor(x))
    net.train()
    return [t.data for t in (out if isinstance(out, tuple) else (out,))]


@pytest.mark.parametrize("n", [1, 2, 3, 17, 0])
def test_plan_equals_module_for_any_batch(n):
    rng = np.random.default_rng(0)
    net = DualHead(rng)
    plan = compile(net, (6, 5, 3))
    x = rng.normal(size=(n, 6, 5, 3)).astype(np.float32)
    outputs = plan(x)
    assert [o.shape for o in outputs] == [(n, 31), (n, 1)]
    for ours, expected in zip(outputs, eager(net, x) if n else outputs, strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=2e-5)


def test_the_residual_tower_becomes_one_node():
    net = DualHead(np.random.default_rng(0)).eval()
    graph = find_towers(fuse_convolutions(trace(net, np.zeros((2, 6, 5, 3), np.float32))))
    ops_used = [node.op for node in graph.nodes if node.kind == "operation"]
    assert ops_used.count(tower) == 1 and ops.bn_act not in ops_used and ops.conv2d not in ops_used
    layers = next(node for node in graph.nodes if node.op is tower).attributes["layers"]
    assert [(residual, relu) for _, _, residual, relu in layers] == [
        (None, True), (None, True), (0, True), (None, True), (2, True),
    ]  # fmt: skip
    assert ops_used.count(conv_act) == 2


class Sums(Module):
    """Sums with values from outside of a chain of convolutions: its own input, one made by an operation between, and a
    second one, which ends the chain."""

    def __init__(self, rng):
        self.convs = [ConvBN(8, 8, 3, rng) for _ in range(6)]

    def forward(self, x):
        a, b, c, d, e, f = self.convs
        start = x.tanh()
        y = b(a(start), residual=start)
        y = d(c(y), residual=start)
        return f(e(y), residual=x)


@pytest.mark.parametrize("outside", [False, True])
def test_sums_with_values_from_outside_of_a_tower(outside):
    rng = np.random.default_rng(0)
    net = Sums(rng).eval()
    x = rng.normal(size=(3, 6, 5, 8)).astype(np.float32)
    graph = find_towers(fuse_convolutions(trace(net, x)), outside)
    ours = [[residual for _, _, residual, _ in node.attributes["layers"]] for node in graph.nodes if node.op is tower]
    if outside:
        assert ours == [[None, OUTSIDE, None, OUTSIDE, None, None]]
    else:
        assert ours == [[None, None], [None, None], [None, None]]
    np.testing.assert_allclose(graph.run(x), eager(net, x)[0], rtol=1e-4, atol=1e-5)
    for dtype, tolerance in (("float32", 1e-4), ("int8", 0.2)):
        plan = compile(net, x.shape[1:], dtype, calibration=x)
        np.testing.assert_allclose(plan(x)[0], eager(net, x)[0], rtol=tolerance, atol=tolerance / 10)


class Awkward(Module):
    """Inner values read from outside, a sum before a ReLU, a stride, a scaled skip: little of it may be fused."""

    def __init__(self, rng):
        self.a, self.b = Conv2d(2, 4, 3, rng), Conv2d(4, 4, 3, rng)
        self.c, self.d = Conv2d(4, 4, 3, rng, stride=2, padding=1), ConvBN(4, 4, 3, rng)
        self.rest = Sequential(MaxPool(2), Dropout(0.5, rng), Flatten(), Linear(4 * 2 * 2, 3, rng))

    def forward(self, x):
        a = self.a(x)
        b = (self.b(a.relu()) + a).relu()
        c = self.c(b) * 0.5 + 1.0
        d = self.d(c, relu=False)
        return self.rest(d + c), a.mean((1, 2)), b


def test_awkward_networks_are_right_too():
    rng = np.random.default_rng(1)
    net = Awkward(rng)
    x = rng.normal(size=(5, 8, 9, 2)).astype(np.float32)
    for ours, expected in zip(compile(net, (8, 9, 2))(x), eager(net, x), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_the_plan_keeps_its_weights_and_the_module_its_mode():
    rng = np.random.default_rng(2)
    net = DualHead(rng)
    x = rng.normal(size=(2, 6, 5, 3)).astype(np.float32)
    plan = compile(net, (6, 5, 3))
    before = plan(x)
    for t in net.parameters() + net.buffers():
        t.data += 1
    assert all((a == b).all() for a, b in zip(before, plan(x), strict=True))
    assert net.training and net.stem.norm.training


def test_wrong_inputs_are_refused():
    plan = compile(DualHead(np.random.default_rng(0)), (6, 5, 3))
    with pytest.raises(ValueError, match=r"must be \[n, \*\[6, 5, 3\]\] float32"):
        plan(np.zeros((2, 5, 6, 3), np.float32))
    with pytest.raises(ValueError, match="float64"):
        plan(np.zeros((2, 6, 5, 3)))


def test_a_module_that_mixes_the_batch_is_refused():
    class Mixed(Module):
        def forward(self, x):
            return x * np.arange(x.size, dtype=np.float32).reshape(x.shape)

    with pytest.raises(ValueError, match="depends on the batch size"):
        compile(Mixed(), (2, 2, 1))

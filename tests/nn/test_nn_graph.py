"""Graphs: eager, traced, optimised and planned give the same numbers; the rewrites do what they say."""

import shutil
import subprocess
import zlib

import numpy as np
import pytest
from nn_cases import CASES, Case

from nn import Parameter, Tensor, ops
from nn.graph import Plan, find_towers, freeze, fuse_convolutions, fuse_elementwise, optimise, trace
from nn.graph.elementwise import fused
from nn.layers import ConvBN, Dropout, Flatten, Linear, MaxPool, Module, ReLU, Sequential
from nn.optim import SGD


def operations(graph):
    return [node.name for node in graph.nodes if node.kind == "operation"]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_eager_equals_graph_for_every_operation(case: Case):
    rng = np.random.default_rng(zlib.crc32(case.name.encode()))
    arrays = case.inputs(rng)
    others = [np.array(a) for a in case.inputs(rng)]  # run on other numbers than were traced
    graph = trace(case.run, *arrays)
    expected = case.run(*[Tensor(a) for a in others]).data
    if case.name != "dropout":  # a graph draws anew at each run
        np.testing.assert_array_equal(graph.run(*others), expected)
        plan = Plan(fuse_elementwise(optimise(freeze(graph))))
        for _ in range(2):
            np.testing.assert_allclose(plan(*others), expected, rtol=1e-12, atol=1e-14)


def test_dropout_draws_anew_in_a_graph():
    graph = trace(lambda x: ops.dropout(x, p=0.5, rng=np.random.default_rng(0)), np.ones(100))
    first, second = graph.run(np.ones(100)), graph.run(np.ones(100))
    assert (first != second).any()


@pytest.mark.parametrize("function, expected", [
    (lambda x: (1 + x).log(), ["log1p"]),
    (lambda x: (x + 1.0).log(), ["log1p"]),
    (lambda x: x.softmax(0).log(), ["log_softmax"]),
    (lambda x: x.sigmoid().log(), ["neg", "softplus", "neg"]),
    (lambda x: (x.exp() + 1).log(), ["softplus"]),
    (lambda x: x.exp() - 1, ["expm1"]),
    (lambda x: x.exp().log(), []),
    (lambda x: ops.neg(-(x * 1 + 0)) / 1, []),
    (lambda x: x.T.T, []),
    (lambda x: x.transpose(1, 0).reshape(-1).reshape(2, 6), ["transpose", "reshape"]),
    (lambda x: x * (Tensor([2.0], dtype=np.float64) * 3.0 + 1.0), ["mul"]),
    (lambda x: (x * 2).exp() + (x * 2).exp(), ["mul", "exp", "add"]),
    (lambda x: (x.tanh(), x.relu())[1], ["relu"]),
])  # fmt: skip
def test_rewrites(function, expected):
    x = np.random.default_rng(0).uniform(0.1, 1, size=(3, 4))
    graph = trace(function, x)
    better = optimise(graph)
    assert operations(better) == expected
    np.testing.assert_allclose(better.run(x), graph.run(x), rtol=1e-12)


def test_stable_forms_are_stable():
    x = np.array([-800.0, -1e-20, 800.0])
    with np.errstate(divide="ignore"):
        graph = trace(lambda x: x.sigmoid().log(), x)
        assert not np.isfinite(graph.run(x)).all()
    stable = optimise(graph).run(x)
    np.testing.assert_allclose(stable, [-800, -np.log(2), 0], atol=1e-15)
    assert optimise(trace(lambda x: (1 + x).log(), x[1:2])).run(x[1:2]) == -1e-20


def test_impure_operations_are_neither_merged_nor_folded():
    rng = np.random.default_rng(0)
    graph = optimise(trace(lambda x: ops.dropout(x, p=0.5, rng=rng) + ops.dropout(x, p=0.5, rng=rng), np.ones(50)))
    assert operations(graph) == ["dropout", "dropout", "add"]


def test_elementwise_trees_fuse_and_values_read_twice_do_not():
    def function(x, b):
        y = (x * 2 + b).tanh()
        return (y * y).sum(1), y.exp() - 1.5

    rng = np.random.default_rng(0)
    x, b = rng.normal(size=(5000, 7)), rng.normal(size=7)
    graph = trace(function, x, b)
    better = fuse_elementwise(graph)
    assert operations(better) == ["fused", "mul", "sum", "fused"]
    programs = [node.attributes["program"] for node in better.nodes if node.op is fused]
    assert [repr(p) for p in programs] == ["[mul, add, tanh]", "[exp, sub]"]
    for ours, expected in zip(Plan(better)(x, b), graph.run(x, b), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-12)


def test_buffers_are_shared_and_never_too_early():
    def function(x):
        for i in range(10):
            x = (x @ np.eye(8) * 0.9).reshape(4, 16).reshape(8, 8) + float(i)
        return x, x.T, x.sum()

    x = np.random.default_rng(0).normal(size=(8, 8))
    graph = trace(function, x)
    plan = Plan(graph)
    assert plan.bytes <= plan.bytes_unshared / 8
    first = plan(x)
    plan(np.zeros((8, 8)))  # what was returned belongs to the caller
    for ours, expected in zip(first, graph.run(x), strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_nothing_is_overwritten_through_a_view():
    def function(x):
        y = x * 2
        return y.flip(0) * y.T + 1.0, (x + 1).flip(0) * 3.0 - 2.0

    x = np.random.default_rng(0).normal(size=(300, 300))
    graph = trace(function, x)
    for ours, expected in zip(Plan(fuse_elementwise(graph))(x), graph.run(x), strict=True):
        np.testing.assert_array_equal(ours, expected)


class Digits(Module):
    def __init__(self, rng, dropout=0.0):
        self.body = Sequential(
            ConvBN(1, 4, 3, rng), MaxPool(2), ConvBN(4, 4, 3, rng), Flatten(), Dropout(dropout, rng),
            Linear(64, 8, rng), ReLU(), Linear(8, 3, rng),
        )  # fmt: skip

    def forward(self, x):
        return self.body(x)


def test_training_as_a_graph_equals_eager_training():
    rng = np.random.default_rng(0)
    data = [(rng.normal(size=(6, 8, 8, 1)).astype(np.float32), rng.integers(0, 3, 6)) for _ in range(6)]

    def run(as_graph):
        net = Digits(np.random.default_rng(1), dropout=0.3)
        optimizer = SGD(net.parameters(), 0.05)
        losses = []

        def loss_of(x, labels):
            return ops.cross_entropy(net(x), labels)

        before = net.state_dict()
        graph = optimise(trace(loss_of, *data[0]))
        assert all((a == before[name]).all() for name, a in net.state_dict().items())  # a trace has no effects
        for x, labels in data:
            optimizer.zero_grad()
            if as_graph:
                losses.append(graph.value_and_grad(x, labels))
            else:
                loss = loss_of(Tensor(x), labels)
                loss.backward()
                losses.append(loss.item())
            optimizer.step()
        return losses, net.state_dict()

    (eager_losses, eager_state), (graph_losses, graph_state) = run(False), run(True)
    np.testing.assert_allclose(graph_losses, eager_losses, rtol=1e-5)
    for name, array in eager_state.items():
        np.testing.assert_allclose(graph_state[name], array, rtol=1e-4, atol=1e-6, err_msg=name)


def test_variables_are_read_at_every_run_unless_frozen():
    w = Parameter(np.ones((2, 2)))
    graph = trace(lambda x: x @ w, np.ones((1, 2)))
    frozen, plan = freeze(graph), Plan(graph)
    w.data *= 3
    x = np.ones((1, 2))
    assert graph.run(x).tolist() == plan(x).tolist() == [[6, 6]] and frozen.run(x).tolist() == [[2, 2]]


def test_wrong_inputs_are_refused():
    graph = trace(lambda x: x * 2, np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"input \[3, 2\] float64, traced with \[2, 3\] float64"):
        graph.run(np.ones((3, 2)))
    with pytest.raises(ValueError, match="2 inputs given"):
        Plan(graph)(np.ones((2, 3)), np.ones(1))
    with pytest.raises(TypeError, match="must return tensors"):
        trace(lambda x: (x, 3), np.ones(2))
    with pytest.raises(ValueError, match="scalar"):
        graph.value_and_grad(np.ones((2, 3)))


def test_printing_and_drawing(tmp_path):
    w = Parameter(np.ones((3, 2), np.float32))
    graph = trace(lambda x: (x @ w).sum(axis=1), np.ones((4, 3), np.float32))
    assert str(graph).splitlines() == [
        "%0: [4, 3] float32 = placeholder",
        "%1: [3, 2] float32 = variable",
        "%2: [4, 2] float32 = matmul(%0, %1)",
        "%3: [4] float32 = sum(%2, axis=1)",
        "return %3",
    ]
    dot = graph.dot()
    assert "n2 -> n3;" in dot and "matmul" in dot
    if shutil.which("dot"):
        svg = subprocess.run(["dot", "-Tsvg"], input=dot, capture_output=True, text=True, check=True).stdout
        assert "<svg" in svg


def test_folding_batch_norm_keeps_the_values():
    rng = np.random.default_rng(0)
    net = Digits(rng).eval()
    for name, b in net.named_buffers():
        b.data[...] = rng.uniform(0.5, 2, b.shape) if "var" in name else rng.normal(size=b.shape)
    x = rng.normal(size=(3, 8, 8, 1)).astype(np.float32)
    graph = trace(net, x)
    folded = fuse_elementwise(find_towers(fuse_convolutions(optimise(freeze(graph)))))
    assert "bn_act" not in operations(folded) and operations(folded).count("tower") == 2
    np.testing.assert_allclose(Plan(folded)(x), graph.run(x), rtol=1e-4, atol=1e-5)

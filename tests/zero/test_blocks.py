"""Blocks: compiled inference and ONNX equal the network, PyTorch says what a block computes, boards of several sizes
may share a batch, and a network can grow without changing its answers."""

import dataclasses

import numpy as np
import pytest

import nn
from nn import infer, ops
from nn.graph import find_towers, freeze, fuse_convolutions, optimise, trace_inference
from nn.graph.convolution import conv_act, tower
from zero.blocks import PooledBias, SqueezeExcitation, pooled
from zero.config import NetworkConfig
from zero.errors import UserError
from zero.games import make_game
from zero.network import Network

SMALL = NetworkConfig(blocks=2, channels=8, policy_channels=4, value_channels=2, value_hidden=8)
VARIANTS = [
    {},
    {"se": 4},
    {"pool_every": 2},
    {"block": "preactivation"},
    {"block": "preactivation", "se": 4, "pool_every": 1},
    {"block": "bottleneck"},
    {"block": "bottleneck", "se": 4, "pool_every": 2},
    {"policy_head": "convolutional", "value_pooling": True},
    {"policy_head": "convolutional", "value_pooling": True, "se": 4, "pool_every": 1, "value_head": "wdl"},
]


def variant(**changes):
    return dataclasses.replace(SMALL, **changes)


def used(network, rng):
    """The network with weights and statistics as after some training."""
    for name, t in network.named_tensors():
        if "running_var" in name or "gamma" in name:
            t.data[...] = rng.uniform(0.5, 1.5, t.shape)
        elif t.ndim == 1:
            t.data[...] = rng.normal(size=t.shape) * 0.3
    return network.eval()


def boards(game, n, rng):
    return (rng.random((n, game.rows, game.cols, game.planes)) < 0.4).astype(np.float32)


def eager(network, x, mask=None):
    with nn.no_grad():
        return [t.numpy() for t in network(nn.Tensor(x), mask)]


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_compiled_inference_and_onnx_equal_the_network(changes, tmp_path):
    game, rng = make_game("go5"), np.random.default_rng(0)
    network = used(Network(game, variant(**changes), rng), rng)
    x = boards(game, 5, rng)
    expected = eager(network, x)
    assert expected[0].shape == (5, 26) and expected[1].shape == (5,)
    for ours, theirs in zip(infer.compile(network, x.shape[1:])(x), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)
    onnxruntime = pytest.importorskip("onnxruntime")
    from nn import onnx

    onnx.export(tmp_path / "net.onnx", network, x.shape[1:])
    session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
    for theirs, ours in zip(session.run(None, {"input": x}), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_every_3x3_convolution_runs_in_a_tower(changes):
    """So that its filter is transformed once, and bfloat16 and int8 reach it."""
    game, rng = make_game("go5"), np.random.default_rng(0)
    network = used(Network(game, variant(**changes), rng), rng)
    graph = find_towers(fuse_convolutions(optimise(freeze(trace_inference(network, (5, 5, game.planes))))))
    filters = sum(len(n.attributes["layers"]) for n in graph.nodes if n.op is tower)
    assert filters == sum(t.shape[:2] == (3, 3) for t in network.parameters())
    assert all(n.inputs[1].shape[:2] == (1, 1) for n in graph.nodes if n.op is conv_act)
    assert ops.conv2d not in [n.op for n in graph.nodes]


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_every_part_learns(changes):
    game, rng = make_game("go5"), np.random.default_rng(1)
    network = Network(game, variant(**changes), rng)
    policy, value = network(nn.Tensor(boards(game, 8, rng)))
    weights = [nn.Tensor(rng.normal(size=t.shape).astype(np.float32)) for t in (policy, value)]
    ((policy * weights[0]).sum() + (value * weights[1]).sum()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and np.isfinite(parameter.grad).all(), name
        assert np.abs(parameter.grad).max() > 0, name


def test_squeeze_excitation_equals_pytorch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    block = SqueezeExcitation(6, 3, rng)
    x = rng.normal(size=(2, 4, 5, 6)).astype(np.float32)
    t, names = torch.tensor(x), dict(block.named_parameters())
    w = {name: torch.tensor(p.data) for name, p in names.items()}
    hidden = torch.relu(t.mean((1, 2)) @ w["squeeze.weight"] + w["squeeze.bias"])
    scale, shift = (hidden @ w["excite.weight"] + w["excite.bias"]).chunk(2, 1)
    expected = torch.sigmoid(scale)[:, None, None] * t + shift[:, None, None]
    np.testing.assert_allclose(block(nn.Tensor(x), None).numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)


def test_global_pooling_is_katagos():
    x = np.random.default_rng(3).normal(size=(2, 4, 9, 3)).astype(np.float32)
    mean, largest = x.mean((1, 2)), x.max((1, 2))
    expected = np.concatenate([mean, largest, mean * (6 - 14) / 10], 1)
    np.testing.assert_allclose(pooled(nn.Tensor(x), None).numpy(), expected, rtol=1e-5, atol=1e-6)
    bias = PooledBias(8, np.random.default_rng(0))
    assert bias(nn.Tensor(np.ones((2, 4, 9, 8), np.float32)), None).shape == (2, 1, 1, 8)


def test_a_point_policy_needs_an_action_for_each_point():
    with pytest.raises(UserError, match="connect4 has no action for each point"):
        Network(make_game("connect4"), variant(policy_head="convolutional"), np.random.default_rng(0))


FREE = [v for v in VARIANTS if v.get("value_pooling")] + [
    {"policy_head": "convolutional", "value_pooling": True, "block": block, "se": 4, "pool_every": 2}
    for block in ("preactivation", "bottleneck")
]


def canvas(game, x, side):
    """Boards `x` in the upper left corner of `side` x `side` arrays, and the masks of their points."""
    wide = np.zeros((len(x), side, side, x.shape[3]), np.float32)
    wide[:, : game.rows, : game.cols] = x
    mask = np.zeros((len(x), side, side), bool)
    mask[:, : game.rows, : game.cols] = True
    return wide, mask


@pytest.mark.parametrize("changes", FREE, ids=str)
def test_boards_of_two_sizes_in_one_batch_get_what_they_get_alone(changes):
    rng = np.random.default_rng(5)
    small, large = make_game("go5"), make_game("go7")
    nets = [Network(game, variant(**changes), np.random.default_rng(0)) for game in (small, large)]
    state = used(nets[0], rng).state_dict()
    nets[1].load_state_dict(state)  # the same weights fit both sizes
    parts = [boards(game, 3, rng) for game in (small, large)]
    alone = [eager(net.eval(), x) for net, x in zip(nets, parts, strict=True)]
    mixed = [canvas(game, x, 7) for game, x in zip((small, large), parts, strict=True)]
    x, mask = (np.concatenate(both) for both in zip(*mixed, strict=True))
    policy, value = eager(nets[1], x, mask)
    np.testing.assert_allclose(value, np.concatenate([alone[0][1], alone[1][1]]), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(policy[3:], alone[1][0], rtol=1e-4, atol=1e-5)
    at_points = policy[:3, :49].reshape(3, 7, 7)[:, :5, :5].reshape(3, 25)
    np.testing.assert_allclose(np.concatenate([at_points, policy[:3, 49:]], 1), alone[0][0], rtol=1e-4, atol=1e-5)


def test_what_lies_outside_a_board_teaches_nothing():
    """Training on boards in a larger array moves the weights and statistics as training on the boards alone."""
    rng = np.random.default_rng(6)
    small, large = make_game("go5"), make_game("go7")
    config = variant(**FREE[1])
    nets = [Network(game, config, np.random.default_rng(0)) for game in (small, large)]
    x = boards(small, 4, rng)
    wide, mask = canvas(small, x, 7)
    for net, planes, at in ((nets[0], x, None), (nets[1], wide, mask)):
        policy, value = net(nn.Tensor(planes), at)
        ((value * value).sum() + (policy[:, -1] * policy[:, -1]).sum()).backward()
    for (name, a), (_, b) in zip(nets[0].named_parameters(), nets[1].named_parameters(), strict=True):
        assert (a.grad is None) == (b.grad is None), name
        if a.grad is not None:
            np.testing.assert_allclose(b.grad, a.grad, rtol=1e-3, atol=2e-5, err_msg=name)
    for (name, a), (_, b) in zip(nets[0].named_buffers(), nets[1].named_buffers(), strict=True):
        np.testing.assert_allclose(b.numpy(), a.numpy(), rtol=1e-4, atol=1e-6, err_msg=name)

"""Optimisers, schedules, averages, float16, and finding a NaN."""

import numpy as np
import pytest

from nn import Parameter, Tensor, ops
from nn.average import EMA, SWA, update_batch_norm
from nn.finite import check_finite, detect_nonfinite, nonfinite
from nn.layers import ConvBN, GlobalPool, Linear, ReLU, Sequential
from nn.optim import SGD, Adam, LossScaler, Muon, orthogonalise
from nn.schedules import Constant, Cosine, Steps, Warmup
from nn.schedules import Linear as LinearSchedule


def test_adam_equals_pytorch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=(3, 4)), rng.normal(size=(20, 3, 4))
    p, q = Parameter(start.copy()), torch.nn.Parameter(torch.tensor(start))
    ours, theirs = Adam([p], 0.01, weight_decay=0.1), torch.optim.Adam([q], 0.01, weight_decay=0.1)
    for g in gradients:
        p.grad, q.grad = g.copy(), torch.tensor(g)
        ours.step()
        theirs.step()
    np.testing.assert_allclose(p.data, q.detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6)])
def test_muon_agrees_with_pytorch_within_bfloat16(shape):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=shape), rng.normal(size=(5, *shape))
    p, q = Parameter(start.copy()), torch.nn.Parameter(torch.tensor(start.T.copy()))  # PyTorch keeps [out, in]
    ours, theirs = Muon([p], 0.02, weight_decay=0.1), torch.optim.Muon([q], 0.02, momentum=0.95, weight_decay=0.1)
    for g in gradients:
        p.grad, q.grad = g.copy(), torch.tensor(g.T.copy())
        ours.step()
        theirs.step()
    moved, expected = p.data - start, q.detach().numpy().T - start
    assert np.abs(moved - expected).max() < 0.03 * np.abs(expected).max()  # PyTorch iterates in bfloat16


def test_orthogonalise_makes_singular_values_alike():
    matrix = np.random.default_rng(0).normal(size=(30, 10))
    u, _, v = np.linalg.svd(matrix, full_matrices=False)
    result = orthogonalise(matrix)
    values = np.linalg.svd(result, compute_uv=False)
    assert 0.65 < values.min() and values.max() < 1.25
    assert (result * (u @ v)).sum() / np.linalg.norm(result) / np.sqrt(10) > 0.98


def test_muon_trains_filters_and_refuses_vectors():
    w = Parameter(np.zeros((3, 3, 2, 4)))
    w.grad = np.random.default_rng(0).normal(size=w.shape)
    Muon([w], 0.1).step()
    assert np.linalg.norm(w.data) == pytest.approx(0.1 * np.sqrt(4), rel=0.2)  # a step of orthogonal columns
    with pytest.raises(ValueError, match="AdamW"):
        Muon([Parameter(np.zeros(3))])


def test_schedules():
    assert [LinearSchedule(1, 0, 4)(s) for s in (0, 1, 4, 9)] == [1, 0.75, 0, 0]
    assert [Cosine(2, 0, 10)(s) for s in (0, 5, 10, 11)] == pytest.approx([2, 1, 0, 0])
    assert [Steps((10, 20), (1.0, 0.1, 0.01))(s) for s in (0, 9, 10, 19, 20)] == [1.0, 1.0, 0.1, 0.1, 0.01]
    assert [Warmup(4, Constant(0.8))(s) for s in (0, 1, 3, 100)] == pytest.approx([0.2, 0.4, 0.8, 0.8])
    assert Warmup(4, Cosine(1, 0, 5)) == Warmup(4, Cosine(1, 0, 5))
    with pytest.raises(ValueError, match="boundaries"):
        Steps((20, 10), (1.0, 2.0, 3.0))


def test_averages_against_the_definition():
    layer = Linear(2, 3, np.random.default_rng(0))
    ema, swa = EMA(layer, decay=0.5), SWA(layer)
    history = []
    for i in range(5):
        layer.weight.data[...] = np.random.default_rng(i).normal(size=(2, 3))
        history.append(layer.weight.data.copy())
        ema.update()
        swa.update()
    other = Linear(2, 3, np.random.default_rng(1))
    np.testing.assert_allclose(swa.copy_to(other).weight.data, np.mean(history, 0), rtol=1e-5)
    expected = Linear(2, 3, np.random.default_rng(0)).weight.data
    for t, w in enumerate(history):
        decay = min(0.5, (1 + t) / (10 + t))
        expected = decay * expected + (1 - decay) * w
    np.testing.assert_allclose(ema.copy_to(other).weight.data, expected, rtol=1e-5)
    again = EMA(layer, decay=0.5)
    again.load_state_dict(ema.state_dict())
    ema.update()
    again.update()
    assert all((a == b).all() for a, b in zip(ema.state_dict().values(), again.state_dict().values(), strict=True))
    with pytest.raises(ValueError, match="missing weight"):
        again.load_state_dict({"updates": 1})


def test_update_batch_norm_averages_the_batches():
    rng = np.random.default_rng(0)
    net = ConvBN(2, 3, 1, rng)
    batches = [rng.normal(size=(4, 3, 3, 2)).astype(np.float32) for _ in range(3)]
    update_batch_norm(net.eval(), batches)
    means = [net.conv(Tensor(b)).data.mean((0, 1, 2)) for b in batches]
    np.testing.assert_allclose(net.norm.running_mean.data, np.mean(means, 0), rtol=1e-5, atol=1e-6)
    assert net.norm.momentum == 0.1 and not net.training


def small_net(rng):
    return Sequential(ConvBN(2, 4, 3, rng), GlobalPool(), Linear(8, 8, rng), ReLU(), Linear(8, 3, rng))


def test_float16_training_with_master_weights_follows_float32():
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(16, 5, 5, 2)), rng.integers(0, 3, 16)
    losses = {}
    for dtype in (np.float32, np.float16):
        net = small_net(np.random.default_rng(1)).to(dtype=dtype)
        optimizer, scaler = SGD(net.parameters(), 0.01), LossScaler(1024.0)
        losses[dtype] = []
        for _ in range(20):
            loss = ops.cross_entropy(net(Tensor(x.astype(dtype))), labels)
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            assert scaler.unscale(optimizer.parameters)
            optimizer.step()
            losses[dtype].append(loss.item())
        assert net.parameters()[0].dtype == dtype and optimizer.flat.dtype == np.float32
    assert losses[np.float32][-1] < 0.9 * losses[np.float32][0]
    np.testing.assert_allclose(losses[np.float16], losses[np.float32], rtol=0.02)


def test_master_weights_keep_what_float16_would_lose():
    p = Parameter(np.ones(2, np.float16))
    optimizer = SGD([p], lr=1e-4, momentum=0.0)
    for _ in range(10):
        p.grad = np.ones(2, np.float32)
        optimizer.step()
    assert p.data == pytest.approx(np.full(2, 0.999), abs=5e-4) and p.data[0] < 1
    q = Parameter(np.ones(2, np.float16))
    other = SGD([q], lr=1e-4, momentum=0.0)
    other.load_state_dict(optimizer.state_dict())
    assert (other.flat == optimizer.flat).all() and (q.data == p.data).all()


def test_loss_scaler_backs_off_and_grows():
    p = Parameter(np.ones(2, np.float32))
    scaler = LossScaler(8.0, interval=2)
    p.grad = np.array([np.inf, 1], np.float32)
    assert not scaler.unscale([p]) and scaler.factor == 4
    for _ in range(2):
        p.grad = np.array([4.0, 8.0], np.float32)
        assert scaler.unscale([p])
    assert scaler.factor == 8 and p.grad.tolist() == [1, 2]


def test_a_nan_is_traced_to_its_tensor():
    net = small_net(np.random.default_rng(0))
    x = Tensor(np.ones((2, 5, 5, 2), np.float32))
    loss = ops.cross_entropy(net(x), np.array([0, 1]))
    check_finite(loss, net)
    net[2].weight.data[0, 0] = np.nan
    loss = ops.cross_entropy(net(x), np.array([0, 1]))
    with pytest.raises(FloatingPointError, match=r"step 7: the loss is nan; not finite: layers.2.weight$"):
        check_finite(loss, net, "step 7")
    loss.backward()
    assert "gradient of layers.4.weight" in nonfinite(net)


def test_the_operation_that_made_a_nan_is_named():
    x = Tensor(np.array([1.0, -1.0], np.float32))
    with np.errstate(invalid="ignore"), detect_nonfinite(), pytest.raises(FloatingPointError, match=r"log: \[2\]"):
        (x + 1.0 - 1.0).log() * 2
    with np.errstate(invalid="ignore"):
        x.log()  # outside nothing is checked

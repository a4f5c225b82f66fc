"""Arrays that are not numpy's: every operation and a training step on a pretended device; the real one if there is."""

import zlib

import fake_cupy
import numpy as np
import pytest
from nn_cases import CASES, Case
from test_nn_infer import DualHead

from nn import Tensor, backend, infer, ops, reference
from nn.average import EMA
from nn.cuda import capture
from nn.optim import SGD, AdamW, Muon, clip_grad_norm


@pytest.fixture
def device(monkeypatch):
    """ "cuda" as pretended by fake_cupy, with the reference kernels."""
    compiled = backend._kernels("cpu")
    monkeypatch.setattr(backend, "cupy", lambda: fake_cupy)
    monkeypatch.setattr(backend, "_kernels", lambda device: compiled if device == "cpu" else reference)
    return "cuda"


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_every_operation_runs_there(case: Case, device):
    arrays = case.inputs(np.random.default_rng(zlib.crc32(case.name.encode())))
    here = [Tensor(a, requires_grad=True) for a in arrays]
    there = [Tensor(a, requires_grad=True, device=device) for a in arrays]
    expected, out = case.run(*here), case.run(*there)
    assert out.device == "cuda" and isinstance(out.data, fake_cupy.ndarray)
    np.testing.assert_allclose(out.numpy(), expected.data, rtol=1e-12)
    cotangent = np.random.default_rng(2).normal(size=expected.shape)
    expected.backward(cotangent)
    out.backward(Tensor(cotangent, device=device))
    for a, b in zip(there, here, strict=True):
        np.testing.assert_allclose(a.grad.get(), b.grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("make", [lambda p: SGD(p, 0.05), lambda p: AdamW(p, 0.01), lambda p: Muon(p, 0.01)])
def test_training_goes_the_same_way(make, device):
    rng = np.random.default_rng(0)
    x, target = rng.normal(size=(8, 6, 5, 3)), rng.dirichlet(np.ones(31), 8)
    losses = {}
    for where in ("cpu", device):
        net = DualHead(np.random.default_rng(1)).to(device=where, dtype=np.float64)
        muon = make.__code__.co_names[0] == "Muon"
        optimizer = make([p for p in net.parameters() if p.ndim > 1 or not muon])
        average = EMA(net, 0.9)
        losses[where] = []
        for _ in range(4):
            policy, value = net(Tensor(x, device=where))
            loss = ops.cross_entropy(policy, Tensor(target, device=where)) + (value * value).mean()
            net.zero_grad()
            loss.backward()
            clip_grad_norm(net.parameters(), 1.0)
            optimizer.step()
            average.update()
            losses[where].append(loss.item())
        assert net.state_dict()["stem.conv.weight"].shape == (3, 3, 3, 8)
        optimizer.load_state_dict(optimizer.state_dict())
    np.testing.assert_allclose(losses[device], losses["cpu"], rtol=1e-9)


def test_mixed_devices_are_refused(device):
    with pytest.raises(TypeError, match=r"add: operands on different devices .*\.to\(device\)"):
        Tensor([1.0]) + Tensor([1.0], device=device)
    assert (Tensor([1.0]).cuda() + Tensor([1.0], device=device)).cpu().tolist() == [2.0]


def test_without_a_card_the_package_is_silent_and_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(backend, "cupy", lambda: None)
    assert Tensor([1.0]).device == "cpu"
    with pytest.raises(ValueError, match="device 'cuda': needs an NVIDIA card"):
        Tensor([1.0], device="cuda")


@pytest.mark.gpu
@pytest.mark.skipif(backend.cupy() is None, reason="needs an NVIDIA card, its driver and CuPy")
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_every_operation_on_the_card(case: Case):
    arrays = case.inputs(np.random.default_rng(zlib.crc32(case.name.encode())))
    here = [Tensor(a, requires_grad=True) for a in arrays]
    there = [Tensor(a, requires_grad=True, device="cuda") for a in arrays]
    expected, out = case.run(*here), case.run(*there)
    np.testing.assert_allclose(out.numpy(), expected.data, rtol=1e-9)
    cotangent = np.random.default_rng(2).normal(size=expected.shape)
    expected.backward(cotangent)
    out.backward(Tensor(cotangent, device="cuda"))
    for a, b in zip(there, here, strict=True):
        np.testing.assert_allclose(a.grad.get(), b.grad, rtol=1e-8, atol=1e-10)


def test_compiled_inference_runs_there(device, monkeypatch):
    recordings = []

    class Captured:
        """Runs what the real one would record, on a batch that is filled up."""

        def __init__(self, function, example):
            recordings.append(len(example))
            self.function, self.shape = function, example.shape

        def __call__(self, x):
            assert len(x) <= self.shape[0] and x.shape[1:] == self.shape[1:]
            full = fake_cupy.asarray(np.ones(self.shape, np.float32))
            full[: len(x)] = x
            return [out[: len(x)] for out in self.function(full)]

    monkeypatch.setattr(capture, "Captured", Captured)
    rng = np.random.default_rng(0)
    net = DualHead(rng)
    x = rng.normal(size=(5, 6, 5, 3)).astype(np.float32)
    expected = infer.compile(net, (6, 5, 3))(x)
    plan = infer.compile(net.to(device), (6, 5, 3))
    for n in (5, 3, 5, 5, 3):
        for ours, theirs in zip(plan(x[:n]), expected, strict=True):
            assert isinstance(ours, np.ndarray)
            np.testing.assert_allclose(ours, theirs[:n], rtol=1e-4, atol=2e-5)
    assert recordings == [6, 3]  # a size that came once is not worth a recording


def test_batches_of_all_sizes_share_few_recordings():
    sizes = [infer.recorded_size(n) for n in range(1, 4097)]
    assert all(n <= size < 1.5 * n for n, size in enumerate(sizes, 1))
    assert len(set(sizes)) < infer._RECORDED_SIZES
    assert sizes[:9] == [1, 2, 3, 4, 6, 6, 8, 8, 12]

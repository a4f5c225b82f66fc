"""16-bit floats on the CPU: a format to store; every operation computes in float32 and rounds once."""

import zlib

import numpy as np
import pytest
from nn_cases import CASES

from nn import Parameter, Tensor, ops, save
from nn.layers import ConvBN, Flatten, Linear, Sequential
from nn.optim import SGD, AdamW, clip_grad_norm

HALVES = ["bfloat16", "float16"]
PRECISION = {"bfloat16": 2.0**-8, "float16": 2.0**-11}
LEFT_OUT = ("astype", "cross_entropy_soft", "cross_entropy_masked", "mse_weighted")  # their rows hold float64 constants


def half(array, dtype):
    return np.asarray(array, np.float32).astype(Tensor(0.0, dtype=dtype).dtype)


def gradients(case, arrays):
    tensors = [Parameter(a) for a in arrays]
    out = case.run(*tensors)
    g = np.random.default_rng(1).normal(size=out.shape).astype(np.float32)
    out.backward(g.astype(out.dtype) if out.ndim else np.ones((), out.dtype))
    return out, [t.grad for t in tensors]


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("case", [c for c in CASES if c.name not in LEFT_OUT], ids=lambda c: c.name)
def test_every_operation_computes_in_float32_and_rounds(case, dtype):
    arrays = [half(a, dtype) for a in case.inputs(np.random.default_rng(zlib.crc32(case.name.encode())))]
    out, grads = gradients(case, arrays)
    exact_out, exact_grads = gradients(case, [a.astype(np.float32) for a in arrays])
    assert out.dtype.name == dtype and all(g is None or g.dtype.name == dtype for g in grads)
    bound = 4 * PRECISION[dtype]  # a row may be of two or three operations, each rounded
    for ours, exact in zip([out.data, *grads], [exact_out.data, *exact_grads], strict=True):
        np.testing.assert_allclose(ours.astype(np.float32), exact, rtol=bound, atol=bound * np.abs(exact).max())


@pytest.mark.parametrize("dtype", HALVES)
def test_conversions_views_and_sums(dtype):
    x = Tensor([1.0, 2.0, 3.0, 4.0], dtype=dtype)
    assert x.dtype.name == dtype and x.astype("float32").dtype == np.float32 and float(x[3].item()) == 4
    assert np.shares_memory(x.reshape(2, 2).data, x.data) and np.shares_memory(x[1:].data, x.data)
    assert (x * 2.5 + 1).tolist() == [3.5, 6.0, 8.5, 11.0] and (x > 2).tolist() == [False, False, True, True]
    assert float(Tensor(np.ones(1000, np.float32), dtype=dtype).sum().item()) == 1000  # 256 + 1 is 256 in bfloat16
    many = Parameter(half(np.ones(1), dtype))
    many.broadcast_to(shape=(1000,)).sum().backward()
    assert float(many.grad[0]) == 1000


def test_rounding_is_to_nearest_even():
    x = Tensor(np.array([1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20], np.float32)).astype("bfloat16")
    assert x.astype("float32").tolist() == [1, 1 + 2**-6, 1 + 2**-7]


@pytest.mark.parametrize("dtype", HALVES)
def test_mixed_dtypes_are_refused(dtype):
    with pytest.raises(TypeError, match=rf"add: mixed dtypes \(\[2\] {dtype} and \[3, 2\] float32\)"):
        Tensor(half([1, 2], dtype)) + Tensor(np.ones((3, 2), np.float32))
    with pytest.raises(ValueError, match=rf"matmul: \[2, 3\] {dtype} and \[2, 3\] {dtype}"):
        Tensor(half(np.ones((2, 3)), dtype)) @ Tensor(half(np.ones((2, 3)), dtype))


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("make", [lambda p: SGD(p, 0.05), lambda p: AdamW(p, 0.01)])
def test_a_network_learns_and_its_file_comes_back(dtype, make, tmp_path):
    rng = np.random.default_rng(0)
    net = Sequential(ConvBN(2, 8, 3, rng), Flatten(), Linear(8 * 16, 3, rng)).to(dtype=dtype)
    x, labels = Tensor(rng.normal(size=(24, 4, 4, 2)), dtype=dtype), rng.integers(0, 3, 24)
    optimizer, losses = make(net.parameters()), []
    for _ in range(30):
        loss = ops.cross_entropy(net(x), labels)
        optimizer.zero_grad()
        loss.backward()
        assert np.isfinite(clip_grad_norm(net.parameters(), 1.0))
        optimizer.step()
        losses.append(float(loss.item()))
    assert losses[-1] < losses[0] / 4
    path = tmp_path / "net.safetensors"
    save.save(path, net.state_dict())
    loaded = save.load(path)
    for name, array in net.state_dict().items():
        assert loaded[name].dtype.name == dtype
        np.testing.assert_array_equal(loaded[name].astype(np.float32), array.astype(np.float32))
    again = save.load_module(path, Sequential(ConvBN(2, 8, 3, rng), Flatten(), Linear(8 * 16, 3, rng)).to(dtype=dtype))
    np.testing.assert_array_equal(again.eval()(x).data.astype(np.float32), net.eval()(x).data.astype(np.float32))

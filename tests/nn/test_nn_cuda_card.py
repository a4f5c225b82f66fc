"""The CUDA kernels on a card, against the numpy definitions; skipped where there is none."""

import numpy as np
import pytest

from nn import reference
from nn.backend import cupy

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(cupy() is None, reason="needs an NVIDIA card, its driver and CuPy")]


def normal(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def card(array):
    return None if array is None else cupy().asarray(array)


def error(got, expected):
    return np.linalg.norm(cupy().asnumpy(got) - expected) / np.linalg.norm(expected)


@pytest.fixture
def bfloat16():
    from nn import cuda

    cuda.set_precision("bfloat16")
    yield
    cuda.set_precision("float32")


def check_convolution(limit, n=5, rows=9, cols=9, ci=17, co=64):
    from nn import cuda

    x, w, g = normal(n, rows, cols, ci), normal(3, 3, ci, co), normal(n, rows, cols, co)
    assert error(cuda.conv2d(card(x), card(w)), reference.conv2d(x, w)) < limit
    assert error(cuda.conv2d_grad_input(card(g), card(w), x.shape), reference.conv2d_grad_input(g, w, x.shape)) < limit
    gradient = cuda.conv2d_grad_weight(card(x), card(g), w.shape)
    assert error(gradient, reference.conv2d_grad_weight(x, g, w.shape)) < limit


def test_convolution_float32():
    check_convolution(1e-3)  # TF32 may be in use


@pytest.mark.parametrize("ci, co", [(17, 64), (128, 128), (256, 256)])
def test_convolution_bfloat16(bfloat16, ci, co):
    check_convolution(2e-2, ci=ci, co=co)


def test_batch_norm():
    from nn import cuda

    y, g, residual = (normal(20, 9, 9, 40) for _ in range(3))
    gamma, beta = normal(40), normal(40)
    got = cuda.bn_act_forward(*map(card, (y, gamma, beta, residual)))
    want = reference.bn_act_forward(y, gamma, beta, residual)
    assert all(error(a, b) < 1e-4 for a, b in zip(got, want, strict=True))
    got = cuda.bn_act_backward(card(g), *map(card, (want[0], y, *want[1:], gamma)), True, True)
    want = reference.bn_act_backward(g, want[0], y, *want[1:], gamma, True, True)
    assert all(error(a, b) < 1e-3 for a, b in zip(got, want, strict=True))


def tower_layers(channels, blocks=2):
    def layer(ci, residual):
        return normal(3, 3, ci, channels) * np.float32(np.sqrt(2 / (9 * ci))), normal(channels), residual, True

    layers = [layer(17, None)]
    for _ in range(blocks):
        layers += [layer(channels, None), layer(channels, len(layers) - 1)]
    return layers


@pytest.mark.parametrize("channels, rows, kernel", [(64, 9, "tower"), (128, 9, "tower"), (256, 9, 0), (128, 19, 0)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_tower(channels, rows, kernel, dtype):
    from nn import cuda

    layers, x = tower_layers(channels), normal(37, rows, rows, 17)
    tower = cuda.Tower(layers, rows, rows, dtype=dtype)
    if dtype == "bfloat16" and kernel:
        assert tower.kernel == kernel
    assert error(tower(x), reference.Tower(layers, rows, rows)(x)) < 2e-2


def test_replayed_graph_equals_eager():
    from nn import cuda
    from nn.cuda.capture import Captured

    tower, x = cuda.Tower(tower_layers(64), 9, 9, dtype="bfloat16"), card(normal(8, 9, 9, 17))
    captured = Captured(lambda x: [tower(x)], x)
    for other in (x, x * 2, x[:5] * 3):
        [out] = captured(other)
        cupy().testing.assert_array_equal(out, tower(other))

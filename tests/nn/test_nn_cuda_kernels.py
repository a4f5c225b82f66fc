"""The CUDA kernels without a card: NVRTC compiles each for sm_80 and sm_90 with no spills, and the same source runs on
the CPU (cuda_on_cpu.hpp) against the numpy definitions. What needs a card is in test_nn_cuda_card.py."""

import ctypes
import functools
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nn import reference
from nn.cuda import blocks, device, images
from nn.cuda.tower import assign_slots, fused_block, layer_table
from nn.reference import round_bfloat16

sys.path.insert(0, str(Path(__file__).parent))
import nvrtc  # noqa: E402

HERE = Path(__file__).parent
NETS = [(9, 9, 17, 64), (9, 9, 17, 96), (9, 9, 17, 128), (6, 7, 3, 32), (19, 19, 17, 64), (19, 19, 17, 96)]
KERNELS = [("tower.cu", blocks.choose(9, 9, 17, 128, slots=2).options()),
           ("conv.cu", blocks.choose(6, 7, 3, 20, slots=1).options()), ("norm.cu", ()), ("optimizer.cu", ())]
MORE = [("tower.cu", blocks.choose(*net, slots=2).options()) for net in NETS]
MORE += [("conv.cu", blocks.choose(rows, cols, ci, co, slots=1).options())
         for rows, cols, ci, co in [(9, 9, 64, 64), (9, 9, 256, 256), (19, 19, 128, 128)]]
KERNELS += [pytest.param(*kernel, marks=pytest.mark.slow) for kernel in MORE if kernel not in KERNELS]


# ---------------------------------------------------------------- compilation
@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])
@pytest.mark.parametrize("name, options", KERNELS, ids=lambda v: v if isinstance(v, str) else "-".join(v))
def test_compiles_without_spills(name, options, arch):
    lib = nvrtc.library()
    if lib is None:
        pytest.skip("needs NVRTC (pip install nvidia-cuda-nvrtc)")
    flags = [*device.OPTIONS, *options, f"-arch={arch}", "--ptxas-options=-v"]
    cubin, log = nvrtc.compile_source(lib, device.source(name), flags)
    spills = [int(n) for n in re.findall(r"(\d+) bytes spill", log)]
    assert len(cubin) > 1000 and spills and not any(spills), log


def test_compile_errors_are_shown():
    lib = nvrtc.library()
    if lib is None:
        pytest.skip("needs NVRTC (pip install nvidia-cuda-nvrtc)")
    with pytest.raises(ValueError, match="undefined"):
        nvrtc.compile_source(lib, "__global__ void f() { g(); }", ["-arch=sm_80"])


# ---------------------------------------------------------------- the same source on the CPU
@pytest.fixture(scope="module")
def build(tmp_path_factory):
    if shutil.which("g++") is None:
        pytest.skip("needs g++ to build the kernels for the CPU")
    folder = tmp_path_factory.mktemp("cuda")

    @functools.cache
    def compiled(part, source, options=()):
        so = folder / f"{part}{len(list(folder.iterdir()))}.so"
        defines = [f"-D{part}", f'-DSOURCE="{source}"', '-DCUDA_ON_CPU="cuda_on_cpu.hpp"', *options]
        subprocess.run(["g++", "-std=c++17", "-O1", "-shared", "-fPIC", *defines, f"-I{HERE}", f"-I{device.SOURCES}",
                        HERE / "cuda_driver.cpp", "-o", so], check=True)
        return ctypes.CDLL(str(so))

    return compiled


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def normal(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def at(array):
    return None if array is None else ctypes.c_void_p(array.ctypes.data)


def error(got, expected):
    return np.linalg.norm(got - expected) / np.linalg.norm(expected)


def packed(lib, w, outputs):
    inputs16, outputs16 = blocks.padded(w.shape[2]) // 16, outputs // 16
    filters = np.empty(9 * inputs16 * outputs16 * 128 + 3, np.uint32)
    start = (-filters.ctypes.data // 4) % 4  # fragments are 16-byte aligned
    filters = filters[start:start + 9 * inputs16 * outputs16 * 128]
    lib.run_pack_filters(at(w), *w.shape[2:], inputs16, outputs16, at(filters))
    return filters


@pytest.mark.parametrize("n, rows, cols, ci, co", [(3, 3, 3, 5, 20), (1, 9, 9, 32, 32), (2, 1, 4, 16, 40)])
def test_convolution(build, rng, n, rows, cols, ci, co):
    block = blocks.choose(rows, cols, ci, co, slots=1)
    lib = build("CONV", "conv.cu", block.options())
    x, w, bias, residual = normal(rng, n, rows, cols, ci), normal(rng, 3, 3, ci, co), normal(rng, co), normal(
        rng, n, rows, cols, co)
    filters = packed(lib, w, block.channels)
    exact = reference.conv2d(round_bfloat16(x), round_bfloat16(w))
    y = np.full_like(exact, np.nan)
    lib.run_conv3x3(at(x), ci, at(filters), at(bias), at(residual), 1, at(y), co, n)
    assert error(y, np.maximum(exact + bias + residual, 0)) < 1e-6
    lib.run_conv3x3(at(x), ci, at(filters), None, None, 0, at(y), co, n)
    assert error(y, exact) < 1e-6


def layers_of(*shapes):
    rng = np.random.default_rng(5)
    return [((rng.standard_normal((3, 3, a, b)) * np.sqrt(2 / (9 * a))).astype(np.float32),
             rng.standard_normal(b).astype(np.float32) * np.float32(0.1), residual, relu)
            for a, b, residual, relu in shapes]


RESIDUAL = layers_of((5, 30, None, True), (30, 30, None, True), (30, 30, 0, True), (30, 30, None, True),
                     (30, 30, 2, True))
IRREGULAR = layers_of((20, 16, None, True), (16, 16, 0, False), (16, 16, 0, True), (16, 9, None, False))


@pytest.mark.parametrize("layers", [RESIDUAL, IRREGULAR], ids=["residual", "irregular"])
@pytest.mark.parametrize("n, rows, cols", [(3, 3, 3), (2, 4, 5)])
def test_tower(build, rng, layers, n, rows, cols):
    block, slots = fused_block(layers, rows, cols)
    lib, packer = build("TOWER", "tower.cu", block.options()), build("CONV", "conv.cu", block.options())
    x, channels = normal(rng, n, rows, cols, layers[0][0].shape[2]), layers[-1][0].shape[3]
    parts = [packed(packer, w, block.channels) for w, *_ in layers]
    filters = np.empty(sum(p.size for p in parts) + 4, np.uint32)
    filters = filters[(-filters.ctypes.data // 4) % 4:][:sum(p.size for p in parts)]
    np.concatenate(parts, out=filters)
    bias = np.zeros((len(layers), block.channels), np.float32)
    for l, layer in enumerate(layers):
        bias[l, :layer[1].size] = layer[1]
    table = layer_table(layers, slots, [p.size for p in parts], block.channels)
    y = np.full((n, rows, cols, channels), np.nan, np.float32)
    lib.run_tower(at(x), x.shape[3], at(filters), at(bias), at(table), len(layers), at(y), channels, n)
    assert error(y, reference.Tower(layers, rows, cols)(x)) < 2e-2
    assert error(y, reference.Tower(layers, rows, cols, dtype="bfloat16")(x)) < 5e-3


@pytest.mark.parametrize("rows, channels, chunks", [(1, 3, 1), (200, 40, 3), (64, 33, 2)])
@pytest.mark.parametrize("relu, with_residual", [(1, True), (0, False)])
def test_batch_norm(build, rng, rows, channels, chunks, relu, with_residual):
    lib = build("NORM", "norm.cu")
    y, g = normal(rng, rows, channels) + 2, normal(rng, rows, channels)
    gamma, beta, residual = normal(rng, channels), normal(rng, channels), normal(rng, rows, channels)
    residual = residual if with_residual else None
    out, gy, masked = np.empty_like(y), np.empty_like(y), np.empty_like(y)
    mean, inv_std, dgamma, dbeta = (np.empty(channels, np.float32) for _ in range(4))
    partial, size = np.empty((chunks, 2, channels), np.float32), ctypes.c_longlong(rows)
    lib.run_forward(at(y), at(gamma), at(beta), at(residual), ctypes.c_float(1e-5), relu, at(out), at(mean),
                    at(inv_std), at(partial), chunks, size, channels)
    expected = reference.bn_act_forward(y.astype(np.float64), gamma, beta, residual, relu=relu)
    for got, want in zip((out, mean, inv_std), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-4)
    lib.run_backward(at(g), at(out) if relu else None, at(y), at(mean), at(inv_std), at(gamma), at(gy), at(dgamma),
                     at(dbeta), at(masked), at(partial), chunks, size, channels)
    want = reference.bn_act_backward(g, out, y, mean, inv_std, gamma, relu, True)
    for got, exact in zip((gy, dgamma, dbeta, masked), want, strict=True):
        np.testing.assert_allclose(got, exact, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("nesterov", [0, 1])
def test_sgd(build, rng, nesterov):
    lib = build("OPTIMIZER", "optimizer.cu")
    p, g, velocity = (normal(rng, 1000) for _ in range(3))
    v = 0.9 * velocity + (step := g + 1e-2 * p)
    expected = p - 0.1 * (step + 0.9 * v if nesterov else v)
    lib.run_sgd(at(p), at(g), at(velocity), *map(ctypes.c_float, (0.1, 0.9, 1e-2)), nesterov, ctypes.c_longlong(1000))
    np.testing.assert_allclose(velocity, v, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(p, expected, rtol=1e-5, atol=1e-6)


# ---------------------------------------------------------------- what surrounds the kernels
def test_slots_keep_what_is_still_read():
    """Replays the layers on names instead of images."""
    cases = [[None], [None, None, 0], [None, None, 0, None, 2], [None, 0, 0, 1], [None, 0], [None, None, 0, 0, 1]]
    for residuals in cases:
        slots, count = assign_slots(residuals)
        held = {0: "input"}
        for l, residual in enumerate(residuals):
            source = 0 if l == 0 else slots[l - 1]
            assert held[source] == (l - 1 if l else "input") and slots[l] != source
            assert residual is None or held[slots[residual]] == residual
            held[slots[l]] = l
        assert count == max(slots) + 1


def test_residual_towers_need_two_slots():
    assert assign_slots([None, None, 0, None, 2, None, 4])[1] == 2


def test_blocks_fit():
    for rows, cols, planes, channels in NETS:
        block = blocks.choose(rows, cols, planes, channels, slots=2)
        assert block.shared_bytes <= blocks.SHARED_BYTES and block.threads <= 1024
        assert (block.channels // 8) % (2 * block.warps_n) == 0
    assert blocks.choose(19, 19, 17, 128, slots=2) is None  # falls back to one launch per layer
    assert blocks.choose(9, 9, 17, 256, slots=1).channels == 128


@pytest.mark.parametrize("kernel, stride, padding", [(3, 1, "same"), (3, 2, "same"), (1, 1, 0), (5, 1, 2), (2, 2, 0)])
def test_patches(rng, kernel, stride, padding):
    x, w = normal(rng, 2, 7, 6, 3), normal(rng, kernel, kernel, 3, 4)
    y = reference.conv2d(x, w, None, stride, padding)
    g = normal(rng, *y.shape)
    np.testing.assert_allclose(images.conv2d(x, w, None, stride, padding), y, atol=1e-4)
    np.testing.assert_allclose(images.conv2d_grad_input(g, w, x.shape, stride, padding),
                               reference.conv2d_grad_input(g, w, x.shape, stride, padding), atol=1e-4)
    np.testing.assert_allclose(images.conv2d_grad_weight(x, g, w.shape, stride, padding),
                               reference.conv2d_grad_weight(x, g, w.shape, stride, padding), atol=1e-4)


def test_other_dtypes_take_the_generic_route(rng, monkeypatch):
    """On arrays that are not numpy's, as CuPy's would be: what has no kernel must not need one."""
    import fake_cupy

    from nn import backend, cuda

    monkeypatch.setattr(backend, "cupy", lambda: fake_cupy)
    x, w, bias, gamma = rng.normal(size=(2, 4, 5, 3)), rng.normal(size=(3, 3, 3, 6)), rng.normal(size=6), np.ones(6)
    y = reference.conv2d(x, w, bias)
    there = fake_cupy.asarray
    np.testing.assert_allclose(cuda.conv2d(there(x), there(w), there(bias)).get(), y)
    np.testing.assert_allclose(cuda.conv2d_grad_input(there(y), there(w), x.shape).get(),
                               reference.conv2d_grad_input(y, w, x.shape))
    np.testing.assert_allclose(cuda.conv2d_grad_weight(there(x), there(y), w.shape).get(),
                               reference.conv2d_grad_weight(x, y, w.shape))
    normalised = cuda.bn_act_forward(there(y), there(gamma), there(bias))
    expected = reference.bn_act_forward(y, gamma, bias)
    for got, want in zip(normalised, expected, strict=True):
        np.testing.assert_allclose(got.get(), want)
    gradients = cuda.bn_act_backward(there(y), normalised[0], there(y), *normalised[1:], there(gamma), True, True)
    for got, want in zip(gradients, reference.bn_act_backward(y, expected[0], y, *expected[1:], gamma, True, True),
                         strict=True):
        np.testing.assert_allclose(got.get(), want)

"""The bfloat16 kernels for AMX, their tile instructions emulated: same source, no such processor needed.

Figures of speed cannot come from here. The last tests run the real instructions where the processor has them.
"""

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from nn import cpu, reference
from nn.reference import round_bfloat16

HERE = Path(__file__).parent
FLAGS = ["avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512bf16"]
SHAPES = [(1, 1, 1, 1, 1), (3, 9, 9, 17, 64), (2, 6, 7, 33, 40), (1, 19, 19, 3, 16), (5, 2, 5, 64, 7)]


def processor_flags():
    try:
        return set(Path("/proc/cpuinfo").read_text().split("flags", 1)[1].split("\n", 1)[0].replace("_", "").split())
    except (OSError, IndexError):
        return set()


@pytest.fixture(scope="module")
def lib(tmp_path_factory):
    if shutil.which("g++") is None:
        pytest.skip("needs g++ to build the emulated kernels")
    if not {"avx512bf16", "avx512bw"} <= processor_flags():
        pytest.skip("the emulation covers the tile instructions only: the processor needs AVX-512 BF16")
    so = tmp_path_factory.mktemp("amx") / "amx.so"
    options = ["-std=c++17", "-O2", "-shared", "-fPIC", "-pthread", "-Wno-maybe-uninitialized",
               *(f"-m{flag}" for flag in [*FLAGS, "amx-tile", "amx-bf16"]), '-DAMX_EMULATION="amx_emulation.hpp"']
    subprocess.run(["g++", *options, f"-I{HERE}", f"-I{Path(cpu.__file__).parent}", HERE / "amx_driver.cpp", "-o", so],
                   check=True)
    library = ctypes.CDLL(str(so))
    library.amx_tower.restype = ctypes.c_void_p
    return library


def at(array):
    return None if array is None else ctypes.c_void_p(array.ctypes.data)


def operands(n, rows, cols, ci, co):
    rng = np.random.default_rng(n + rows + ci)
    shapes = [(n, rows, cols, ci), (3, 3, ci, co), (co,), (n, rows, cols, co)]
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def error(got, expected):
    return np.linalg.norm(got - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("threads", [1, 2])
def test_convolution_and_weight_gradient(lib, shape, threads):
    n, rows, cols, ci, co = shape
    x, w, bias, g = operands(*shape)
    y, gradient = np.full_like(g, np.nan), np.full_like(w, np.nan)
    lib.amx_conv(at(x), at(w), at(bias), at(y), n, rows, cols, ci, co, threads)
    assert error(y, reference.conv2d(round_bfloat16(x), round_bfloat16(w), bias)) < 1e-6
    lib.amx_grad(at(x), at(g), at(gradient), n, rows, cols, ci, co, threads)
    assert error(gradient, reference.conv2d_grad_weight(round_bfloat16(x), round_bfloat16(g), w.shape)) < 1e-6


def run_tower(lib, layers, x, threads=1, outside=None):
    tower = ctypes.c_void_p(lib.amx_tower(*x.shape[1:3]))
    for w, bias, residual, relu in layers:
        lib.amx_add(tower, at(w), at(bias), w.shape[2], w.shape[3], -1 if residual is None else residual, relu)
    y = np.full((*x.shape[:3], layers[-1][0].shape[3]), np.nan, np.float32)
    lib.amx_run(tower, at(x), at(outside), at(y), len(x), threads)
    lib.amx_delete(tower)
    return y


def layers_of(*shapes):
    rng = np.random.default_rng(5)
    return [((rng.standard_normal((3, 3, a, b)) * np.sqrt(2 / (9 * a))).astype(np.float32),
             rng.standard_normal(b).astype(np.float32) * np.float32(0.1), residual, relu)
            for a, b, residual, relu in shapes]


TOWER = layers_of((5, 40, None, True), (40, 40, None, True), (40, 40, 0, True), (40, 24, None, True), (24, 40, 2, True),
                  (40, 9, None, False))


@pytest.mark.parametrize("rows, cols", [(9, 9), (6, 7), (1, 3), (19, 19)])
def test_tower(lib, rows, cols):
    x = np.random.default_rng(1).random((3, rows, cols, 5), np.float32)
    expected = reference.Tower(TOWER, rows, cols, dtype="float32")(x)
    got = run_tower(lib, TOWER, x)
    assert error(got, expected) < 2e-2
    assert error(got, reference.Tower(TOWER, rows, cols, dtype="bfloat16")(x)) < 5e-3
    np.testing.assert_array_equal(run_tower(lib, TOWER, x, threads=2), got)


def test_a_sum_with_an_array_from_outside(lib):
    rng = np.random.default_rng(1)
    x, outside = rng.random((70, 6, 7, 5), np.float32), rng.standard_normal((70, 6, 7, 40)).astype(np.float32)
    layers = [(w, b, reference.OUTSIDE if residual == 0 else residual, relu) for w, b, residual, relu in TOWER]
    expected = reference.Tower(layers, 6, 7, dtype="bfloat16")(x, outside)
    assert error(reference.Tower(layers, 6, 7, dtype="bfloat16")(x, 0 * outside), expected) > 0.1
    got = run_tower(lib, layers, x, outside=outside)
    assert error(got, expected) < 5e-3
    np.testing.assert_array_equal(run_tower(lib, layers, x, threads=2, outside=outside), got)


def test_board_does_not_depend_on_its_batch(lib):
    x = np.random.default_rng(1).random((40, 3, 3, 5), np.float32)
    whole = run_tower(lib, TOWER, x)
    np.testing.assert_array_equal(run_tower(lib, TOWER, x[7:12].copy()), whole[7:12])


def test_nan_is_not_swallowed(lib):
    x = np.random.default_rng(1).random((2, 4, 4, 5), np.float32)
    x[1, 0, 0, 0] = np.nan
    y = run_tower(lib, TOWER[:3], x)
    assert np.isnan(y[1, 0, 0]).all() and np.isfinite(y[0]).all()


# ---------------------------------------------------------------- this machine, with or without AMX
@pytest.fixture
def bfloat16():
    cpu.set_precision("bfloat16")
    yield
    cpu.set_precision("float32")


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_training_in_bfloat16_rounds_operands_on_every_processor(shape, bfloat16):
    """Within 2e-2 of float32, and up to the order of sums the products of rounded operands."""
    x, w, bias, g = operands(*shape)
    pairs = [
        (cpu.conv2d(x, w, bias), lambda r: reference.conv2d(r(x), r(w), bias)),
        (cpu.conv2d_grad_input(g, w, x.shape), lambda r: reference.conv2d_grad_input(r(g), r(w), x.shape)),
        (cpu.conv2d_grad_weight(x, g, w.shape), lambda r: reference.conv2d_grad_weight(r(x), r(g), w.shape)),
    ]
    for got, expected in pairs:
        assert error(got, expected(lambda a: a)) < 2e-2
        if cpu.isa() != "numpy":
            assert error(got, expected(round_bfloat16)) < 1e-5


def test_a_fused_training_step_in_bfloat16_rounds_too(bfloat16):
    x, w, bias, g = operands(3, 5, 6, 8, 16)
    gamma = np.ones_like(bias)
    y, out, mean, inv_std = cpu.conv_bn_act_forward(x, w, gamma, bias)
    assert error(y, cpu.conv2d(x, w)) == 0
    gx, gw, *_ = cpu.conv_bn_act_backward(g, out, y, mean, inv_std, gamma, x, w)
    gy, *_ = cpu.bn_act_backward(g, out, y, mean, inv_std, gamma)
    assert error(gx, cpu.conv2d_grad_input(gy, w, x.shape)) == 0
    assert error(gw, cpu.conv2d_grad_weight(x, gy, w.shape)) == 0


def test_rounding_keeps_nan():
    nan = np.array([0x7FFFFFFF, 0xFFFFFFFF, 0x7FC00000], np.uint32).view(np.float32)
    assert np.isnan(round_bfloat16(nan)).all()


def test_bfloat16_tower_of_this_machine():
    x = np.random.default_rng(1).random((70, 9, 9, 5), np.float32)
    tower = cpu.Tower(TOWER, 9, 9, dtype="bfloat16")
    assert error(tower(x), reference.Tower(TOWER, 9, 9)(x)) < 2e-2
    if cpu.isa() != "numpy":
        assert tower.kernel == ("amx" if cpu.has_amx() else cpu.isa())

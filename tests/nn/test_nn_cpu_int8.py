"""The compiled 8-bit tower against its numpy definition, which computes with exact integers."""

import numpy as np
import pytest

from nn import cpu, reference
from nn.cpu import _kernels
from nn.int8 import calibrate

pytestmark = pytest.mark.skipif(not _kernels.has_vnni(), reason="this processor has no AVX-512 VNNI")


def stack(*shapes):
    rng = np.random.default_rng(2)
    return [((rng.standard_normal((3, 3, a, b)) * np.sqrt(2 / (9 * a))).astype(np.float32),
             rng.standard_normal(b).astype(np.float32) * np.float32(0.1), residual, relu)
            for a, b, residual, relu in shapes]


STACKS = {
    "residual": stack((17, 64, None, True), (64, 64, None, True), (64, 64, 0, True)),
    "irregular": stack((3, 33, None, True), (33, 33, 0, False), (33, 17, None, True), (17, 33, 0, True),
                       (33, 5, None, False)),
}


def error(got, expected):
    return np.linalg.norm(got - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize("layers", STACKS.values(), ids=STACKS.keys())
@pytest.mark.parametrize("rows, cols", [(9, 9), (6, 7), (1, 1), (2, 19), (15, 14)])
def test_tower(layers, rows, cols):
    x = np.random.default_rng(1).standard_normal((5, rows, cols, layers[0][0].shape[2])).astype(np.float32)
    scales = calibrate(layers, x)
    tower = cpu.Int8Tower(layers, scales, rows, cols, isa="avx512")
    assert tower.kernel == "avx512vnni"
    y = tower(x)
    # A value half-way between two steps may be rounded either way.
    assert error(y, reference.Int8Tower(layers, scales, rows, cols)(x)) < 2e-3
    assert error(y, reference.Tower(layers, rows, cols)(x)) < 0.1
    np.testing.assert_array_equal(cpu.Int8Tower(layers, scales, rows, cols, threads=2, isa="avx512")(x), y)
    np.testing.assert_array_equal(tower(x[3:4]), y[3:4])


def test_a_sum_with_an_array_from_outside():
    rng = np.random.default_rng(1)
    x, outside = (rng.standard_normal((5, 6, 7, c)).astype(np.float32) for c in (17, 64))
    layers = list(STACKS["residual"])
    layers[2] = (*layers[2][:2], reference.OUTSIDE, True)
    scales = calibrate(layers, x, outside)
    tower = cpu.Int8Tower(layers, scales, 6, 7, isa="avx512")
    y = tower(x, outside)
    assert error(y, reference.Int8Tower(layers, scales, 6, 7)(x, outside)) < 2e-3
    assert error(y, reference.Tower(layers, 6, 7)(x, outside)) < 0.1
    assert error(y, reference.Tower(layers, 6, 7)(x, 0 * outside)) > 0.1
    np.testing.assert_array_equal(tower(x[3:4], outside[3:4]), y[3:4])


def test_integers_are_exact():
    """Weights and inputs that are multiples of their scales lose nothing."""
    rng = np.random.default_rng(3)
    x = rng.integers(-127, 128, (2, 4, 4, 20)).astype(np.float32)
    w = rng.integers(-127, 128, (3, 3, 20, 24)).astype(np.float32)
    w[0, 0, 0] = 127
    layers = [(w, np.zeros(24, np.float32), None, False)]
    y = cpu.Int8Tower(layers, [np.float32(1)], 4, 4, isa="avx512")(x)
    np.testing.assert_array_equal(y, reference.conv2d(x.astype(np.float64), w.astype(np.float64)))


def test_nan_is_not_swallowed():
    layers = STACKS["residual"]
    x = np.ones((2, 4, 4, 17), np.float32)
    tower = cpu.Int8Tower(layers, calibrate(layers, x), 4, 4, isa="avx512")
    x[1, 2, 2, 5] = np.nan
    y = tower(x)
    assert np.isnan(y[1]).all() and np.isfinite(y[0]).all()
    with pytest.raises(ValueError, match="expected \\[n, 4, 4, 17\\]"):
        tower(x[:, 1:])


def test_other_instruction_sets_run_the_definition():
    layers, x = STACKS["residual"], np.ones((1, 4, 4, 17), np.float32)
    scales = calibrate(layers, x)
    expected = reference.Int8Tower(layers, scales, 4, 4)(x)
    np.testing.assert_array_equal(cpu.Int8Tower(layers, scales, 4, 4, isa="numpy")(x), expected)

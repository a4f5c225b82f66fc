"""Compiled tower inference against the numpy definition, and its promises about batches and threads."""

import numpy as np
import pytest

from nn import cpu, reference

ISAS = cpu.isas()[:-1]
pytestmark = pytest.mark.skipif(not ISAS, reason="this processor has no compiled kernels")


def residual_tower(planes, channels, blocks, seed=0):
    """A stem and residual blocks, as `nn.cpu.Tower` takes them."""
    rng = np.random.default_rng(seed)

    def conv(ci):
        scale = np.sqrt(2 / (9 * ci))
        return (rng.standard_normal((3, 3, ci, channels)) * scale).astype(np.float32), \
            rng.standard_normal(channels).astype(np.float32) * np.float32(0.1)

    layers = [(*conv(planes), None, True)]
    for _ in range(blocks):
        layers += [(*conv(channels), None, True), (*conv(channels), len(layers) - 1, True)]
    return layers


def boards(n, rows, cols, planes, seed=1):
    return np.random.default_rng(seed).random((n, rows, cols, planes), np.float32)


def error(got, expected):
    return np.linalg.norm(got - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("rows, cols, planes, channels", [(9, 9, 17, 64), (6, 7, 3, 32), (19, 19, 5, 16), (1, 1, 2, 8),
                                                          (3, 3, 4, 20), (2, 11, 1, 33), (8, 8, 12, 96)])
def test_tower(isa, rows, cols, planes, channels):
    layers, x = residual_tower(planes, channels, 2), boards(5, rows, cols, planes)
    exact = [(w.astype(np.float64), b.astype(np.float64), r, a) for w, b, r, a in layers]
    expected, outputs = x.astype(np.float64), []
    for w, b, residual, _ in exact:
        expected = reference.conv2d(expected, w, b) + (outputs[residual] if residual is not None else 0)
        expected = np.maximum(expected, 0)
        outputs.append(expected)
    for threads in (1, 2):
        assert error(cpu.Tower(layers, rows, cols, threads=threads, isa=isa)(x), expected) < 5e-6


@pytest.mark.parametrize("isa", ISAS)
def test_irregular_stack(isa):
    """Changing widths, a linear layer, one output used by two later layers, residuals far apart."""
    rng = np.random.default_rng(3)
    shapes = [(5, 24, None, True), (24, 24, 0, False), (24, 24, 0, True), (24, 10, None, True), (10, 24, 2, True),
              (24, 24, 0, True), (24, 7, None, False)]
    normal = rng.standard_normal
    layers = [(normal((3, 3, a, b)).astype(np.float32) / a, normal(b).astype(np.float32), residual, relu)
              for a, b, residual, relu in shapes]
    x = boards(7, 6, 7, 5)
    assert error(cpu.Tower(layers, 6, 7, isa=isa)(x), reference.Tower(layers, 6, 7)(x)) < 1e-5


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_sum_with_an_array_from_outside(isa, dtype):
    """Also of another width than the input, and over several slices."""
    layers, x, outside = residual_tower(4, 24, 1), boards(70, 6, 7, 4), boards(70, 6, 7, 24, seed=2)
    layers = [(*layers[0][:2], reference.OUTSIDE, True), layers[1], (*layers[2][:2], reference.OUTSIDE, False)]
    expected = reference.Tower(layers, 6, 7)(x, outside)
    assert error(reference.Tower(layers, 6, 7)(x, 0 * outside), expected) > 0.1
    for threads in (1, 2):
        got = cpu.Tower(layers, 6, 7, dtype, threads, isa)(x, outside)
        assert error(got, expected) < 5e-6
        np.testing.assert_array_equal(cpu.Tower(layers, 6, 7, dtype, threads, isa)(x[9:11], outside[9:11]), got[9:11])


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("size", [(9, 9), (6, 7), (3, 3)])
def test_board_does_not_depend_on_its_batch(isa, size):
    layers, x = residual_tower(17, 64, 2), boards(40, *size, 17)
    tower, threaded = (cpu.Tower(layers, *size, threads=t, isa=isa) for t in (1, 2))
    whole = tower(x)
    np.testing.assert_array_equal(threaded(x), whole)
    for first, count in [(0, 1), (17, 1), (3, 2), (5, 13), (1, 39)]:
        np.testing.assert_array_equal(tower(x[first:first + count]), whole[first:first + count])
        np.testing.assert_array_equal(threaded(x[first:first + count]), whole[first:first + count])


def test_inputs_are_checked():
    layers = residual_tower(4, 8, 1)
    tower = cpu.Tower(layers, 5, 5)
    assert tower(boards(0, 5, 5, 4)).shape == (0, 5, 5, 8)
    with pytest.raises(ValueError, match="expected \\[n, 5, 5, 4\\]"):
        tower(boards(1, 5, 6, 4))
    with pytest.raises(ValueError, match="layer 1"):
        cpu.Tower([layers[0], residual_tower(4, 16, 0)[0]], 5, 5)
    with pytest.raises(ValueError, match="residual 1"):
        cpu.Tower([layers[0], (*layers[1][:2], 1, True)], 5, 5)
    tower = cpu.Tower([(*layers[0][:2], reference.OUTSIDE, True)], 5, 5)
    for outside in (None, boards(2, 5, 5, 8), boards(1, 5, 5, 4)):
        with pytest.raises(ValueError, match="expected \\[1, 5, 5, 8\\]"):
            tower(boards(1, 5, 5, 4), outside)
    with pytest.raises(ValueError, match="8, 9"):
        cpu.Tower([(np.ones((3, 3, 8, c)), np.ones(c), reference.OUTSIDE, True) for c in (8, 9)], 5, 5)


def test_numpy_isa_is_the_reference():
    layers, x = residual_tower(4, 8, 1), boards(2, 5, 5, 4)
    tower = cpu.Tower(layers, 5, 5, isa="numpy")
    np.testing.assert_array_equal(tower(x), reference.Tower(layers, 5, 5)(x))


def test_transposed_input():
    layers, x = residual_tower(4, 8, 1), boards(3, 5, 6, 4)
    tower = cpu.Tower(layers, 5, 6)
    np.testing.assert_array_equal(tower(x.transpose(0, 2, 1, 3).copy().transpose(0, 2, 1, 3)), tower(x))

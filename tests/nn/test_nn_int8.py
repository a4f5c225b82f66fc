"""Quantised inference: exact where it can be, close where it must be, and its loss reported."""

import numpy as np
import pytest
from test_nn_infer import DualHead

from nn import infer
from nn.int8 import accuracy_loss, activation_scale, calibrate, quantise, weight_scales
from nn.reference import Int8Tower, Tower, conv2d


def test_quantised_numbers_are_the_nearest():
    x = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    scale = np.abs(x).max() / 127
    assert np.abs(quantise(x, scale) * scale - x).max() <= scale / 2 * 1.001
    assert quantise(np.array([1e9, -1e9, 0.0]), 1.0).tolist() == [127, -127, 0]


def test_scales_are_per_output_channel_and_clip_outliers():
    w = np.random.default_rng(0).normal(size=(3, 3, 2, 4)) * [1, 10, 0, 0.1]
    assert np.abs(quantise(w, weight_scales(w))).reshape(-1, 4).max(0).tolist() == [127, 127, 0, 127]
    x = np.random.default_rng(0).normal(size=50_000)
    x[0] = 40.0
    assert activation_scale(x) < 40 / 127 and activation_scale(np.zeros(5)) > 0
    assert activation_scale(np.array([0.0, 1.0, 1.0])) == pytest.approx(1 / 127)  # binary planes lose nothing


def test_layers_of_whole_numbers_are_exact():
    """Integer activations and weights that need no rounding: the quantised tower is the integer convolution."""
    rng = np.random.default_rng(0)
    x, w = rng.integers(-127, 128, (2, 5, 4, 3)), rng.integers(-127, 128, (3, 3, 3, 2))
    w[0, 0, 0] = 127
    tower = Int8Tower([(w.astype(np.float32), np.zeros(2, np.float32), None, False)], [np.float32(1)], 5, 4)
    expected = conv2d(x, w)  # int64
    np.testing.assert_array_equal(tower(x.astype(np.float32)), expected)


def test_a_wide_tower_keeps_its_sums_exact():
    w = np.full((3, 3, 256, 1), 127.0, np.float32)
    x = np.full((1, 3, 3, 256), 127.0, np.float32)
    x[0, 1, 1, 0] = 126
    tower = Int8Tower([(w, np.zeros(1, np.float32), None, False)], [np.float32(1)], 3, 3)
    assert tower(x)[0, 1, 1, 0] == np.float32(9 * 256 * 127 * 127 - 127)


def test_a_residual_tower_is_close_to_float():
    rng = np.random.default_rng(0)
    layers = [
        (rng.normal(size=(3, 3, ci, 16)).astype(np.float32) * 0.1, rng.normal(size=16).astype(np.float32), skip, True)
        for ci, skip in ((3, None), (16, None), (16, 0))
    ]
    x = rng.uniform(size=(20, 6, 5, 3)).astype(np.float32)
    exact = Tower(layers, 6, 5)(x)
    quantised = Int8Tower(layers, calibrate(layers, x), 6, 5)(x)
    assert np.linalg.norm(quantised - exact) < 0.02 * np.linalg.norm(exact)


def test_a_whole_network_and_its_loss():
    rng = np.random.default_rng(0)
    net = DualHead(rng, channels=16)
    samples, others = ((rng.uniform(size=(n, 6, 5, 3)) > 0.5).astype(np.float32) for n in (64, 200))
    exact = infer.compile(net, (6, 5, 3))
    plan = infer.compile(net, (6, 5, 3), dtype="int8", calibration=samples)
    policy, value = accuracy_loss(plan, exact, others)
    assert 0 < policy.relative_error < 0.05 and policy.same_choice > 0.85
    assert value.largest_error < 0.1 and value.same_choice == 1.0
    assert accuracy_loss(exact, exact, others)[0].relative_error == 0


def test_what_is_missing_is_said():
    net = DualHead(np.random.default_rng(0))
    with pytest.raises(ValueError, match="needs calibration samples"):
        infer.compile(net, (6, 5, 3), dtype="int8")
    with pytest.raises(ValueError, match="dtype 'int4'"):
        infer.compile(net, (6, 5, 3), dtype="int4")

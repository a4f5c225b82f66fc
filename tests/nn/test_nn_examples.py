"""The examples run and learn what they say."""

import importlib.util
import time
from pathlib import Path

import numpy as np
import pytest


def load(name):
    path = Path(__file__).parents[2] / "examples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_linear_regression_finds_the_least_squares_solution(capsys):
    example = load("linear_regression")
    x, y = example.samples(np.random.default_rng(1), 300)
    weight, bias = example.fit(x, y, steps=600)
    exact = np.linalg.lstsq(np.column_stack([x, np.ones(len(x))]), y, rcond=None)[0]
    np.testing.assert_allclose([*weight, bias], exact, atol=1e-6)
    example.main()
    assert "least squares" in capsys.readouterr().out


def test_digits_above_98_percent_within_a_minute():
    pytest.importorskip("sklearn")
    digits = load("digits")
    (x, y), (test_x, test_y) = digits.load_digits()
    net = digits.Net(np.random.default_rng(0))
    start = time.process_time()
    digits.train(net, x, y, report=lambda line: None)
    assert time.process_time() - start < 60
    p = digits.probabilities(net, test_x)
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)
    assert (p.argmax(1) == test_y).mean() > 0.98


def test_digits_trained_as_a_graph_go_the_same_way():
    pytest.importorskip("sklearn")
    digits = load("digits")
    (x, y), _ = digits.load_digits()
    losses = []
    for as_graph in (False, True):
        net = digits.Net(np.random.default_rng(0))
        losses.append(digits.train(net, x[:256], y[:256], as_graph, epochs=2, report=lambda line: None))
    eager, graph = losses
    np.testing.assert_allclose(graph, eager, rtol=1e-4)
    assert np.mean(eager[-4:]) < np.mean(eager[:4])

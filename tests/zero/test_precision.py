"""`network.precision`: what learning and playing round, and that it is nobody else's business."""

from dataclasses import replace

import numpy as np
import pytest
from random_batches import batches, make_config

from nn import cpu, infer
from zero.evaluator import NetworkEvaluator
from zero.games import make_game
from zero.learner import Learner
from zero.network import Network

GAME = make_game("connect4")
EXACT = make_config("connect4", ema=0.0)
ROUNDED = replace(EXACT, network=replace(EXACT.network, precision="bfloat16"))


@pytest.fixture(autouse=True)
def as_before():
    yield
    cpu.set_precision("float32")


def weights_after_a_step(config):
    learner = Learner(GAME, config)
    losses = learner.step(batches(EXACT, 1)[0], progress=0.0)
    return losses.parts["policy"], learner.parameters[0].numpy().copy()


def test_learning_rounds_as_its_own_config_says():
    loss, weights = weights_after_a_step(EXACT)
    rounded_loss, rounded = weights_after_a_step(ROUNDED)
    assert rounded_loss != loss and abs(rounded_loss - loss) < 0.02
    assert not np.array_equal(rounded, weights) and np.abs(rounded - weights).max() < 0.02
    again, same = weights_after_a_step(EXACT)  # a learner before it leaves nothing behind
    assert again == loss and np.array_equal(same, weights)


@pytest.mark.parametrize("config", (EXACT, ROUNDED))
def test_playing_asks_for_the_kernels_of_its_network(config, monkeypatch):
    asked, compiled = [], infer.compile
    monkeypatch.setattr(infer, "compile", lambda *args, dtype, **more: (
        asked.append(dtype), compiled(*args, dtype=dtype, **more))[1])
    NetworkEvaluator(Network(GAME, config.network, np.random.default_rng(0)).eval(), GAME)
    assert asked == [config.network.precision]

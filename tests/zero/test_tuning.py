"""Games in lockstep as measured: the right number for known speeds, and runs that do not depend on it."""

import json
import time

import numpy as np
import pytest
from tiny_run import SETTINGS, games, train

from zero import tuning
from zero.backends import WorkerDied
from zero.backends.inline import InlineBackend, InlineCall
from zero.config import Config, from_table
from zero.games import make_game
from zero.network import Network, save_network
from zero.resources import Resources
from zero.tuning import Tuner, Tuning, candidates, choose, enough
from zero.weights import Weights

MEASURED = SETTINGS | {"selfplay": SETTINGS["selfplay"] | {"lanes": 0}}
CONFIG = from_table(Config, MEASURED, "test")


@pytest.fixture
def network(tmp_path):
    path = tmp_path / "net.safetensors"
    save_network(path, Network(make_game("tictactoe"), CONFIG.network, np.random.default_rng(0)), "tictactoe")
    return Weights.read(path, version=0)


def test_the_fewest_lanes_that_are_nearly_the_fastest():
    assert list(candidates(100)) == [8, 16, 32, 64, 100] and list(candidates(3)) == [3]
    assert choose({8: 100.0, 16: 180.0, 32: 300.0, 64: 310.0, 128: 290.0}) == 32
    assert not enough([100, 200, 250]) and not enough([100, 90]) and enough([100, 101, 99]) and enough([100, 80, 60])


@pytest.mark.parametrize("groups", [1, 2])
def test_a_rate_is_what_the_network_takes(network, groups, monkeypatch):
    """By a clock on which nothing takes time but the network, 4 ms for any batch: more lanes, a higher rate."""
    now = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    tuner = Tuner(CONFIG, Resources(lanes=4, groups=groups))
    tuner.load(network)
    answer = tuner._evaluate

    def slow(planes, legal):
        nonlocal now
        now += 0.004
        return answer(planes, legal)

    tuner._evaluate = slow
    rates = [tuner.measure(lanes, 0.2) for lanes in (4, 16)]
    assert 0.5 * 4 / 0.004 < rates[0] < 1.001 * 4 / 0.004
    assert 0.5 * 16 / 0.004 < rates[1] < 1.001 * 16 / 0.004
    assert tuner._evaluate is slow


def test_a_run_measures_once_and_is_the_same_run(unbroken, tmp_path, monkeypatch):
    """Measured: 1 group of up to 12 lanes, half the games of an iteration. Resumed, it remembers."""
    rates = {8: 100.0, 12: 120.0}
    asked = []
    monkeypatch.setattr(Tuner, "measure", lambda self, lanes, seconds: asked.append(lanes) or rates[lanes])
    run = train(tmp_path / "run", **MEASURED | {"budget": {"games": 48}})
    assert asked == [8, 12]
    assert [(line["lanes"], line["groups"]) for line in run.metrics()] == [(12, 1)] * 2
    stored = json.loads((run.root / "tuning.json").read_text())
    assert stored["lanes"] == 12 and stored["evaluations_per_s"] == {"8": 100, "12": 120}
    run.change_budget({"games": 96})
    run = train(run.root)
    assert len(asked) == 2 and [line["lanes"] for line in run.metrics()] == [12] * 4
    assert sorted(games(run)) == list(range(96))
    assert {i: game for i, game in games(run).items() if i < 24} == {i: g for i, g in games(unbroken).items() if i < 24}


def test_a_run_on_another_machine_measures_again(network, tmp_path, monkeypatch):
    monkeypatch.setattr(Tuner, "measure", lambda self, lanes, seconds: float(lanes))
    path, said = tmp_path / "tuning.json", []

    def lanes(workers):
        return Tuning(path, CONFIG, Resources(), workers).lanes(InlineBackend(), network, lambda: None, said.append)

    assert lanes(1) == 12 and lanes(1) == 12 and len(said) == 1
    assert lanes(3) == 4 and len(said) == 2
    path.write_text('{"lanes": 1')
    assert lanes(1) == 12 and len(said) == 3


def test_a_worker_that_dies_measuring_stops_nothing(network, tmp_path):
    class Dying(InlineBackend):
        def call(self, handle, method, *args):
            return InlineCall(handle, error=WorkerDied("a worker died"))

    said = []
    found = Tuning(tmp_path / "t.json", CONFIG, Resources(), 1).lanes(Dying(), network, lambda: None, said.append)
    assert found == Resources().lanes and "a worker died" in said[0] and not (tmp_path / "t.json").exists()


def test_a_real_measurement_is_short(network, tmp_path, monkeypatch):
    monkeypatch.setattr(tuning, "SECONDS", 0.1)
    began, said = time.monotonic(), []
    found = Tuning(tmp_path / "t.json", CONFIG, Resources(), 1).lanes(
        InlineBackend(), network, lambda: None, said.append)
    assert found in (8, 12) and time.monotonic() - began < 10 and "evaluations/s" in said[0]

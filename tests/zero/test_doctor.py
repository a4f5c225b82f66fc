"""The doctor finds what is wrong, and says at which position."""

import itertools

import numpy as np
import pytest

from mcts_ext.games import make
from nn import backend
from zero import doctor, doctor_evaluation
from zero.config import NetworkConfig
from zero.evaluator import NetworkEvaluator, plain_evaluator
from zero.network import Network, save_network

TINY = NetworkConfig(blocks=1, channels=8, policy_channels=2, value_channels=2, value_hidden=8)


def random_states(name):
    games = doctor.random_games(make(name), 2, np.random.default_rng(1))
    return [state for states, _ in games for state in states[:-1]]


@pytest.mark.parametrize("name", ["tictactoe", "go3", "hex3?swap=true", "othello6"])
def test_sound_games_pass(name):
    game = make(name)
    for check in itertools.chain(doctor.examine(game), doctor_evaluation.examine_evaluation(game)):
        assert check.fault is None, check


def test_an_evaluator_that_says_two_things_of_one_position_is_found_by_the_cache_check(monkeypatch):
    rng = np.random.default_rng(0)
    monkeypatch.setattr(doctor, "stand_in", lambda game, _: lambda planes, legal: (
        rng.standard_normal(legal.shape).astype(np.float32), rng.uniform(-1, 1, len(planes)).astype(np.float32)))
    with pytest.raises(doctor.Fault, match=r"evaluation cache, at this position:\n(.|\n)*\. \. \."):
        doctor.check_cache(make("connect4"), rng)


def test_the_first_position_of_a_disagreement_is_shown():
    states = random_states("tictactoe")
    exact = plain_evaluator(Network(make("tictactoe"), TINY, np.random.default_rng(0)).eval())
    bad = states[3].encode()

    def wrong(planes, legal):
        logits, values = exact(planes, legal)
        return logits, values + 0.1 * np.array([np.array_equal(position, bad) for position in planes], np.float32)

    doctor_evaluation.compare(exact, exact, states, 1e-6)
    with pytest.raises(doctor.Fault) as fault:
        doctor_evaluation.compare(wrong, exact, states, 1e-3)
    assert "value" in str(fault.value) and str(states[3]) in str(fault.value)


def test_a_network_file_and_the_card(tmp_path, monkeypatch):
    game = make("tictactoe")
    network = Network(game, TINY, np.random.default_rng(0))
    save_network(tmp_path / "net.safetensors", network, game.full_name)

    def examined():
        return {check.name: check for check in doctor_evaluation.examine_network(tmp_path / "net.safetensors")}

    assert all(check.fault is None for check in examined().values())
    if backend.cupy() is None:
        assert "NVIDIA" in examined()["card against processor"].skipped
    monkeypatch.setattr(doctor_evaluation, "_on_card", NetworkEvaluator)
    assert examined()["card against processor"] == doctor.Check("card against processor")
    other = NetworkEvaluator(Network(game, TINY, np.random.default_rng(1)).eval(), game)
    monkeypatch.setattr(doctor_evaluation, "_on_card", lambda network, game: other)
    assert "position:\n   a b c\n" in examined()["card against processor"].fault

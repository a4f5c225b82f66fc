"""Groups of games that search while others are evaluated: really at the same time, and nothing else changes."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from tiny_run import SETTINGS

from mcts_ext.result import EvaluationError
from zero.config import Config, from_table
from zero.games import make_game
from zero.network import Network, save_network
from zero.overlap import SameThread, play_in_turns
from zero.resources import Resources
from zero.selfplay import SelfPlayWorker
from zero.weights import Weights


def test_an_evaluation_goes_on_while_the_other_group_searches():
    """Each evaluation waits until the other player searches: without overlap it would wait in vain."""
    searches = [threading.Event() for _ in range(2)]
    answers = []

    def player(me):
        for turn in range(3):
            searches[me].set()
            answers.append((me, turn, (yield me, turn)))

    def evaluate(me, turn):
        met = searches[1 - me].wait(10)
        searches[1 - me].clear()
        return met

    with ThreadPoolExecutor(1) as executor:
        play_in_turns([player(0), player(1)], evaluate, executor)
    assert answers == [(me, turn, True) for turn in range(3) for me in range(2)]


@pytest.mark.parametrize("executor", [SameThread(), ThreadPoolExecutor(1)])
def test_the_fault_of_an_evaluation_ends_all_players(executor):
    closed = []

    def player(me):
        try:
            for turn in range(3):
                yield me, turn
        finally:
            closed.append(me)

    def evaluate(me, turn):
        if (me, turn) == (1, 1):
            raise EvaluationError("NaN")

    with pytest.raises(EvaluationError):
        play_in_turns([player(0), player(1)], evaluate, executor)
    assert sorted(closed) == [0, 1]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    config = from_table(Config, SETTINGS, "test")
    path = tmp_path_factory.mktemp("weights") / "net.safetensors"
    save_network(path, Network(make_game("tictactoe"), config.network, np.random.default_rng(0)), "tictactoe")
    return Weights.read(path, version=0)


def played(weights, resources, **selfplay):
    config = from_table(Config, SETTINGS | {"selfplay": SETTINGS["selfplay"] | selfplay}, "test")
    worker, records = SelfPlayWorker(config, resources), []
    worker.load(weights)
    report = worker.play(0.02, list(range(40)))
    while True:
        assert 0 <= report.search_seconds <= report.seconds and report.network_seconds <= report.seconds
        records += report.records
        if not report.unfinished:
            return sorted(records)
        report = worker.play(0.02, [])


@pytest.mark.parametrize("selfplay", [{}, {"cache": 1000}, {"full_share": 0.5, "fast_sims": 2}])
def test_games_do_not_depend_on_groups_lanes_or_threads(weights, selfplay):
    one = Resources(lanes=8)
    expected = played(weights, one, **selfplay)
    assert len(set(expected)) == 40
    for other in ({"groups": 2}, {"groups": 3, "lanes": 5, "threads": 2}, {"lanes": 1}):
        assert played(weights, replace(one, **other), **selfplay) == expected


def test_a_worker_goes_on_after_a_fault(weights):
    """The searches that were under way are ended, in both groups."""
    config = from_table(Config, SETTINGS, "test")
    worker = SelfPlayWorker(config, Resources(lanes=4, groups=2))
    worker.load(weights)
    network, calls = worker._evaluate, iter(range(100))

    def faulty(planes, legal):
        logits, values = network(planes, legal)
        return (logits * np.float32("nan"), values) if next(calls) == 5 else (logits, values)

    worker._evaluate = faulty
    with pytest.raises(EvaluationError):
        worker.play(60, list(range(8)))
    worker._evaluate = network
    worker.load(weights)
    assert len(worker.play(60, list(range(8))).records) == 8

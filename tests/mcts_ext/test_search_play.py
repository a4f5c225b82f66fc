"""What surrounds a search in play: limits, clocks, pondering, schedules, resignation, checked evaluators."""
import random
import threading

import numpy as np
import pytest
from search_helpers import network, searched

from mcts_ext import limits
from mcts_ext.evaluators import Disagreement, check
from mcts_ext.games import make
from mcts_ext.playout_cap import PlayoutCap
from mcts_ext.ponder import WITHOUT_END, Ponder
from mcts_ext.resign import PlayedOut, Resignation, calibrated, false_resignations
from mcts_ext.search import Search
from mcts_ext.temperature import Temperature


def limited(stop, sims=10_000, evaluate=network, moves="", options=None):
    search = Search(make("connect4"), 1, options, seed=1)
    for move in moves:
        search.play(0, search.game.text_to_action(move))
    search.start(0, sims, noise=False)
    search.run(evaluate, stop=stop)
    assert search.active == []
    return search.result(0)


class FakeClock:
    """Each look at it takes one second."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 1
        return self.now


@pytest.mark.parametrize("evaluate", [network, "uniform", "rollout"])
def test_limits(evaluate):
    small = 1 if callable(evaluate) else 32
    by_count = limited(limits.simulations(100), evaluate=evaluate).simulations
    assert 100 <= by_count < 100 + small
    by_time = limited(limits.seconds(20.5, FakeClock()), evaluate=evaluate).simulations
    assert by_time == pytest.approx(20 * small, abs=small)
    both = limits.any_of(limits.simulations(1000), limits.seconds(3.5, FakeClock()))
    assert limited(both, evaluate=evaluate).simulations < by_time
    assert limited(limits.any_of(), sims=100, evaluate=evaluate).simulations == 100


def test_a_decided_search_ends_early_with_the_same_move():
    whole = limited(None, sims=2000, evaluate="uniform", moves="414141")
    early = limited(limits.decided(), sims=2000, evaluate="uniform", moves="414141")
    assert early.best == whole.best == 3
    assert 1000 < early.simulations < 1500
    gumbel = limited(limits.decided(), sims=2000, evaluate="uniform", moves="414141", options={"root": "gumbel"})
    assert gumbel.simulations == 2000


def test_a_limit_that_fails_ends_the_search():
    search = searched()
    search.start(0, 100)
    with pytest.raises(ZeroDivisionError):
        search.run(network, stop=lambda search, slot: 1 / 0)
    assert search.active == [] and search.result(0).visits.sum() > 100


def test_a_clock_is_never_overdrawn():
    remaining = 60.0
    for _ in range(500):
        share = limits.clock_share(remaining)
        assert 0 <= share < remaining or share == remaining == 0 or remaining <= 0.05 and share == 0
        remaining -= share
    assert remaining > 0
    assert limits.clock_share(60) == pytest.approx(2, rel=0.01)
    assert limits.clock_share(60, increment=10) > 10
    assert limits.clock_share(0.5, increment=10) == pytest.approx(0.45)
    assert limits.clock_share(0.0) == 0


def test_pondering_searches_until_it_is_stopped():
    search = searched(sims=10)
    reached = threading.Event()

    def watched(planes, legal):
        if search.progress(0)[0] > 200:
            reached.set()
        return network(planes, legal)
    with Ponder(search, 0, watched):
        assert reached.wait(10)
    result = search.result(0)
    assert 200 < result.simulations < WITHOUT_END and search.active == []
    reply = int(result.visits.argmax())
    search.play(0, reply)
    assert search.result(0).visits.sum() == result.visits[reply] - 1
    # A search after it is a search like any other.
    search.start(0, 50, noise=False)
    search.run(network)
    assert search.result(0).simulations == 50


@pytest.mark.parametrize("evaluate", ["uniform", network])
def test_pondering_may_end_at_once_again_and_again(evaluate):
    search = searched(sims=0)
    for _ in range(30):
        Ponder(search, 0, evaluate).stop()
        search.start(0, 5)
        search.run("uniform")
        assert search.result(0).simulations == 5


def test_pondering_tells_of_a_failing_evaluator():
    asked = threading.Event()

    def fail(planes, legal):
        asked.set()
        raise OSError("the network is gone")
    search = Search(make("connect4"), 1, seed=1)
    ponder = Ponder(search, 0, fail)
    assert asked.wait(10)
    with pytest.raises(OSError, match="the network is gone"):
        ponder.stop()


def test_temperature_schedules():
    step = Temperature(initial=1.0, final=0.0, plies=30)
    assert [step(ply) for ply in (0, 29, 30, 100)] == [1, 1, 0, 0]
    smooth = Temperature(initial=0.8, final=0.2, half_life=19)
    assert smooth(0) == 0.8 and smooth(19) == pytest.approx(0.5) and smooth(38) == pytest.approx(0.35)
    assert smooth(10_000) == pytest.approx(0.2)
    with pytest.raises(ValueError, match="temperature.initial = -1"):
        Temperature(initial=-1)


def test_playout_cap():
    cap = PlayoutCap(full=600, fast=100, full_probability=0.25)
    draws = [cap.draw(random.Random(seed)) for seed in range(2000)]
    assert set(draws) == {(600, True), (100, False)}
    assert np.mean([full for _, full in draws]) == pytest.approx(0.25, abs=0.04)
    assert PlayoutCap(full=50).draw(random.Random(1)) == (50, True)
    for wrong in ({"fast": 700}, {"full_probability": 0.0}, {"fast": -1}):
        with pytest.raises(ValueError, match="playout cap"):
            PlayoutCap(**{"full": 600, **wrong})


def test_resignation_waits_for_the_players_own_values():
    rule = Resignation(threshold=-0.9, moves=2)
    players = [0, 1, 0, 1, 0, 1]
    assert rule.ply(players, [-1, 1, -0.95, 1, 0, 0]) == 2
    assert rule.ply(players, [-1, 1, -0.5, 1, -1, 1]) is None
    assert rule.ply(players, [0, -1, 0, -0.9, 0, -1]) is None
    with pytest.raises(ValueError, match="resign.threshold"):
        Resignation(threshold=0.5)


def test_false_resignations_are_counted_and_calibrated():
    """Player 0 falls to -0.8 in games that it loses, and to -0.6 in some that it wins."""
    lost = PlayedOut([0, 1] * 3, [-0.1, 0.1, -0.8, 0.8, -0.8, 0.8], winner=1)
    turned = PlayedOut([0, 1] * 3, [-0.6, 0.6, -0.6, 0.6, 0.9, -0.9], winner=0)
    drawn = PlayedOut([0, 1] * 3, [-0.7, 0.1, -0.7, 0.1, 0.0, 0.0], winner=None)
    games = [lost] * 90 + [turned] * 9 + [drawn] * 1
    assert false_resignations(Resignation(-0.75, 2), games) == (0, 90)
    assert false_resignations(Resignation(-0.5, 2), games) == (10, 100)
    assert false_resignations(Resignation(-0.65, 2), games) == (1, 91)
    found = calibrated(Resignation(moves=2), games, most_wrong=0.05)
    assert -0.7 <= found.threshold <= -0.6
    assert calibrated(Resignation(moves=2), [turned], most_wrong=0.05).threshold == -1


def test_checked_evaluators():
    searched(sims=30, evaluate=check(network, network))

    def louder(planes, legal):
        logits, values = network(planes, legal)
        return logits + 5, values                 # the same policy
    searched(sims=30, evaluate=check(louder, network))

    def wrong_policy(planes, legal):
        logits, values = network(planes, legal)
        return 1.1 * logits, values

    def wrong_value(planes, legal):
        logits, values = network(planes, legal)
        return logits, values * np.float32(0.9)

    def nan(planes, legal):
        logits, values = network(planes, legal)
        return logits * np.nan, values
    for evaluate, what in ((wrong_policy, "policy"), (wrong_value, "value"), (nan, "policy")):
        with pytest.raises(Disagreement, match=f"{what} of position 0 of 1"):
            searched(sims=30, evaluate=check(evaluate, network))

"""Proofs are sound: what the solver says is what exhaustive minimax says."""
import itertools

import numpy as np
import pytest
from minimax import action_values, all_positions, endgames, negamax, one_of_each_kind
from search_helpers import network, searched

from mcts_ext.games import make
from mcts_ext.result import UNPROVEN
from mcts_ext.search import Search


def assert_sound(result, values):
    """values: of each legal action, by minimax."""
    for action, value in values.items():
        assert result.proven[action] in (value, UNPROVEN)
    assert result.proven_value in (max(values.values()), None)
    if result.proven_value is not None:
        assert values[result.best] == result.proven_value == result.value


@pytest.mark.parametrize("transpositions", [False, True])
def test_every_tictactoe_position_is_solved(transpositions):
    known = {}
    search = Search(make("tictactoe"), 1, {"solver": True, "transpositions": transpositions}, seed=1)
    for state in one_of_each_kind(all_positions(make("tictactoe"))):
        search.reset(0, state)
        search.start(0, 1_000_000, noise=False)
        search.run("uniform")
        result = search.result(0)
        assert_sound(result, action_values(state, known))
        assert result.proven_value == negamax(state, known)
        assert search.active == [] and result.simulations < 1_000_000


def test_won_connect_four_endgames_are_proved():
    known, proved = {}, 0
    search = Search(make("connect4"), 1, {"solver": True}, seed=1)
    for state in endgames(make("connect4"), 120, empty=12):
        if negamax(state, known) != 1:
            continue
        search.reset(0, state)
        search.start(0, 100_000, noise=False)
        search.run("uniform")
        result = search.result(0)
        assert result.proven_value == 1 and action_values(state, known)[result.best] == 1
        proved += 1
    assert proved > 40


NAMES = ("root", "interior", "transpositions", "leaves", "choose", "forced_playouts")
COMBINED = [dict(zip(NAMES, values, strict=True))
            for values in itertools.product(("puct", "gumbel"), ("puct", "gumbel"), (False, True), (1, 4),
                                            ("visits", "lcb"), (0.0, 2.0))]


@pytest.mark.parametrize("options", COMBINED, ids=lambda options: "-".join(str(value) for value in options.values()))
def test_proofs_are_sound_with_every_other_option(options):
    known = {}
    search = Search(make("connect4"), 12, {"solver": True, **options}, seed=2)
    positions = endgames(make("connect4"), 12, empty=9, seed=7)
    for i, state in enumerate(positions):
        search.reset(i, state)
        search.start(i, 400)
    search.run(network)
    solved = 0
    for i, state in enumerate(positions):
        result = search.result(i)
        assert_sound(result, action_values(state, known))
        assert result.policy.sum() == pytest.approx(1, abs=1e-5)
        solved += result.proven_value is not None
    assert solved > 6


def test_the_policy_target_leaves_out_what_is_proven_worse():
    result = searched("connect4", 400, {"solver": True}, "uniform", "414141").result(0)
    assert result.proven_value == 1 and result.best == 3
    np.testing.assert_array_equal(result.policy, np.eye(7)[3])
    # Every answer but the block loses at once.
    result = searched("connect4", 2000, {"solver": True}, "uniform", "41414").result(0)
    assert result.best == 3 and result.policy[3] == 1
    assert (np.delete(result.proven, 3) == -1).all()


def test_a_solved_root_needs_no_more_simulations():
    search = searched("connect4", 400, {"solver": True}, "uniform", "414141")
    search.start(0, 400)
    assert search.active == []
    search.run("uniform")
    assert search.result(0).proven_value == 1


def test_without_the_solver_nothing_is_proven():
    result = searched("connect4", 2000, {}, "uniform", "414141").result(0)
    assert result.proven_value is None and (result.proven == UNPROVEN).all()

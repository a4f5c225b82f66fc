"""Proofs are sound: what the solver says is what exhaustive minimax says."""
import itertools

import numpy as np
import pytest
from minimax import action_values, all_positions, endgames, negamax, one_of_each_kind
from search_helpers import network, same, searched

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


@pytest.mark.parametrize("proof_moves", [0, 20])
@pytest.mark.parametrize("transpositions", [False, True])
def test_every_tictactoe_position_is_solved(transpositions, proof_moves):
    known, options = {}, {"solver": True, "transpositions": transpositions, "proof_moves": proof_moves}
    search = Search(make("tictactoe"), 1, options, seed=1)
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


NAMES = ("root", "interior", "transpositions", "leaves", "choose", "forced_playouts", "proof_moves")
COMBINED = [dict(zip(NAMES, values, strict=True))
            for values in itertools.product(("puct", "gumbel"), ("puct", "gumbel"), (False, True), (1, 4),
                                            ("visits", "lcb"), (0.0, 2.0), (0, 100))]


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
    result = searched("connect4", 2000, {"proof_moves": 1000}, "uniform", "414141").result(0)
    assert result.proven_value is None and (result.proven == UNPROVEN).all()


# ---- proof_moves

PROVER = {"solver": True, "proof_moves": 100_000}


def counting(rows):
    """The network, which notes how many positions it was asked about."""
    def evaluate(planes, legal):
        rows.append(len(planes))
        return network(planes, legal)
    return evaluate


@pytest.mark.parametrize("name, empty", [("connect4", 10), ("othello6", 7), ("gomoku5", 6), ("hex4", 7)])
def test_the_network_is_asked_only_about_the_root_if_every_move_is_proved(name, empty):
    """Othello passes, so that a child may have the same player to move."""
    known, game = {}, make(name)
    for state in endgames(game, 10, empty):
        rows, values = [], {}
        for action, value in action_values(state, known).items():
            values[action] = (value > 0) - (value < 0)
        search = Search(game, 1, PROVER, seed=1)
        search.reset(0, state)
        search.start(0, 1000)
        search.run(counting(rows))
        assert_sound(search.result(0), values)
        assert search.result(0).proven_value is not None and rows == [1]


def test_a_position_reached_by_a_proof_gets_a_search_of_its_own():
    known = {}
    search = Search(make("connect4"), 1, PROVER, seed=1)
    for state in endgames(make("connect4"), 20, empty=8, seed=3):
        search.reset(0, state)
        while not state.terminal:
            search.start(0, 100, noise=False)
            search.run(network)
            result, values = search.result(0), action_values(state, known)
            assert_sound(result, values)
            assert result.proven_value == max(values.values()) and result.visits.sum() > 0
            assert result.policy[[action for action in values if values[action] < result.value]].sum() == 0
            state.play(result.best)
            search.play(0, result.best)


def test_what_a_game_proved_is_forgotten_by_the_next():
    """Else a game would not repeat: what little a proof may cost suffices for more where the table helps."""
    game, options = make("connect4"), {"solver": True, "proof_moves": 60}
    used = Search(game, 1, options)
    for state in endgames(game, 10, empty=18):
        fresh = Search(game, 1, options)
        for search, times in ((used, 2), (fresh, 1)):
            for _ in range(times):
                search.reset(0, state, seed=7)
                search.start(0, 50)
                search.run(network)
        assert same(used.result(0), fresh.result(0))

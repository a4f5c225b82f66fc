"""Proofs by alpha-beta agree with exhaustive minimax and the Connect Four solver, and keep to their budget."""

import numpy as np
import pytest
from minimax import action_values, all_positions, negamax

from mcts_ext.connect4_solver import Solver
from mcts_ext.endgame import Endgame
from mcts_ext.games import make
from mcts_ext.result import UNPROVEN

PLENTY = 10**9


def after_random_plies(game, count, plies):
    """`count` positions that are not over."""
    rng, found = np.random.default_rng(0), []
    while len(found) < count:
        state = game.new_state()
        for _ in range(plies):
            if not state.terminal:
                state.play(int(rng.choice(state.legal_actions())))
        if not state.terminal:
            found.append(state)
    return found


def test_every_tictactoe_position():
    game = make("tictactoe")
    endgame, known = Endgame(game), {}
    for state in all_positions(game):
        assert endgame.value(state, PLENTY) == negamax(state, known)
        values = endgame.values(state, PLENTY)
        assert {int(a): int(values[a]) for a in np.flatnonzero(values != UNPROVEN)} == action_values(state, known)


@pytest.mark.parametrize("table_bits", [8, 16])  # a small table loses positions, but never the truth
def test_connect_four_endgames(table_bits):
    game = make("connect4")
    endgame, solver = Endgame(game, table_bits), Solver()
    for state in after_random_plies(game, 60, 26) + after_random_plies(game, 10, 20):
        assert endgame.value(state, PLENTY) == solver.value(state)


@pytest.mark.parametrize("name, plies", [("othello6", 24), ("hex4", 5), ("gomoku5", 16), ("breakthrough5", 24)])
def test_games_of_every_kind_against_minimax(name, plies):
    """Othello passes, Breakthrough's length varies, Hex knows no draw."""
    game = make(name)
    endgame, known = Endgame(game), {}
    for state in after_random_plies(game, 8, plies):
        value = negamax(state, known)
        assert endgame.value(state, PLENTY) == (value > 0) - (value < 0)


def test_a_proof_keeps_to_its_budget():
    game = make("connect4")
    endgame = Endgame(game)
    assert endgame.value(game.new_state(), 10_000) is None
    assert (endgame.values(game.new_state(), 10_000) == UNPROVEN).all()
    state = after_random_plies(game, 1, 26)[0]
    assert endgame.value(state, PLENTY) == Solver().value(state)  # an unfinished proof has left nothing wrong


def test_a_cleared_table_starts_anew():
    state = after_random_plies(make("connect4"), 1, 26)[0]
    endgame = Endgame(state.game)
    needed = next(moves for moves in range(10, 10**6, 10) if Endgame(state.game).value(state, moves) is not None)
    endgame.value(state, PLENTY)
    assert endgame.value(state, 1) is not None
    endgame.clear()
    assert endgame.value(state, needed - 10) is None
    endgame.clear()
    assert endgame.value(state, needed) is not None


def test_a_state_of_another_game_is_refused():
    with pytest.raises(ValueError, match="a state of tictactoe, this solver is for connect4"):
        Endgame(make("connect4")).value(make("tictactoe").new_state(), 1)

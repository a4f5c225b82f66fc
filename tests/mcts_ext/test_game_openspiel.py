"""Move by move against OpenSpiel's rules: legal moves, the player to move, the end, the result."""
import functools
import random

import pytest

from mcts_ext import games

pyspiel = pytest.importorskip("pyspiel")

# Our game, its settings, OpenSpiel's game. Actions have the same numbers, but for Breakthrough's.
PAIRS = {
    "tictactoe": ({}, "tic_tac_toe"),
    "connect4": ({}, "connect_four"),
    "othello8": ({}, "othello"),
    "go5": ({"komi": 0.5}, "go(board_size=5,komi=0.5)"),
    "go9": ({}, "go(board_size=9,komi=7.5)"),
    "go19": ({}, "go(board_size=19,komi=7.5)"),
    "gomoku15": ({}, "gomoku"),
    "gomoku9": ({"line": 4}, "gomoku(size=9,connect=4)"),
    "gomoku6x7": ({"line": 4}, "mnk(m=7,n=6,k=4)"),
    "hex11": ({}, "hex(board_size=11)"),
    "hex4": ({"swap": True}, "hex(board_size=4,swap=True)"),
    "hex5x7": ({}, "hex(num_rows=5,num_cols=7)"),
    "breakthrough8": ({}, "breakthrough"),
    "breakthrough7x6": ({}, "breakthrough(rows=7,columns=6)"),
}


def compare_random_games(name, plies, seed):
    """Plays until `plies` moves have been compared; the number of games."""
    settings, theirs = PAIRS[name]
    game, oracle_game = games.make(name, **settings), pyspiel.load_game(theirs)
    rng = random.Random(seed)
    played = 0
    while plies > 0:
        state, oracle = game.new_state(), oracle_game.new_initial_state()
        while not state.terminal:
            assert not oracle.is_terminal()
            assert state.to_move == oracle.current_player()
            translate = breakthrough_actions(game, oracle) if name.startswith("breakthrough") else None
            expected = sorted(translate) if translate else oracle.legal_actions()
            if name.startswith("go"):
                expected = without_repetition(oracle, state, expected)
            assert state.legal_actions() == expected, f"\n{state}\n{oracle}"
            action = rng.choice(expected)
            state.play(action)
            oracle.apply_action(translate[action] if translate else action)
            plies -= 1
        assert oracle.is_terminal()
        assert state.outcome() == oracle.returns()[state.to_move], f"\n{state}\n{oracle}"
        played += 1
    return played


def breakthrough_actions(game, oracle):
    """Our actions to theirs, by name: their first player starts on top, and they mark captures."""
    return {breakthrough_action(game, oracle.action_to_string(action)): action for action in oracle.legal_actions()}


@functools.cache
def breakthrough_action(game, text):
    flipped = [char if char.isalpha() else str(game.rows + 1 - int(char)) for char in text.rstrip("*")]
    return game.text_to_action("".join(flipped))


def without_repetition(oracle, state, actions):
    """OpenSpiel allows what repeats a board and calls the game a draw at once; positional superko forbids it."""
    refused = set(actions) - set(state.legal_actions())
    for action in refused:
        child = oracle.child(action)
        assert child.is_terminal() and child.returns() == [0, 0], f"{action} is legal\n{state}"
    return [action for action in actions if action not in refused]


@pytest.mark.parametrize("name", PAIRS)
def test_random_games_agree(name):
    compare_random_games(name, 100_000, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", PAIRS)
def test_a_million_random_plies_agree(name):
    compare_random_games(name, 1_000_000, seed=2)

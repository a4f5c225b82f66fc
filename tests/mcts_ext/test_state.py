"""The contract of a game, for the two games that live beside it; OpenSpiel says what is right."""
import pickle
import random

import numpy as np
import pytest

from mcts_ext import games
from mcts_ext.state import State

GAMES = ["tictactoe", "connect4", "connect4-5x4", "connect4-7x8"]
ORACLES = {"tictactoe": "tic_tac_toe", "connect4": "connect_four", "connect4-5x4": "connect_four(rows=5,columns=4)",
           "connect4-7x8": "connect_four(rows=7,columns=8)"}


def random_states(game, count, seed=0):
    """Positions met in random games, terminal ones among them."""
    rng = random.Random(seed)
    while count > 0:
        state = game.new_state()
        while count > 0:
            yield state.copy()
            count -= 1
            if state.terminal:
                break
            state.play(rng.choice(state.legal_actions()))


@pytest.mark.parametrize("name", GAMES)
def test_random_games_agree_with_open_spiel(name):
    pyspiel = pytest.importorskip("pyspiel")
    oracle_game = pyspiel.load_game(ORACLES[name])
    rng = random.Random(1)
    for _ in range(300):
        state, oracle = games.make(name).new_state(), oracle_game.new_initial_state()
        while not oracle.is_terminal():
            assert not state.terminal
            assert state.to_move == oracle.current_player()
            assert state.legal_actions() == oracle.legal_actions()
            action = rng.choice(state.legal_actions())
            state.play(action)
            oracle.apply_action(action)
        assert state.terminal
        assert state.legal_actions() == []
        assert state.outcome() == oracle.returns()[state.to_move]


@pytest.mark.parametrize("name", GAMES)
def test_planes_are_seen_by_the_player_to_move(name):
    game = games.make(name)
    for state in random_states(game, 60):
        planes, stones = state.encode(), state.stones()
        assert planes.shape == (game.rows, game.cols, game.planes)
        np.testing.assert_array_equal(planes[..., 0], stones == 1 + state.to_move)
        np.testing.assert_array_equal(planes[..., 1], stones == 2 - state.to_move)
        assert (planes[..., 2] == 1).all()


@pytest.mark.parametrize("name", GAMES)
def test_symmetries_commute_with_play(name):
    game = games.make(name)
    rng = random.Random(2)
    identity = game.symmetries[0]
    np.testing.assert_array_equal(identity[0], np.arange(game.num_actions))
    for actions, points in game.symmetries:
        state, image = game.new_state(), game.new_state()
        while not state.terminal:
            legal = np.empty_like(state.legal())
            legal[actions] = state.legal()
            np.testing.assert_array_equal(image.legal(), legal)
            action = rng.choice(state.legal_actions())
            state.play(action)
            image.play(int(actions[action]))
            moved = np.empty(game.rows * game.cols, np.int8)
            moved[points] = state.stones().ravel()
            np.testing.assert_array_equal(image.stones().ravel(), moved)
        assert image.terminal and image.outcome() == state.outcome()


@pytest.mark.parametrize("name", GAMES)
def test_hash_is_one_number_for_each_position(name):
    positions = {}
    for state in random_states(games.make(name), 2000):
        position = (state.to_move, state.stones().tobytes())
        assert positions.setdefault(state.hash(), position) == position
    assert len(set(positions.values())) == len(positions) > 500


@pytest.mark.parametrize("name", GAMES)
def test_playout_ends_with_the_result_for_the_one_who_was_to_move(name):
    results = set()
    for seed, state in enumerate(random_states(games.make(name), 200)):
        mover = state.to_move
        result = state.playout(seed)
        assert state.terminal
        assert result == (state.outcome() if state.to_move == mover else -state.outcome())
        results.add(result)
    assert {-1.0, 1.0} <= results


@pytest.mark.parametrize("name", ["tictactoe", "connect4"])
def test_playout_chooses_each_move_equally_often(name):
    """OpenSpiel's uniformly random games have the same share of first-player wins."""
    pyspiel = pytest.importorskip("pyspiel")
    oracle_game = pyspiel.load_game(ORACLES[name])
    rng = random.Random(3)
    count = 3000
    theirs = 0
    for _ in range(count):
        oracle = oracle_game.new_initial_state()
        while not oracle.is_terminal():
            oracle.apply_action(rng.choice(oracle.legal_actions()))
        theirs += oracle.returns()[0] == 1
    ours = sum(games.make(name).new_state().playout(seed) == 1 for seed in range(count))
    assert abs(ours - theirs) < 4 * (2 * 0.25 * count) ** 0.5


@pytest.mark.parametrize("name", GAMES)
def test_notation_goes_there_and_back(name):
    game = games.make(name)
    texts = [game.action_to_text(action) for action in range(game.num_actions)]
    assert [game.text_to_action(text.upper()) for text in texts] == list(range(game.num_actions))
    for text in ["", "z9", "0", "99", "-1", "²", "a", "resign"]:
        with pytest.raises(ValueError, match="is not a move"):
            game.text_to_action(text)
    for action in [-1, game.num_actions]:
        with pytest.raises(ValueError, match="is not in"):
            game.action_to_text(action)


def test_illegal_moves_are_refused():
    state = games.make("connect4").new_state()
    for _ in range(6):
        state.play(3)
    with pytest.raises(ValueError, match="illegal move 4"):
        state.play(3)
    with pytest.raises(ValueError, match="action 7 is not in 0..6"):
        state.play(7)
    with pytest.raises(ValueError, match="no outcome yet"):
        state.outcome()
    for action in [0, 1, 0, 1, 0, 1, 0]:
        state.play(action)
    assert state.terminal and state.outcome() == -1
    with pytest.raises(ValueError, match="the game is over"):
        state.play(1)


def test_a_drawn_board_shows_stones_and_coordinates():
    state = games.make("tictactoe").new_state()
    state.play(state.game.text_to_action("b1"))
    state.play(state.game.text_to_action("c3"))
    assert str(state) == "   a b c\n 1 . X .\n 2 . . .\n 3 . . O"
    state = games.make("connect4").new_state()
    for column in "443":
        state.play(state.game.text_to_action(column))
    assert str(state).splitlines()[-3:] == [". . . O . . .", ". . X X . . .", "1 2 3 4 5 6 7"]


def test_copies_are_independent():
    state = games.make("connect4").new_state()
    copy = state.copy()
    copy.play(3)
    assert state.legal_actions() == list(range(7)) and state.to_move == 0 and copy.to_move == 1


def test_registry_names_and_errors():
    assert {"tictactoe", "connect4"} <= set(games.names())
    assert games.make("connect4") is games.make("connect4")
    assert pickle.loads(pickle.dumps(games.make("connect4-5x4"))) is games.make("connect4-5x4")
    for name in ["", "chess", "connect4-9", "connect4-99x9", "connect4x", "tictactoe3"]:
        with pytest.raises(ValueError):
            games.make(name)
    with pytest.raises(ValueError, match="registered already"):
        games.register("connect4", lambda size: None)
    with pytest.raises(TypeError):
        State(None)

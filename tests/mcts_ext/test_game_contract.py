"""What every compiled game promises: planes, symmetries, hashes, playouts, copies, notation."""
import pickle
import random

import numpy as np
import pytest

from mcts_ext import games

GAMES = {
    "go5": {}, "go9": {}, "go4x6": {"history": 3, "liberties": True, "komi": 0.5}, "go3": {"rules": "tromp-taylor"},
    "gomoku9": {}, "gomoku7x8": {"opening": "swap2", "line": 4}, "hex5": {"swap": True}, "hex4x6": {},
    "breakthrough6": {}, "breakthrough7x5": {}, "othello6": {}, "othello8": {}, "othello10": {},
}


@pytest.fixture(params=GAMES)
def game(request):
    return games.make(request.param, **GAMES[request.param])


def random_games(game, count, seed=0):
    """The states of random games, each with all that came before it."""
    rng = random.Random(seed)
    for _ in range(count):
        state = game.new_state()
        yield state
        while not state.terminal:
            state = state.copy()
            state.play(rng.choice(state.legal_actions()))
            yield state


def test_the_first_planes_are_the_movers_and_the_opponents_stones(game):
    for state in random_games(game, 3):
        planes, stones = state.encode(), state.stones()
        assert planes.shape == (game.rows, game.cols, game.planes) and planes.dtype == np.float32
        np.testing.assert_array_equal(planes[..., 0], stones == 1 + state.to_move)
        np.testing.assert_array_equal(planes[..., 1], stones == 2 - state.to_move)


def test_symmetries_commute_with_play_and_planes(game):
    rng = random.Random(2)
    np.testing.assert_array_equal(game.symmetries[0][0], np.arange(game.num_actions))
    assert len({points.tobytes() for _, points in game.symmetries}) == len(game.symmetries)
    for actions, points in game.symmetries[1:]:
        state, image = game.new_state(), game.new_state()
        if (image.stones().ravel()[points] != image.stones().ravel()).any():
            continue                     # a mirrored start of Othello is another position
        while not state.terminal and state.to_move == image.to_move:
            legal = np.empty_like(state.legal())
            legal[actions] = state.legal()
            np.testing.assert_array_equal(image.legal(), legal)
            planes = np.empty((game.rows * game.cols, game.planes), np.float32)
            planes[points] = state.encode().reshape(-1, game.planes)
            np.testing.assert_array_equal(image.encode().reshape(-1, game.planes), planes)
            action = rng.choice(state.legal_actions())
            state.play(action)
            image.play(int(actions[action]))
        assert image.terminal and image.outcome() == state.outcome()


def test_equal_positions_have_equal_hashes_and_others_do_not(game):
    positions = {}
    for state in random_games(game, 60):
        position = (state.to_move, state.stones().tobytes(), state.legal().tobytes(), state.terminal)
        positions.setdefault(state.hash(), set()).add(position[:2])
    assert all(len(same) == 1 for same in positions.values())
    assert len(positions) > 500


def test_a_playout_ends_the_game_and_sees_the_result_from_the_mover(game):
    results = set()
    for seed, state in enumerate(random_games(game, 10)):
        state, mover = state.copy(), state.to_move
        result = state.playout(seed)
        assert state.terminal and state.legal_actions() == []
        assert result == (state.outcome() if state.to_move == mover else -state.outcome())
        results.add(result)
    assert {-1.0, 1.0} <= results


def test_playouts_choose_every_legal_move_as_often(game):
    """As many first-player wins as in games whose moves are drawn here, and the same mean end."""
    rng = random.Random(7)
    count = 250
    drawn, played = [], []
    for seed in range(count):
        state = game.new_state()
        while not state.terminal:
            state.play(rng.choice(state.legal_actions()))
        drawn.append(state.outcome() if state.to_move == 0 else -state.outcome())
        played.append(game.new_state().playout(seed))
    played += [game.new_state().playout(seed) for seed in range(count, 20 * count)]
    assert abs(np.mean(drawn) - np.mean(played)) < 4 * (np.std(drawn) + 0.01) / count**0.5


def test_a_copy_lives_on_its_own(game):
    rng = random.Random(5)
    for state in random_games(game, 2):
        before = snapshot(state)
        copy = state.copy()
        assert snapshot(copy) == before
        while not copy.terminal:
            copy.play(rng.choice(copy.legal_actions()))
        assert snapshot(state) == before


def snapshot(state):
    return (state.encode().tobytes(), state.stones().tobytes(), state.legal().tobytes(), state.to_move,
            state.hash(), state.terminal)


def test_games_end_within_max_length(game):
    rng = random.Random(6)
    for _ in range(20):
        state, plies = game.new_state(), 0
        while not state.terminal:
            state.play(rng.choice(state.legal_actions()))
            plies += 1
        assert plies <= game.max_length


def test_notation_goes_there_and_back(game):
    texts = [game.action_to_text(action) for action in range(game.num_actions)]
    assert len(set(texts)) == game.num_actions
    assert [game.text_to_action(text.swapcase()) for text in texts] == list(range(game.num_actions))
    for text in ["", "z9", "0", "a0", "a99", "-1", "a-1", "²", "a²", "a", "resign"]:
        with pytest.raises(ValueError, match="is not a move"):
            game.text_to_action(text)
    for action in [-1, game.num_actions]:
        with pytest.raises(ValueError, match="is not in"):
            game.action_to_text(action)


def test_a_pickled_game_is_the_same_one(game):
    assert pickle.loads(pickle.dumps(game)) is game


@pytest.mark.parametrize("name", [
    "go", "go1", "go20", "go9x", "gox9", "go9x13x2", "go-9", "othello", "othello7", "gomoku", "gomoku26", "gomoku4",
    "hex1", "hex27", "hexagon", "breakthrough4", "breakthrough9"])
def test_unknown_sizes_are_refused(name):
    with pytest.raises(ValueError, match=name):
        games.make(name)


def test_unknown_settings_are_refused():
    with pytest.raises(ValueError, match="go9 has no setting 'size'; its settings: komi, rules"):
        games.make("go9", size=9)


def test_settings_follow_the_name_as_text():
    game = games.make("go9?suicide=true&komi=6.5")
    assert game is games.make("go9", komi=6.5, suicide=True) and game.name == "go9" and game.komi == 6.5
    assert game.full_name == "go9?komi=6.5&suicide=true" and games.make(game.full_name) is game
    assert games.make("go9?komi=7.5") is games.make("go9") and games.make("go9").full_name == "go9"
    swap2 = games.make("gomoku15?opening=swap2&exact=true&line=6")
    assert swap2 is games.make("gomoku15", opening="swap2", exact=True, line=6)
    assert games.make("hex7?swap=true").num_actions == 50
    assert games.known_settings("hex7") == {"swap": False} and games.known_settings("tictactoe") == {}


@pytest.mark.parametrize("text, why", [
    ("go9?komi=x", "go9: komi = x: must be a number"), ("go9?suicide=maybe", "suicide = maybe: must be true or false"),
    ("go9?komi", "settings are written"), ("go9?comi=5", "no setting 'comi'; its settings: komi"),
    ("go9?ko=super", "ko = 'super'"), ("go9?komi=nan", "komi"), ("gomoku9?opening=swap3", "swap3"),
    ("connet4", "did you mean 'connect4'"), ("tictactoe?line=4", "its settings: none")])
def test_wrong_settings_in_a_name_are_refused(text, why):
    with pytest.raises(ValueError, match=why):
        games.make(text)

"""Gomoku: rows on boards of any shape, exact rows, and the swap2 opening."""
import random

import pytest

from mcts_ext import games


def longest_rows(stones, point):
    """The lengths of the four rows through a stone, counted cell by cell."""
    rows, cols = stones.shape
    row, col = divmod(point, cols)
    lengths = []
    for down, right in [(0, 1), (1, 0), (1, 1), (1, -1)]:
        length = 1
        for sign in (-1, 1):
            r, c = row + sign * down, col + sign * right
            while 0 <= r < rows and 0 <= c < cols and stones[r, c] == stones[row, col]:
                length, r, c = length + 1, r + sign * down, c + sign * right
        lengths.append(length)
    return lengths


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("name, line", [
    ("gomoku3", 3), ("gomoku5x9", 4), ("gomoku9", 5), ("gomoku16", 5), ("gomoku1x9", 3)])
def test_random_games_end_with_the_first_row_that_wins(name, line, exact):
    game = games.make(name, line=line, exact=exact)
    rng = random.Random(line)
    wins = overlines = 0
    for _ in range(40):
        state, played = game.new_state(), []
        while not state.terminal:
            empty = [p for p in range(game.rows * game.cols) if p not in played]
            assert state.legal_actions() == empty
            played.append(rng.choice(empty))
            state.play(played[-1])
            lengths = longest_rows(state.stones(), played[-1])
            won = line in lengths if exact else max(lengths) >= line
            overlines += max(lengths) > line
            assert state.terminal == (won or len(played) == game.rows * game.cols)
        assert state.outcome() == (-1 if won else 0)
        wins += won
    assert wins > 5
    assert overlines > 0 or not exact or name == "gomoku3"


def play_all(game, moves):
    state = game.new_state()
    for move in moves.split():
        state.play(game.text_to_action(move))
    return state


def test_six_in_a_row_wins_freestyle_only():
    moves = "A1 A9 B1 B9 C1 D9 D1 C8 F1 E8 G1 H8 E1"       # E1 joins A1 to G1: seven in a row
    assert play_all(games.make("gomoku9"), moves).terminal
    assert not play_all(games.make("gomoku9", exact=True), moves).terminal


@pytest.fixture
def swap2():
    return games.make("gomoku9", opening="swap2")


def test_swap2_the_second_player_takes_white(swap2):
    state = play_all(swap2, "A1 B2 C3")
    assert state.to_move == 1
    assert [swap2.action_to_text(a) for a in state.legal_actions()] == ["black", "white", "two"]
    assert state.stones()[8, 0] == 1 and state.stones()[7, 1] == 2
    state.play(swap2.text_to_action("white"))
    assert state.to_move == 1 and state.stones()[8, 0] == 1 and len(state.legal_actions()) == 78
    state.play(swap2.text_to_action("D4"))
    assert state.to_move == 0 and state.stones()[5, 3] == 2


def test_swap2_the_second_player_takes_black(swap2):
    state = play_all(swap2, "A1 B2 C3 black")
    assert state.to_move == 0
    assert state.stones()[8, 0] == 2 and state.stones()[7, 1] == 1     # the colours have changed hands
    state = play_all(swap2, "A1 A9 B1 black A8 C1 A7 D1 A6 E1")
    assert state.terminal and state.to_move == 0 and state.outcome() == -1


def test_swap2_the_second_player_puts_two_and_the_first_chooses(swap2):
    state = play_all(swap2, "A1 B2 C3 two")
    assert state.to_move == 1
    state = play_all(swap2, "A1 B2 C3 two D4 E5")
    assert state.to_move == 0
    assert [swap2.action_to_text(a) for a in state.legal_actions()] == ["black", "white"]
    assert play_all(swap2, "A1 B2 C3 two D4 E5 white").to_move == 0    # White moves next
    assert play_all(swap2, "A1 B2 C3 two D4 E5 black").to_move == 1


def test_wrong_settings_are_refused():
    for name, settings, why in [("gomoku9", {"line": 10}, "longer side"), ("gomoku9", {"line": 1}, "longer side"),
                                ("gomoku9", {"opening": "pro"}, "free or swap2"),
                                ("gomoku4", {"line": 3, "opening": "swap2"}, "must not end the game")]:
        with pytest.raises(ValueError, match=why):
            games.make(name, **settings)

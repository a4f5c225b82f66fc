"""Othello: known counts of games, and a plain implementation on lists for the sizes OpenSpiel lacks."""
import random

import pytest

from mcts_ext import games


def perft(state, depth):
    """The number of sequences of `depth` plies; a finished game ends its sequence."""
    if depth == 0:
        return 1
    count = 0
    for action in state.legal_actions():
        child = state.copy()
        child.play(action)
        count += perft(child, depth - 1)
    return count


def test_perft_of_the_start_position():
    """The counts that Othello programmers compare (A. Bradford, "Reversi perft"); passes come after ply 8."""
    state = games.make("othello8").new_state()
    assert [perft(state, depth) for depth in range(1, 7)] == [4, 12, 56, 244, 1396, 8200]


class PlainOthello:
    """The rules word by word: board[row][col] is 0, 1 or 2."""

    def __init__(self, size):
        self.size, self.mover = size, 1
        self.board = [[0] * size for _ in range(size)]
        low, high = size // 2 - 1, size // 2
        self.board[low][low] = self.board[high][high] = 2
        self.board[low][high] = self.board[high][low] = 1

    def turned(self, row, col, mover):
        discs = []
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                line, r, c = [], row + down, col + right
                while 0 <= r < self.size and 0 <= c < self.size and self.board[r][c] == 3 - mover:
                    line.append((r, c))
                    r, c = r + down, c + right
                if 0 <= r < self.size and 0 <= c < self.size and self.board[r][c] == mover:
                    discs += line
        return discs

    def moves(self, mover):
        return [row * self.size + col for row in range(self.size) for col in range(self.size)
                if self.board[row][col] == 0 and self.turned(row, col, mover)]

    def legal(self):
        if self.moves(self.mover):
            return self.moves(self.mover)
        return [self.size ** 2] if self.moves(3 - self.mover) else []

    def play(self, action):
        if action < self.size ** 2:
            row, col = divmod(action, self.size)
            for r, c in [*self.turned(row, col, self.mover), (row, col)]:
                self.board[r][c] = self.mover
        self.mover = 3 - self.mover

    def margin(self):
        discs = sum(self.board, [])
        return discs.count(self.mover) - discs.count(3 - self.mover)


@pytest.mark.parametrize("size", [6, 8, 10])
def test_random_games_agree_with_a_plain_implementation(size):
    rng = random.Random(size)
    passes = 0
    for _ in range(8):
        plain, state = PlainOthello(size), games.make(f"othello{size}").new_state()
        while plain.legal():
            assert state.legal_actions() == plain.legal()
            assert state.stones().tolist() == plain.board
            action = rng.choice(plain.legal())
            passes += action == size ** 2
            plain.play(action)
            state.play(action)
        assert state.terminal
        assert state.score() == plain.margin()
        assert state.outcome() == (plain.margin() > 0) - (plain.margin() < 0)
    assert passes > 0


def test_notation_counts_rows_from_the_top():
    game = games.make("othello8")
    state = game.new_state()
    assert [game.action_to_text(action) for action in state.legal_actions()] == ["d3", "c4", "f5", "e6"]
    state.play(game.text_to_action("d3"))
    assert str(state).splitlines()[3:5] == [" 3 . . . X . . . .", " 4 . . . X X . . ."]
    with pytest.raises(ValueError, match="illegal move pass"):
        state.play(game.text_to_action("pass"))

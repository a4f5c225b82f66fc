"""Breakthrough: counts of games by a plain implementation, the two ways to win, the notation."""
import pytest

from mcts_ext import games


def plain_perft(rows, cols, depth):
    """The number of sequences of `depth` plies, counted on a dictionary {(row, col): player}."""
    def count(men, mover, depth):
        if depth == 0 or mover not in men.values() or any(
                row == (0 if player == 0 else rows - 1) for (row, _), player in men.items()):
            return 1
        total = 0
        for (row, col), player in men.items():
            down = -1 if mover == 0 else 1
            for target in [(row + down, col - 1), (row + down, col), (row + down, col + 1)]:
                if player != mover or not 0 <= target[1] < cols:
                    continue
                if target not in men or (men[target] != mover and target[1] != col):
                    moved = {cell: man for cell, man in men.items() if cell != (row, col)}
                    total += count({**moved, target: mover}, 1 - mover, depth - 1)
        return total

    start = {(row, col): 0 if row >= 2 else 1 for row in (0, 1, rows - 2, rows - 1) for col in range(cols)}
    return count(start, 0, depth)


def perft(state, depth):
    if depth == 0 or state.terminal:
        return 1
    total = 0
    for action in state.legal_actions():
        child = state.copy()
        child.play(action)
        total += perft(child, depth - 1)
    return total


@pytest.mark.parametrize("rows, cols, depth", [(8, 8, 3), (5, 3, 6), (5, 2, 9), (6, 4, 4)])
def test_perft_agrees_with_a_plain_implementation(rows, cols, depth):
    game = games.make(f"breakthrough{rows}" if rows == cols else f"breakthrough{rows}x{cols}")
    assert perft(game.new_state(), depth) == plain_perft(rows, cols, depth)


def play_all(game, moves):
    state = game.new_state()
    for move in moves.split():
        state.play(game.text_to_action(move))
    return state


def test_moves_are_named_as_in_chess():
    game = games.make("breakthrough8")
    assert game.num_actions == 308
    state = play_all(game, "a2a3 h7h6")
    assert str(state).splitlines()[2] == " 6 . . . . . . . O"
    assert str(state).splitlines()[5] == " 3 X . . . . . . ."
    with pytest.raises(ValueError, match="illegal move a1a2"):
        play_all(game, "b2b3 h7h6 a1a2")
    with pytest.raises(ValueError, match="is not a move"):
        game.text_to_action("a2a4")


def test_a_man_on_the_far_row_wins():
    state = play_all(games.make("breakthrough5"), "c2c3 a4a3 c3b4 a3b2 b4a5")
    assert state.terminal and state.to_move == 1 and state.outcome() == -1

"""Hex: connections found by a plain search, one winner on every full board, and the swap."""
import itertools
import random

import numpy as np
import pytest

from mcts_ext import games


def connected(stones, player):
    """Whether a path of the player's stones joins his sides: top and bottom for 1, left and right for 2."""
    board = stones == player if player == 1 else (stones == player).T
    rows, cols = board.shape
    reached = {(0, col) for col in range(cols) if board[0, col]}
    todo = list(reached)
    while todo:
        row, col = todo.pop()
        for down, right in [(-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0)]:
            near = row + down, col + right
            if near not in reached and 0 <= near[0] < rows and 0 <= near[1] < cols and board[near]:
                reached.add(near)
                todo.append(near)
    return any(row == rows - 1 for row, _ in reached)


@pytest.mark.parametrize("name", ["hex2", "hex3", "hex5", "hex4x7", "hex11"])
def test_random_games_end_with_the_first_connection(name):
    game = games.make(name)
    rng = random.Random(1)
    winners = set()
    for _ in range(20):
        state = game.new_state()
        while not state.terminal:
            assert not connected(state.stones(), 1) and not connected(state.stones(), 2)
            state.play(rng.choice(state.legal_actions()))
        winner = 1 if connected(state.stones(), 1) else 2
        assert connected(state.stones(), winner)
        assert state.outcome() == (1 if state.to_move == winner - 1 else -1)
        winners.add(winner)
    assert winners == {1, 2}


def test_every_full_board_of_3x3_has_one_winner():
    game = games.make("hex3")
    for first in itertools.combinations(range(9), 5):
        second = [cell for cell in range(9) if cell not in first]
        state = game.new_state()
        for cell in itertools.chain.from_iterable(itertools.zip_longest(first, second)):
            if cell is not None and not state.terminal:
                state.play(cell)
        stones = np.full(9, 2)
        stones[list(first)] = 1
        winner = 1 if connected(stones.reshape(3, 3), 1) else 2
        assert connected(stones.reshape(3, 3), 1) != connected(stones.reshape(3, 3), 2)
        assert state.outcome() == (1 if state.to_move == winner - 1 else -1)


def test_playouts_fill_the_board_and_tell_the_winner():
    game = games.make("hex7")
    for seed in range(200):
        state = game.new_state()
        for cell in random.Random(seed).sample(range(49), seed % 20):
            state.play(cell)
        mover = state.to_move
        result = state.playout(seed)
        stones = state.stones()
        assert (stones == 1).sum() == 25 and (stones == 2).sum() == 24
        assert connected(stones, 1) != connected(stones, 2)
        assert result == (1 if connected(stones, mover + 1) else -1)


def test_swap_mirrors_the_first_stone():
    game = games.make("hex5", swap=True)
    state = game.new_state()
    assert not state.legal()[25]
    state.play(game.text_to_action("d1"))
    assert state.legal()[25] and game.action_to_text(25) == "swap"
    state.play(25)
    assert state.to_move == 0 and not state.legal()[25]
    assert np.argwhere(state.stones()).tolist() == [[3, 0]] and state.stones()[3, 0] == 2
    state.play(game.text_to_action("d1"))
    assert not state.legal()[25]
    with pytest.raises(ValueError, match="as many rows as columns"):
        games.make("hex4x5", swap=True)


def test_a_drawn_board_leans_to_the_right():
    game = games.make("hex3")
    state = game.new_state()
    state.play(game.text_to_action("b1"))
    state.play(game.text_to_action("a3"))
    assert str(state) == "   a b c\n 1  . X .\n  2  . . .\n   3  O . ."

"""States and searches within reference cycles are freed whole when the collector finds them."""

import gc

import pytest

from mcts_ext.games import make
from mcts_ext.search import Search


class Node:
    """A tree node that knows itself: nothing but the collector frees it."""

    def __init__(self, held):
        self.held, self.me = held, self


@pytest.mark.parametrize("name", ["breakthrough6", "go9", "connect4"])
@pytest.mark.parametrize("hold", [lambda game: [game.new_state(), game.new_state()], lambda game: Search(game, 2)],
                         ids=["state", "search"])
def test_cycles_that_hold_the_last_reference_to_a_game(name, hold):
    for _ in range(5):
        Node(hold(make(name)))
        Node((make(name), hold(make(name))))
    assert gc.collect() > 0

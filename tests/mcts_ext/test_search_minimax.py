"""Searches without knowledge find the moves that exhaustive minimax finds."""
import pytest
from minimax import action_values, all_positions, endgames, one_of_each_kind

from mcts_ext.games import make
from mcts_ext.search import Search

OPTIONS = {
    "puct": {},
    "gumbel": {"root": "gumbel"},
    "gumbel everywhere": {"root": "gumbel", "interior": "gumbel"},
}
# Sequential halving drops actions early, so that "enough" is more for it.
ENOUGH = {"puct": 2000, "gumbel": 20000, "gumbel everywhere": 20000}


def blunders(positions, options, evaluate, simulations):
    """Positions in which the search's move loses value, with what it chose."""
    known, wrong = {}, []
    game = positions[0].game
    search = Search(game, 1, options, seed=1)
    for state in positions:
        values = action_values(state, known)
        search.reset(0, state)
        search.start(0, simulations, noise=False)
        search.run(evaluate)
        best = search.result(0).best
        if values[best] < max(values.values()):
            wrong.append(f"{state}\n{values} chose {best}: {search.result(0)}")
    return wrong


@pytest.mark.parametrize("name", OPTIONS)
def test_uniform_search_is_right_in_every_tictactoe_position(name):
    positions = all_positions(make("tictactoe"))
    assert len(positions) == 4520
    if name != "puct":
        positions = one_of_each_kind(positions)
        assert len(positions) == 627
    wrong = blunders(positions, OPTIONS[name], "uniform", ENOUGH[name])
    assert not wrong, f"{len(wrong)} wrong, the first:\n{wrong[0]}"


@pytest.mark.parametrize("name", OPTIONS)
def test_uniform_search_is_right_in_connect_four_endgames(name):
    positions = endgames(make("connect4"), 60, empty=10)
    wrong = blunders(positions, OPTIONS[name], "uniform", 5000)
    assert not wrong, f"{len(wrong)} wrong, the first:\n{wrong[0]}"


def test_rollout_search_is_right_in_connect_four_endgames():
    wrong = blunders(endgames(make("connect4"), 60, empty=10), {}, "rollout", 5000)
    assert not wrong, f"{len(wrong)} wrong, the first:\n{wrong[0]}"

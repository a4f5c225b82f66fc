"""The compiled search visits what a plain Python search visits, simulation for simulation."""
import numpy as np
import pytest
from reference_search import gumbel_interior, improved_policy, puct, search, sequential_halving
from search_helpers import network, searched

PUCT = {
    "plain": ({}, {}),
    "growing c": ({"c_puct_factor": 0.8, "c_puct_base": 20.0}, {"factor": 0.8, "base": 20.0}),
    "variance": ({"c_puct_stdev": 0.85}, {"stdev_weight": 0.85}),
    "absolute fpu": ({"fpu": "absolute", "fpu_value": -0.5, "root_fpu_value": -0.5}, {"fpu": -0.5, "absolute": True}),
    "no reduction": ({"fpu_value": 0.0, "root_fpu_value": 0.0}, {"fpu": 0.0}),
}


@pytest.mark.parametrize("name", PUCT)
@pytest.mark.parametrize("game,moves", [("connect4", ""), ("connect4", "4435"), ("tictactoe", "")])
def test_puct_visits(name, game, moves):
    options, settings = PUCT[name]
    fast = searched(game, 150, options, moves=moves)
    slow = search(fast.state(0), network, 150, puct(**settings))
    visits = np.zeros(fast.game.num_actions, int)
    for action, child in slow.children.items():
        visits[action] = child.visits
    result = fast.result(0)
    np.testing.assert_array_equal(result.visits, visits)
    assert result.value == pytest.approx(slow.mean, abs=1e-5)
    np.testing.assert_allclose(result.policy, visits / visits.sum(), atol=1e-6)


def test_the_options_of_puct_change_what_is_visited():
    visits = {tuple(searched("connect4", 150, options).result(0).visits) for options, _ in PUCT.values()}
    assert len(visits) == len(PUCT)


@pytest.mark.parametrize("settings", [{}, {"c_scale": 0.1}, {"c_scale": 0.1, "rescale": True}])
def test_gumbel_below_the_root(settings):
    """With the root's noise off and one considered action, all simulations go below that one: a root of their own."""
    options = {"root": "gumbel", "interior": "gumbel", "gumbel_actions": 1,
               **{"rescale_q" if key == "rescale" else key: value for key, value in settings.items()}}
    fast = searched("connect4", 101, options)
    first = int(fast.result(0).visits.argmax())
    assert fast.result(0).visits[first] == 101
    fast.play(0, first)
    slow = search(fast.state(0), network, 100, gumbel_interior(**settings))
    visits = np.zeros(7, int)
    for action, child in slow.children.items():
        visits[action] = child.visits
    result = fast.result(0)
    np.testing.assert_array_equal(result.visits, visits)
    expected = improved_policy(slow, **settings)
    np.testing.assert_allclose(result.policy, [expected[action] for action in range(7)], rtol=2e-2, atol=1e-6)


@pytest.mark.parametrize("sims", [1, 2, 3, 7, 16, 32, 50, 100, 333])
@pytest.mark.parametrize("considered", [1, 2, 3, 4, 7, 16])
def test_sequential_halving_spends_its_budget_as_published(sims, considered):
    def flat(planes, legal):
        # One order of the actions that values never change.
        return np.tile(np.arange(legal.shape[1], dtype=np.float32), (len(legal), 1)), np.zeros(len(legal), np.float32)
    options = {"root": "gumbel", "gumbel_actions": considered, "c_scale": 0.0}
    result = searched("tictactoe", sims, options, flat).result(0)
    expected = sequential_halving(min(considered, sims, 9), sims)
    assert sorted(result.visits[result.visits > 0].tolist(), reverse=True) == expected
    assert result.best == 8                   # the largest logit


def test_gumbel_samples_actions_without_replacement_from_the_prior():
    """With one simulation the action is argmax(g + logits): a sample of the prior."""
    counts = np.zeros(7)
    fast = searched("connect4", 0)
    prior = fast.result(0).prior
    trials = 3000
    for seed in range(trials):
        counts[searched("connect4", 1, {"root": "gumbel", "c_scale": 0.0}, noise=True, seed=seed).result(0).best] += 1
    error = np.sqrt(prior * (1 - prior) / trials)
    assert (np.abs(counts / trials - prior) < 4.5 * error + 1e-3).all()

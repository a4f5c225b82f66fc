"""The options of the search, each by what it promises."""
import numpy as np
import pytest
from reference_search import puct, search
from search_helpers import network, same, searched

from mcts_ext.cache import EvaluationCache
from mcts_ext.evaluators import softmax
from mcts_ext.games import make
from mcts_ext.result import EvaluationError
from mcts_ext.search import Search


def assert_consistent(result):
    """A root's value is the mean of its own evaluation and of its actions' values, each as often as it was visited."""
    total = result.raw_value + (result.visits * result.q.astype(np.float64)).sum()
    assert result.value == pytest.approx(total / (1 + result.visits.sum()), abs=1e-5)


# ---- graph search

def test_a_graph_holds_each_position_once():
    tree = searched("tictactoe", 30_000, {}, "uniform")
    graph = searched("tictactoe", 30_000, {"transpositions": True}, "uniform")
    assert tree.tree_size(0)[0] > 1.4 * 5478
    assert 3000 < graph.tree_size(0)[0] <= 5478      # the positions of the game
    assert graph.result(0).visits.sum() == 30_000
    assert_consistent(graph.result(0))


def test_transpositions_are_evaluated_once():
    seen = []

    def once(planes, legal):
        seen.extend(position.tobytes() for position in planes)
        return network(planes, legal)
    searched("tictactoe", 500, {"transpositions": True}, once)
    assert len(seen) == len(set(seen))
    seen.clear()
    searched("tictactoe", 500, {}, once)
    assert len(seen) > len(set(seen))


def test_a_graph_survives_moving_its_root():
    fast = searched("tictactoe", 3000, {"transpositions": True}, network)
    while not fast.state(0).terminal:
        before = fast.result(0)
        fast.play(0, before.best)
        if before.visits[before.best] > 2:
            assert fast.result(0).value == pytest.approx(-before.q[before.best], abs=1e-5)
        fast.start(0, 500, noise=False)
        fast.run(network)
        assert_consistent(fast.result(0))


# ---- several leaves of one tree

@pytest.mark.parametrize("options", [{}, {"root": "gumbel"}, {"virtual_loss": 0.0}, {"interior": "gumbel"},
                                     {"transpositions": True}], ids=str)
def test_several_leaves_of_one_tree(options):
    sizes = []

    def batches(planes, legal):
        sizes.append(len(planes))
        assert len({position.tobytes() for position in planes}) == len(planes)
        return network(planes, legal)
    fast = searched("connect4", 300, {"leaves": 8, "transpositions": True, **options}, batches)
    result = fast.result(0)
    assert result.visits.sum() == 300 and max(sizes) == 8 and np.mean(sizes) > 3
    assert_consistent(result)


def test_virtual_loss_matters_and_is_taken_back():
    visits = {tuple(searched("connect4", 200, {"leaves": 8, "virtual_loss": loss}).result(0).visits)
              for loss in (0.0, 1.0, 3.0)}
    assert len(visits) > 1
    for loss in (0.0, 1.0):
        assert_consistent(searched("connect4", 200, {"leaves": 8, "virtual_loss": loss}).result(0))


@pytest.mark.parametrize("root", ["puct", "gumbel"])
def test_a_search_stopped_between_its_batches_is_as_if_the_last_had_not_been(root):
    fast = Search(make("connect4"), 2, {"leaves": 8, "root": root}, seed=1)
    for i in range(2):
        fast.start(i, 100, noise=False)
    for _ in range(5):
        fast.apply(*network(*fast.collect()))
    done = fast.result(0).simulations
    planes, legal = fast.collect()
    fast.stop(0)
    result = fast.result(0)
    assert result.simulations == result.visits.sum() == done > 0
    assert_consistent(result)
    assert len(result.pv) > 1
    # The other slot goes on, and both end well.
    fast.apply(*network(planes, legal))
    fast.run(network)
    assert fast.result(1).visits.sum() == 100
    fast.start(0, 50, noise=False)
    fast.run(network)
    assert fast.result(0).visits.sum() == done + 50
    assert_consistent(fast.result(0))


def test_batches_dropped_at_random_leave_the_tree_sound():
    """Near the end of games, where terminal leaves come between those that wait."""
    rng = np.random.default_rng(1)
    for options in ({}, {"root": "gumbel"}, {"transpositions": True, "solver": True}, {"solver": True}):
        fast = Search(make("tictactoe"), 1, {"leaves": 6, **options}, seed=1)
        for _ in range(60):
            fast.reset(0)
            for _ in range(rng.integers(2, 6)):
                fast.play(0, int(rng.choice(fast.state(0).legal_actions())))
                if fast.state(0).terminal:
                    fast.reset(0)
            fast.start(0, 300)
            while fast.active:
                planes, legal = fast.collect()
                assert fast.active or not len(planes)  # what a proof has ended waits for nothing
                if len(planes) and rng.random() < 0.3:
                    with pytest.raises(EvaluationError):
                        fast.apply(np.full(legal.shape, np.nan), np.zeros(len(planes)))
                elif len(planes):
                    fast.apply(*network(planes, legal))
            result = fast.result(0)
            state = fast.state(0)
            assert (result.visits > 0).sum() <= len(state.legal_actions())
            if not options.get("solver"):
                assert result.visits.sum() == 300
                assert_consistent(result)
            fast.play(0, result.best)
            fast.start(0, 20)
            fast.run(network)


# ---- symmetries

def averaged(game):
    """The mean answer of the stand-in network over the game's symmetries, asked for outside of the search."""
    def evaluate(planes, legal):
        policies, values = 0, 0
        for actions, points in game.symmetries:
            shown = np.empty_like(planes).reshape(len(planes), -1, planes.shape[-1])
            shown[:, points] = planes.reshape(shown.shape)
            mask = np.empty_like(legal)
            mask[:, actions] = legal
            logits, value = network(shown.reshape(planes.shape), mask)
            policies += softmax(logits, mask)[:, actions] / len(game.symmetries)
            values += value / len(game.symmetries)
        with np.errstate(divide="ignore"):
            return np.log(policies).astype(np.float32), values.astype(np.float32)
    return evaluate


@pytest.mark.parametrize("name", ["connect4", "tictactoe"])
def test_symmetries_at_evaluation(name):
    mean = averaged(make(name))
    plain = searched(name, 60, {}, mean).result(0)
    shown_in_all = searched(name, 60, {"symmetry": "average"}, network).result(0)
    np.testing.assert_allclose(shown_in_all.prior, plain.prior, rtol=2e-3)
    assert np.abs(shown_in_all.visits.astype(int) - plain.visits).sum() <= 6     # near ties may fall otherwise
    assert shown_in_all.value == pytest.approx(plain.value, abs=0.02)
    # For a network that is symmetric itself, it does not matter which symmetry is shown.
    at_random = searched(name, 60, {"symmetry": "random"}, mean).result(0)
    np.testing.assert_allclose(at_random.prior, plain.prior, rtol=2e-3)
    assert at_random.value == pytest.approx(plain.value, abs=0.02)


def test_random_symmetries_are_shown():
    roots = set()

    def look(planes, legal):
        if len(roots) < 2:
            roots.add((planes[0].tobytes(), legal[0].tobytes()))
        return network(planes, legal)
    for seed in range(20):
        searched("connect4", 0, {"symmetry": "random"}, look, moves="1111112", seed=seed)
    assert len(roots) == 2


# ---- cache

@pytest.mark.parametrize("name", ["connect4", "go3"])  # planes with history and without
@pytest.mark.parametrize("options", [{}, {"root": "gumbel", "leaves": 4}, {"solver": True, "transpositions": True}])
def test_a_cache_saves_evaluations_and_changes_nothing(name, options):
    counts = []

    def counted(planes, legal):
        counts.append(len(planes))
        return network(planes, legal)
    plain = searched(name, 200, options, counted).result(0)
    without = sum(counts)
    cache = EvaluationCache(make(name), 1 << 22)  # so much room that no two positions share a place
    counts.clear()
    first = searched(name, 200, options, counted, cache=cache).result(0)
    if options.get("leaves", 1) == 1:          # an answer at once changes which leaves are under way together
        assert same(first, plain)
    assert sum(counts) <= without and cache.misses == sum(counts)
    counts.clear()
    again = searched(name, 200, options, counted, cache=cache).result(0)
    assert cache.hits > 0
    if options.get("leaves", 1) == 1:
        assert sum(counts) == 0 and same(again, plain)
    else:
        assert sum(counts) < without / 4
    cache.clear()
    searched(name, 200, options, counted, cache=cache)
    assert sum(counts) > 0


def test_a_cache_is_shared_by_games_and_threads_and_may_be_small():
    cache = EvaluationCache(make("connect4"), 50)
    alone = [searched("connect4", 100, {}, moves=str(i + 1)).result(0) for i in range(6)]
    together = Search(make("connect4"), 6, {}, seed=1, threads=3, cache=cache)
    for i in range(6):
        together.play(i, i)
        together.start(i, 100, noise=False)
    together.run(network)
    assert all(same(together.result(i), alone[i]) for i in range(6))
    assert cache.hits > 0
    with pytest.raises(ValueError, match="cache"):
        Search(make("tictactoe"), 1, cache=cache)
    with pytest.raises(ValueError, match="entries"):
        EvaluationCache(make("connect4"), 0)


# ---- the root

def test_lower_confidence_bounds():
    fast = searched("connect4", 300, {"lcb_stdevs": 2.0})
    result = fast.result(0)
    slow = search(fast.state(0), network, 300, puct())
    for action, child in slow.children.items():
        values = np.array(child.values)
        variance = (((values - values.mean()) ** 2).sum() + 1) / (len(values) + 1)
        expected = -values.mean() - 2.0 * np.sqrt(variance / len(values))
        assert result.lcb[action] == pytest.approx(max(expected, -1), abs=1e-4)
    chosen = searched("connect4", 300, {"lcb_stdevs": 2.0, "choose": "lcb"}).result(0)
    eligible = np.flatnonzero(result.visits >= 0.15 * result.visits.max())
    assert chosen.best == max(eligible, key=lambda action: result.lcb[action])


def test_lcb_may_choose_an_action_that_is_not_the_most_visited():
    def late(planes, legal):
        """The policy favours a column that turns out to be worth less than the others, for the first player."""
        logits = np.zeros(legal.shape, np.float32)
        logits[:, 3] = 4
        first_to_move = planes[..., :2].sum((1, 2, 3)) % 2 == 0
        favourite = np.where(first_to_move, planes[:, 5, 3, 0], planes[:, 5, 3, 1])
        return logits, (np.where(first_to_move, 1, -1) * np.where(favourite, -0.2, 0.2)).astype(np.float32)
    for sims in range(100, 400, 25):
        visits = searched("connect4", sims, {}, late).result(0)
        bound = searched("connect4", sims, {"choose": "lcb", "lcb_stdevs": 0.5, "lcb_visits": 0.0}, late).result(0)
        if bound.best != visits.best:
            assert visits.best == 3 and bound.q[bound.best] > bound.q[3]
            assert bound.lcb[bound.best] > bound.lcb[3]
            return
    pytest.fail("the two choices never differed")


def test_forced_playouts_and_their_pruning():
    """k * P * N forced visits, of which the target keeps what the value earned (noise off: the priors are known)."""
    options = {"forced_playouts": 4.0, "noise_fraction": 0.0}
    plain = searched("connect4", 400, {"noise_fraction": 0.0}, noise=True).result(0)
    forced = searched("connect4", 400, options, noise=True).result(0)
    least = np.sqrt(4.0 * forced.prior * 400)
    visited = forced.visits > 0
    assert (forced.visits[visited] >= np.floor(least[visited]) - 1).all()
    assert (plain.visits[visited] < np.floor(least[visited]) - 1).any()
    top = int(forced.visits.argmax())
    scale = 1.25 * np.sqrt(forced.visits.sum() + 1)
    goal = forced.q[top] + scale * forced.prior[top] / (1 + forced.visits[top])
    kept = np.zeros(7)
    for action in np.flatnonzero(visited):
        n = int(forced.visits[action])
        if action != top and goal > forced.q[action]:
            # The formula of the paper, visit by visit: take away while the score stays below that of the best.
            left = float(n)
            while left > n - least[action] and forced.q[action] + scale * forced.prior[action] / (1 + left) < goal:
                left -= 0.001
            left = max(left, n - least[action], 0)
            kept[action] = left if left > 1 else 0
        else:
            kept[action] = n
    np.testing.assert_allclose(forced.policy, kept / kept.sum(), atol=2e-3)
    assert forced.policy[top] > forced.visits[top] / 400
    # Without noise nothing is forced.
    assert same(searched("connect4", 400, {"forced_playouts": 4.0}).result(0), searched("connect4", 400).result(0))


@pytest.mark.parametrize("shaped", [False, True])
def test_the_mean_of_dirichlet_noise(shaped):
    """A huge c_puct makes visits follow the noisy prior; their mean over many searches is that of the noise."""
    options = {"noise_fraction": 1.0, "noise_alpha": 2.0, "noise_shaped": shaped, "c_puct": 1e6}

    def sharp(planes, legal):
        logits, values = network(planes, legal)
        return 4 * logits, values
    runs = [searched("connect4", 300, options, sharp, noise=True, seed=seed).result(0) for seed in range(150)]
    prior = runs[0].prior.astype(float)
    logs = np.log(np.minimum(prior, 0.01) + 1e-20)
    stands_out = np.maximum(logs - logs.mean(), 0)
    expected = 0.5 / 7 + 0.5 * stands_out / stands_out.sum() if shaped else np.full(7, 1 / 7)
    np.testing.assert_allclose(np.mean([run.policy for run in runs], axis=0), expected, atol=0.03)
    spread = np.std([run.policy for run in runs], axis=0)
    np.testing.assert_allclose(spread, np.sqrt(expected * (1 - expected) / 15), rtol=0.35)


def test_a_mixed_evaluator_stands_between_its_two():
    """lambda = 1 values leaves by random games alone, 0 by the network, 0.5 by the mean of both."""
    def optimist(planes, legal):
        return np.zeros(legal.shape, np.float32), np.full(len(planes), 0.5, np.float32)

    def root_value(weight):
        runs = [searched("connect4", 0, {"rollout_weight": weight}, optimist, seed=seed).result(0).value
                for seed in range(400)]
        return np.mean(runs), {round(value, 4) for value in runs}
    network_only, rollout_only, mixed = root_value(0.0), root_value(1.0), root_value(0.5)
    assert network_only[1] == {0.5} and rollout_only[1] <= {-1.0, 0.0, 1.0}
    assert mixed[1] <= {-0.25, 0.25, 0.75} and len(mixed[1]) > 1
    assert mixed[0] == pytest.approx(0.5 * 0.5 + 0.5 * rollout_only[0], abs=1e-6)


def test_principal_variations_of_every_action():
    fast = searched("connect4", 300)
    result = fast.result(0)
    for action in range(7):
        line = fast.principal_variation(0, action)
        state = fast.state(0)
        for move in line:
            state.play(move)                  # raises if it is illegal
        assert line[0] == action and (len(line) > 1) == (result.visits[action] > 1)
    assert fast.principal_variation(0, result.best) == result.pv

"""The search as its callers see it: counts, perspective, reuse, repeatability, errors."""
import threading

import numpy as np
import pytest
from search_helpers import network, same, searched

from mcts_ext.games import make
from mcts_ext.options import SearchOptions
from mcts_ext.result import EvaluationError
from mcts_ext.search import Search


@pytest.mark.parametrize("root", ["puct", "gumbel"])
@pytest.mark.parametrize("evaluate", [network, "uniform", "rollout"])
@pytest.mark.parametrize("sims", [0, 1, 7, 100])
def test_each_simulation_is_one_visit_of_a_legal_action(root, evaluate, sims):
    search = searched(sims=sims, options={"root": root}, evaluate=evaluate, moves="444444")
    result = search.result(0)
    legal = search.state(0).legal()
    assert result.visits.sum() == result.simulations == sims
    assert not result.visits[legal == 0].any() and not result.prior[legal == 0].any()
    assert result.policy.sum() == pytest.approx(1, abs=1e-5) and result.prior.sum() == pytest.approx(1, abs=1e-3)
    assert legal[result.best] and result.pv[0] == result.best
    assert search.active == []


def test_priors_are_the_softmax_over_legal_actions():
    search = searched(sims=0, moves="444444")
    state = search.state(0)
    logits, values = network(state.encode()[None], state.legal()[None])
    expected = np.exp(logits[0]) * state.legal()
    result = search.result(0)
    np.testing.assert_allclose(result.prior, expected / expected.sum(), rtol=3e-4)
    np.testing.assert_allclose(result.policy, result.prior, rtol=3e-4)
    assert result.raw_value == result.value == values[0]


def test_a_win_in_one_is_found_and_valued_by_its_mover():
    """X has three in a column; whoever moves, that column is the move, and the value is the mover's."""
    for options in ({}, {"root": "gumbel"}):
        attack = searched("connect4", 400, options, "uniform", "414141").result(0)
        assert attack.best == 3 and attack.q[3] == 1 and attack.value > 0
        defence = searched("connect4", 400, options, "uniform", "4141414").result  # X has won
        assert defence(0).best == -1 and defence(0).value == -1
        blocking = searched("connect4", 400, options, "uniform", "41414").result(0)
        assert blocking.best == 3 and blocking.q[3] > max(np.delete(blocking.q, 3))


def test_values_change_sign_from_ply_to_ply():
    """An evaluator that always says 'the mover wins' makes every action of the root look lost after one visit."""
    def optimist(planes, legal):
        return np.zeros_like(legal, np.float32), np.ones(len(planes), np.float32)
    result = searched(sims=7, options={"fpu": "absolute", "fpu_value": 0.0, "root_fpu_value": 0.0},
                      evaluate=optimist).result(0)
    assert result.visits.tolist() == [1] * 7
    assert result.q.tolist() == [-1] * 7
    assert result.raw_value == 1 and result.value == pytest.approx((1 - 7) / 8)


def test_evaluations_reach_the_callback_as_its_positions():
    """Every batch holds reachable positions with their masks, at most one a slot."""
    game, seen = make("tictactoe"), []

    def check(planes, legal):
        assert planes.dtype == np.float32 and legal.dtype == np.uint8 and len(planes) <= 5
        for position, mask in zip(planes, legal, strict=True):
            occupied = position[..., 0] + position[..., 1]
            assert ((occupied == 0) | (occupied == 1)).all() and (position[..., 2] == 1).all()
            np.testing.assert_array_equal(mask, 1 - occupied.ravel())
            seen.append(position[..., :2].tobytes())
        return np.zeros((len(planes), 9), np.float32), np.zeros(len(planes), np.float32)

    search = Search(game, 5, seed=1)
    for i in range(5):
        search.start(i, 10 * i, noise=False)
    search.run(check)
    assert [int(search.result(i).visits.sum()) for i in range(5)] == [0, 10, 20, 30, 40]
    assert game.new_state().encode()[..., :2].tobytes() == seen[0]


@pytest.mark.parametrize("options", [{}, {"root": "gumbel", "interior": "gumbel"}])
@pytest.mark.parametrize("evaluate", [network, "uniform", "rollout"])
def test_a_slot_finds_the_same_alone_in_company_and_with_threads(options, evaluate):
    def play(n, threads, slots):
        search = Search(make("connect4"), n, options, seed=3, threads=threads)
        found = []
        for _ in range(4):
            for i in slots:
                search.start(i, 20 + 5 * i)
            search.run(evaluate)
            found.append([search.result(i) for i in slots])
            for i in slots:
                search.play(i, search.choose(i, 1.0))
        return found
    together = play(6, 1, range(6))
    threaded = play(6, 3, range(6))
    for step in range(4):
        assert all(same(a, b) for a, b in zip(together[step], threaded[step], strict=True))
        for i in range(6):
            assert same(play(6, 1, [i])[step][0], together[step][i])
    assert len({tuple(result.visits) for result in together[-1]}) > 1


def test_seeds_differ():
    results = [searched(sims=50, noise=True, seed=seed).result(0) for seed in (1, 1, 2)]
    assert same(results[0], results[1]) and not np.array_equal(results[0].visits, results[2].visits)


def test_playing_keeps_the_subtree():
    search = searched(sims=200)
    before = search.result(0)
    search.play(0, before.best)
    after = search.result(0)
    # One of its visits was its own evaluation.
    assert after.visits.sum() == before.visits[before.best] - 1
    assert after.value == pytest.approx(-before.q[before.best], abs=1e-6)
    assert after.pv == before.pv[1:]
    calls = []
    search.start(0, 50, noise=False)
    search.run(lambda planes, legal: calls.append(len(planes)) or network(planes, legal))
    assert search.result(0).visits.sum() == after.visits.sum() + 50
    assert sum(calls) <= 50                   # the root is not evaluated again
    # The same tree as one that was searched from there with as many visits would know the same root.
    fresh = searched(sims=0, moves=search.game.action_to_text(before.best)).result(0)
    np.testing.assert_array_equal(fresh.prior, search.result(0).prior)
    assert fresh.raw_value == search.result(0).raw_value


def test_playing_an_unvisited_action_starts_a_new_tree():
    search = searched(sims=1)
    unvisited = int(np.flatnonzero(search.result(0).visits == 0)[0])
    search.play(0, unvisited)
    assert search.result(0).visits.sum() == 0 and search.tree_size(0) == (0, 0)


def test_whole_games_end_and_terminal_roots_are_sane():
    search = Search(make("connect4"), 8, {"root": "gumbel"}, seed=5)
    alive = set(range(8))
    while alive:
        for i in alive:
            search.start(i, 16)
        search.run(network)
        for i in list(alive):
            search.play(i, search.choose(i, 1.0))
            if search.state(i).terminal:
                alive.remove(i)
    for i in range(8):
        search.start(i, 100)
    assert search.active == []
    search.run(network)
    result = search.result(0)
    assert (result.best, result.pv, result.simulations) == (-1, [], 0)
    assert result.value == search.state(0).outcome() and not result.visits.any()
    assert search.choose(0, 1.0) == -1
    with pytest.raises(ValueError, match="the game is over"):
        search.play(0, 0)


def test_a_full_tree_stops_growing_and_plays_on():
    limit = 20_000
    search = searched(sims=5000, options={"memory": limit}, evaluate=network)
    result = search.result(0)
    assert result.visits.sum() == 5000 and search.memory_used(0) <= limit
    nodes, edges = search.tree_size(0)
    assert nodes * 64 + edges * 16 >= 0.9 * limit
    for evaluate in ("uniform", "rollout"):
        search = searched(sims=5000, options={"memory": limit}, evaluate=evaluate, moves="414141")
        assert search.memory_used(0) <= limit and search.result(0).best == 3
        search.play(0, 0)
        search.start(0, 5000)
        search.run(evaluate)
        assert search.memory_used(0) <= limit
    with pytest.raises(ValueError, match="bytes or more"):
        Search(make("connect4"), 1, {"memory": 100})


def test_memory_per_node_and_edge():
    search = searched(sims=3000, evaluate="uniform")
    nodes, edges = search.tree_size(0)
    assert nodes > 2900 and edges > 2000
    assert search.memory_used(0) <= 64 * nodes + 16 * edges


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["logits", "values"])
def test_answers_that_are_no_numbers_name_slot_and_position(bad, where):
    search = Search(make("connect4"), 3, seed=1)
    for i in range(3):
        search.play(i, i)
        search.start(i, 30)
    planes, legal = search.collect()
    logits, values = network(planes, legal)
    good = logits.copy(), values.copy()
    (logits[1] if where == "logits" else values)[1] = bad
    with pytest.raises(EvaluationError, match=r"slot 1: [\s\S]*player 2 to move:[\s\S]*\. X \. \. \. \. \.\n1 2 3"):
        search.apply(logits, values)
    # Nothing was taken over; the searches go on.
    search.apply(*good) if len(search.collect()[0]) == 3 else pytest.fail("a slot was lost")
    search.run(network)
    assert [int(search.result(i).visits.sum()) for i in range(3)] == [30, 30, 30]


def test_illegal_actions_may_have_any_logit():
    def masked(planes, legal):
        logits, values = network(planes, legal)
        return np.where(legal, logits, np.nan), values
    assert same(searched(moves="444444").result(0), searched(moves="444444", evaluate=masked).result(0))


def test_wrong_shapes_and_verbs_out_of_turn_are_refused():
    search = Search(make("connect4"), 2, seed=1)
    search.start(0, 5)
    with pytest.raises(RuntimeError, match="slot 0 is searching"):
        search.play(0, 3)
    planes, legal = search.collect()
    with pytest.raises(RuntimeError, match="waits for apply"):
        search.collect()
    with pytest.raises(ValueError, match=r"logits of shape \[1, 6\]: must be \[1, 7\]"):
        search.apply(np.zeros((1, 6)), np.zeros(1))
    with pytest.raises(ValueError, match=r"values of shape \[2\]: must be \[1\]"):
        search.apply(np.zeros((1, 7)), np.zeros(2))
    search.apply(np.zeros((1, 7)), np.zeros((1, 1)))
    assert len(search.collect()[0]) == 1
    search.stop_all()
    assert search.active == [] and len(search.collect()[0]) == 0
    for action, message in [(7, "is not in 0..6"), (-1, "is not in 0..6")]:
        with pytest.raises(ValueError, match=message):
            search.play(0, action)
    for _ in range(6):
        search.play(0, 3)
    with pytest.raises(ValueError, match="slot 0: illegal move 4"):
        search.play(0, 3)
    with pytest.raises(IndexError, match="slot 2"):
        search.result(2)
    with pytest.raises(ValueError, match="simulations"):
        search.start(0, -1)
    with pytest.raises(ValueError, match="'uniform', 'rollout' or a function"):
        search.run("unifrom")
    with pytest.raises(ValueError, match="a state of tictactoe"):
        search.reset(0, make("tictactoe").new_state())
    with pytest.raises(ValueError, match="1 slot or more"):
        Search(make("connect4"), 0)
    with pytest.raises(ValueError, match="threads"):
        Search(make("connect4"), 1, threads=0)


def test_a_failing_evaluator_ends_the_searches():
    search = Search(make("connect4"), 2, seed=1)
    search.start(0, 10)

    def fail(planes, legal):
        raise OSError("the network is gone")
    with pytest.raises(OSError, match="the network is gone"):
        search.run(fail)
    assert search.active == []
    result = search.result(0)
    assert result.simulations == 0 and result.policy.sum() == pytest.approx(1)
    search.start(0, 10)
    search.run(network)
    assert search.result(0).visits.sum() == 10


@pytest.mark.parametrize("evaluate", [network, "uniform", "rollout"])
def test_cancel_from_another_thread(evaluate):
    search = Search(make("connect4"), 2, seed=1, threads=2)
    for i in range(2):
        search.start(i, 2_000_000_000)
    timer = threading.Timer(0.05, search.cancel)
    timer.start()
    search.run(evaluate)
    timer.join()
    assert search.active == []
    assert 0 < search.result(0).simulations < 2_000_000_000
    search.play(0, search.result(0).best)


def test_a_running_search_refuses_other_verbs():
    search = Search(make("connect4"), 1, seed=1)
    search.start(0, 2_000_000_000)
    thread = threading.Thread(target=search.run, args=("uniform",))
    thread.start()
    while True:                               # until the thread is inside
        try:
            search.result(0)
        except RuntimeError as error:
            assert "cancel() ends that" in str(error)
            break
    search.cancel()
    thread.join()
    assert search.active == [] and search.result(0).visits.sum() == search.result(0).simulations


def test_temperature():
    search = searched(sims=100)
    result = search.result(0)
    assert search.choose(0, 0) == result.best
    draws = np.bincount([search.choose(0, 1.0) for _ in range(2000)], minlength=7) / 2000
    np.testing.assert_allclose(draws, result.policy, atol=0.05)
    sharp = np.bincount([search.choose(0, 0.5) for _ in range(2000)], minlength=7) / 2000
    expected = result.policy.astype(float) ** 2
    np.testing.assert_allclose(sharp, expected / expected.sum(), atol=0.05)
    with pytest.raises(ValueError, match="temperature"):
        search.choose(0, -1)


def test_noise_moves_visits_but_not_the_reported_prior():
    calm = searched(sims=60).result(0)
    noisy = [searched(sims=60, noise=True, seed=seed).result(0) for seed in range(5)]
    assert all(np.array_equal(result.prior, calm.prior) for result in noisy)
    assert len({tuple(result.visits) for result in noisy}) > 1
    off = searched(sims=60, noise=True, options={"noise_fraction": 0.0}).result(0)
    assert np.array_equal(off.visits, calm.visits)


def test_options_are_checked():
    with pytest.raises(ValueError, match="search.c_put: unknown option; known: root"):
        Search(make("connect4"), 1, {"c_put": 1})
    with pytest.raises(ValueError, match="search.noise_fraction = 2: must be from 0 to 1"):
        SearchOptions(noise_fraction=2)
    with pytest.raises(ValueError, match="search.root = 'gumble'"):
        SearchOptions(root="gumble")

"""What self-play writes into a record."""

from types import SimpleNamespace

import numpy as np
import pytest

from mcts_ext.connect4_solver import Solver
from mcts_ext.result import UNPROVEN
from zero.config import Config, from_table
from zero.games import make_game
from zero.record import GameRecord
from zero.selfplay import SelfPlayWorker, surprise


def test_surprise_is_the_divergence_of_scipy():
    entropy = pytest.importorskip("scipy.stats").entropy
    rng = np.random.default_rng(0)
    for _ in range(20):
        policy, prior = (rng.dirichlet(np.ones(7)).astype(np.float32) for _ in range(2))
        policy[2] = 0
        policy /= policy.sum()
        assert surprise(policy, prior) == pytest.approx(entropy(policy, prior), rel=1e-4)
    assert surprise(prior, prior) == pytest.approx(0, abs=1e-6)


def test_a_record_has_the_surprise_of_every_target():
    play = {"sims": 8, "lanes": 4, "random_plies": 3}
    settings = {"game": "tictactoe", "search": {"root": "gumbel"}, "selfplay": play}
    worker, game = SelfPlayWorker(from_table(Config, settings, "test")), make_game("tictactoe")
    rng = np.random.default_rng(0)
    answers = {}

    def evaluate(planes, legal):
        for key in (board.tobytes() for board in planes):
            answers.setdefault(key, (rng.normal(size=9).astype(np.float32), rng.uniform(-1, 1)))
        chosen = [answers[board.tobytes()] for board in planes]
        return np.stack([a[0] for a in chosen]), np.array([a[1] for a in chosen], np.float32)

    worker.version, worker._evaluate = 0, evaluate
    for payload in worker.play(60, list(range(6))).records:
        record, state, at = GameRecord.from_bytes(payload), game.new_state(), 0
        for move, count, found in zip(record.moves, record.counts, record.surprises, strict=True):
            expected = 0.0
            if count:
                logits = np.where(state.legal(), answers[state.encode().tobytes()][0], -np.inf)
                prior = np.exp(logits - logits.max())
                prior /= prior.sum()
                p = record.probs[at : at + count].astype(np.float64)
                expected = (p * np.log(p / prior[record.actions[at : at + count]])).sum()
            assert found == pytest.approx(expected, abs=0.01)
            at += count
            state.play(int(move))


def test_a_proof_takes_losing_moves_from_the_policy():
    """Also where all of its moves lose and the good ones were not proven in time: then these share it."""
    worker = SelfPlayWorker(from_table(Config, {"game": "connect4", "selfplay": {"proof_moves": 10}}, "test"))
    state = worker.sizes.own.new_state()
    policy = np.array([0.5, 0.5, 0, 0, 0, 0, 0])
    for values, expected in (
        ([-1, 1, 1, -1, UNPROVEN, -1, -1], [0, 1, 0, 0, 0, 0, 0]),
        ([-1, -1, 1, -1, UNPROVEN, -1, -1], [0, 0, 0.5, 0, 0.5, 0, 0]),
        ([-1, -1, UNPROVEN, -1, UNPROVEN, -1, -1], [0, 0, 0.5, 0, 0.5, 0, 0]),
    ):
        stub = SimpleNamespace(values=lambda state, moves, found=values: np.array(found, np.int8))
        worker.endgames = {state.game: stub}
        np.testing.assert_array_equal(worker._without_losses(state, 1, policy), expected)


def test_proven_positions_are_what_the_solver_says():
    settings = {"sims": 2, "lanes": 8, "proof_moves": 20_000}
    worker, solver = SelfPlayWorker(from_table(Config, {"game": "connect4", "selfplay": settings}, "test")), Solver()
    worker.version = 0
    worker._evaluate = lambda planes, legal: (np.zeros(legal.shape, np.float32), np.zeros(len(legal), np.float32))
    proven = 0
    for payload in worker.play(60, list(range(8))).records:
        record, state = GameRecord.from_bytes(payload), worker.sizes.own.new_state()
        for ply, move in enumerate(record.moves):
            if ply >= max(record.proven, 20):  # before, the solver takes long
                assert record.values[ply] == solver.value(state)
                proven += 1
            state.play(int(move))
    assert proven > 8


@pytest.mark.parametrize("schedule", [{"temperature_plies": 2}, {"temperature_half_life": 1.0}])
def test_the_temperature_falls(schedule):
    """Drawn like policy ** (1 / temperature) at first, the best move in the end; also after a search of nothing."""
    play = {"full_share": 0.5, "sims": 2, "fast_sims": 0, "lanes": 2, **schedule}
    worker = SelfPlayWorker(from_table(Config, {"game": "connect4", "selfplay": play}, "test"))
    policy = np.array([0.4, 0.35, 0.25, 0, 0, 0, 0], np.float32)
    result = SimpleNamespace(policy=policy, best=0)

    def drawn(ply):
        lane = SimpleNamespace(moves=[0] * ply, rng=np.random.default_rng(ply))
        return np.bincount([worker._choose(lane, result) for _ in range(2000)], minlength=7) / 2000

    np.testing.assert_allclose(drawn(0), policy, atol=0.04)
    np.testing.assert_allclose(drawn(8), [1, 0, 0, 0, 0, 0, 0], atol=1e-3)

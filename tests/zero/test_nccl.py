"""Learners with cards, as far as that can be told without one: on a pretended device, with a pretended NCCL."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from random_batches import assert_close, batches, make_config

from nn import backend, reference
from zero.games import make_game
from zero.group import Abandoned
from zero.learner import Learner
from zero.nccl import CardRank, NcclSum

sys.path.append(str(Path(__file__).parent.parent / "nn"))
import fake_cupy  # noqa: E402


@pytest.fixture
def device(monkeypatch):
    """ "cuda" as pretended by fake_cupy, with the reference kernels."""
    compiled = backend._kernels("cpu")
    monkeypatch.setattr(backend, "cupy", lambda: fake_cupy)
    monkeypatch.setattr(backend, "_kernels", lambda device: compiled if device == "cpu" else reference)
    return "cuda"


@pytest.mark.parametrize("game, sizes", [("connect4", None), ("othello6", None), ("go4", {"3": 0.5})])
def test_a_learner_on_a_card_takes_the_step_of_one_here(device, game, sizes):
    points = {"ownership_weight": 0.5, "score_weight": 0.2} if game != "connect4" else {}
    config = make_config(game, sizes, soft_policy_weight=0.5, **points)
    here, there = Learner(make_game(game), config), Learner(make_game(game), config, device=device)
    for batch in batches(config, 2):
        ours, theirs = here.step(batch, 0.5), there.step(batch, 0.5)
        assert theirs.parts == pytest.approx(ours.parts, rel=1e-4)
    assert_close(here.state(), there.state(), rtol=1e-3)
    there.restore(here.state())
    assert_close(here.state(), there.state(), rtol=0)


class Meeting:
    """Sums like NCCL: all ranks call at once, each from a thread of its own."""

    def __init__(self, size):
        self.parts, self.barrier = {}, threading.Barrier(size)

    def sum_for(self, rank):
        def add_up(array):
            self.parts[rank] = array
            self.barrier.wait(30)
            total = sum(self.parts[k] for k in sorted(self.parts))
            self.barrier.wait(30)
            return total

        return add_up


def card_ranks(config, size):
    meeting, ranks = Meeting(size), [CardRank(config) for _ in range(size)]
    for number, rank in enumerate(ranks):
        rank.sum = meeting.sum_for(number)
        rank.learner = Learner(make_game(config.game), config, reduce=rank._add_up)
    return ranks


def test_ranks_that_speak_without_the_driver_take_the_step_of_one():
    config = make_config()
    alone, ranks = Learner(make_game(config.game), config), card_ranks(config, 2)
    with ThreadPoolExecutor(2) as threads:
        for batch in batches(config, 2):
            expected = alone.step(batch, 0.5)
            parts = [batch.part(slice(0, 15)), batch.part(slice(15, 30))]
            for losses in threads.map(lambda rank, part: rank.begin(part, 0.5), ranks, parts):
                assert losses.parts == pytest.approx(expected.parts, rel=1e-4)
    for rank in ranks:
        assert_close(alone.state(), rank.state())


def test_a_rank_whose_neighbour_fails_is_where_it_was():
    config = make_config()
    [rank], calls = card_ranks(config, 1), []

    def failing(array):
        calls.append(array)
        if len(calls) == 6:
            raise Abandoned
        return array

    rank.sum = failing
    before = rank.state()
    assert rank.begin(batches(config, 1)[0], 0.5) is None
    assert all(np.array_equal(before[name], array) for name, array in rank.state().items())


@pytest.mark.gpu
@pytest.mark.skipif(backend.cupy() is None, reason="needs an NVIDIA card, its driver and CuPy")
def test_nccl_sums_on_a_card():
    """One rank alone: what one card can say of the calls."""
    import cupy
    from cupy.cuda import nccl

    alone = NcclSum(0, 1, nccl.get_unique_id())
    for dtype in (np.float32, np.float64):
        array = np.arange(1000, dtype=dtype)
        assert np.array_equal(alone(array), array)
        assert isinstance(alone(cupy.asarray(array)), cupy.ndarray)
    alone.close()

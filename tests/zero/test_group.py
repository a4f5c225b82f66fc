"""Several learners that share each batch do what one does with all of it; one that dies changes nothing."""

import os

import numpy as np
import pytest
from random_batches import assert_close, batches, make_config
from tiny_run import games, train, weights

from nn import save
from zero import backends
from zero.errors import UserError
from zero.games import make_game
from zero.group import LearnerGroup, Rank
from zero.learner import Learner
from zero.supervisor import Stopped


@pytest.mark.parametrize(
    "where,size,game", [("inline", 2, "connect4"), ("inline", 3, "othello6"), ("process", 2, "connect4")]
)
def test_ranks_take_the_step_of_one_learner_with_the_joined_batch(where, size, game):
    config = make_config(game, **({"ownership_weight": 0.5, "score_weight": 0.2} if game == "othello6" else {}))
    alone = Learner(make_game(config.game), config)
    group = LearnerGroup(backends.make(where), config, size)
    try:
        for batch in batches(config, 3):
            one, many = alone.step(batch, 0.5), group.step(batch, 0.5)
            assert many.parts == pytest.approx(one.parts, rel=1e-4)
            assert many.gradient_norm == pytest.approx(one.gradient_norm, rel=1e-3)
        for handle in group.ranks:
            assert_close(alone.state(), group._ask(handle, "state"))
    finally:
        group.close()


def test_the_gradient_is_that_of_the_joined_batch():
    """Not only the steps: every parameter's gradient, before the optimiser sees it."""
    config = make_config(gradient_clip=0.0)
    [batch] = batches(config, 1)
    alone = Learner(make_game(config.game), config)
    alone.differentiate(batch)
    group = LearnerGroup(backends.make("inline"), config, 2)
    group.step(batch, 0.5)
    for name, p in alone.network.named_parameters():
        joint = dict(group.ranks[1].learner.network.named_parameters())[name]
        assert np.abs(p.grad - joint.grad).max() <= 2e-4 * np.abs(p.grad).max() + 1e-7, name


def test_without_shared_statistics_the_gradient_would_be_another():
    """The check above can fail: halves of a batch, normalised each by itself, give another mean gradient."""
    config = make_config(gradient_clip=0.0)
    [batch] = batches(config, 1)
    learner = Learner(make_game(config.game), config)
    learner.differentiate(batch)
    whole = learner.network.stem.conv.weight.grad.copy()
    total = np.zeros_like(whole)
    for half in (slice(0, 15), slice(15, 30)):
        learner.optimizer.zero_grad()
        learner.differentiate(batch.part(half))
        total += learner.network.stem.conv.weight.grad / 2
    assert np.abs(total - whole).max() > 0.02 * np.abs(whole).max()


def test_files_are_those_of_one_learner(tmp_path):
    config = make_config()
    alone, group = Learner(make_game(config.game), config), LearnerGroup(backends.make("inline"), config, 2)
    first, second = batches(config, 2)
    alone.step(first, 0.5), group.step(first, 0.5)
    group.save(tmp_path / "group")
    group.export(tmp_path / "net", 1)
    assert_close(alone.state(), save.load(tmp_path / "group"))
    resumed = LearnerGroup(backends.make("inline"), config, 3)
    resumed.load(tmp_path / "group")
    resumed.step(second, 0.5), group.step(second, 0.5)
    resumed.save(tmp_path / "resumed"), group.save(tmp_path / "group")
    assert_close(save.load(tmp_path / "group"), save.load(tmp_path / "resumed"))


class Mortal(Rank):
    """Dies at the `at`-th exchange of its life."""

    def __init__(self, config, threads, at):
        super().__init__(config, threads)
        self.left = at

    def go_on(self, total):
        self.left -= 1
        if self.left == 0:
            os._exit(1)
        return super().go_on(total)


class MortalGroup(LearnerGroup):
    at = [5]

    def _spawn(self, place):
        if self.at:
            return self.backend.spawn_on(place, Mortal, self.config, self.threads, self.at.pop())
        return super()._spawn(place)


EXCHANGES = 1 + 2 * 9 + 1  # counts, 9 batch normalisations forward and back, gradients


@pytest.mark.parametrize("at", [3, EXCHANGES, EXCHANGES + 4])
def test_a_rank_that_dies_is_replaced_and_nothing_is_lost(at):
    """It dies within a step, when the others have taken it, or in the second step: the end is the same bit for bit."""
    config = make_config()
    steps = batches(config, 3)
    unbroken, broken = LearnerGroup(backends.make("inline"), config, 2), None
    try:
        MortalGroup.at = [at]
        broken = MortalGroup(backends.make("process"), config, 2)
        for batch in steps:
            assert unbroken.step(batch, 0.5) == broken.step(batch, 0.5)
        assert not MortalGroup.at and broken.ranks[0].process.is_alive()
        expected = unbroken._ask(unbroken.ranks[0], "state")
        for handle in broken.ranks:
            state = broken._ask(handle, "state")
            assert all(np.array_equal(expected[name], state[name]) for name in expected)
    finally:
        broken.close()


def test_when_all_ranks_die_the_run_stops_with_a_line():
    config = make_config()
    MortalGroup.at = [3, 3]
    group = MortalGroup(backends.make("process"), config, 2)
    try:
        with pytest.raises(UserError, match="--resume"):
            group.step(batches(config, 1)[0], 0.5)
    finally:
        group.close()


def test_a_run_with_two_learners_ends_the_same_when_it_was_stopped_between(tmp_path):
    whole = train(tmp_path / "whole", learners=2)
    asked = iter([False] * 6)
    with pytest.raises(Stopped):
        train(tmp_path / "stopped", learners=2, should_stop=lambda: next(asked, True))
    resumed = train(tmp_path / "stopped", learners=2)
    assert weights(resumed) == weights(whole) and games(resumed) == games(whole)


def test_more_ranks_than_samples_are_refused():
    with pytest.raises(UserError, match="learner.batch = 30"):
        LearnerGroup(backends.make("inline"), make_config(), 31)

"""Asynchronous learning: shards add up to the optimiser, staleness is counted and bounded, the dead are replaced."""

import os

import numpy as np
import pytest
from random_batches import assert_close, batches, make_config

from nn import save
from zero import backends
from zero.errors import UserError
from zero.games import make_game
from zero.learner import Learner
from zero.parameter_server import AsynchronousLearner, Replica


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_one_replica_and_its_shards_are_a_learner(optimizer, tmp_path):
    """Without a second replica nothing is stale, and three shards do what the one optimiser does, bit for bit."""
    config = make_config(max_staleness=4, optimizer=optimizer)
    alone = Learner(make_game(config.game), config)
    server = AsynchronousLearner(backends.make("inline"), config, 3)
    server.replicas = server.replicas[:1]
    steps = batches(config, 4)
    assert list(alone.steps(steps, 0.5)) == list(server.steps(steps, 0.5))
    server.save(tmp_path / "server")
    assert_close(alone.state(), save.load(tmp_path / "server"), rtol=1e-6)
    assert server.report() == {"staleness": 0.0, "max_staleness": 0, "gradients_dropped": 0.0}


def test_staleness_is_counted_weighed_and_bounded():
    """Four replicas that begin together: their gradients are 0, 1, 2, 3 steps old when they arrive; the last is
    beyond the bound."""
    config = make_config(max_staleness=2, optimizer="sgd", ema=0.0)
    server = AsynchronousLearner(backends.make("inline"), config, 4)
    steps = batches(config, 4)
    start, expected = Learner(make_game(config.game), config), Learner(make_game(config.game), config)
    losses = list(server.steps(steps, 0.5))
    for staleness, batch in enumerate(steps[:3]):
        start.network.load_state_dict(Learner(make_game(config.game), config).network.state_dict())
        assert losses[staleness] == start.differentiate(batch)
        for ours, theirs in zip(expected.parameters, start.parameters, strict=True):
            ours.grad = theirs.grad / np.float32(1 + staleness)
        expected.update(0.5)
    assert np.allclose(server.copy.optimizer.flat, expected.optimizer.flat, rtol=1e-5, atol=1e-7)
    assert server.version == 3
    assert server.report() == {"staleness": 1.5, "max_staleness": 3, "gradients_dropped": 0.25}


def test_a_resumed_server_goes_on(tmp_path):
    """Parameters, statistics, optimiser and average survive a file, also into another number of shards."""
    config = make_config(max_staleness=4)
    first, second = batches(config, 2)
    server = AsynchronousLearner(backends.make("inline"), config, 2)
    list(server.steps([first], 0.5))
    server.save(tmp_path / "middle")
    resumed = AsynchronousLearner(backends.make("inline"), config, 3)
    resumed.load(tmp_path / "middle")
    for learner, name in ((server, "a"), (resumed, "b")):
        list(learner.steps([second], 0.5))
        learner.save(tmp_path / name)
    a, b = save.load(tmp_path / "a"), save.load(tmp_path / "b")
    assert all(np.array_equal(a[name], b[name]) for name in a)


class MortalReplica(Replica):
    def differentiate(self, parameters, statistics, batch):
        os._exit(1)


class Mortal(AsynchronousLearner):
    replica_deaths = 0

    def _spawn_replica(self, k):
        if self.replica_deaths:
            self.replica_deaths -= 1
            return self.backend.spawn(MortalReplica, self.config, self.threads)
        return super()._spawn_replica(k)


def test_a_replica_and_a_shard_that_die_are_replaced():
    config = make_config(max_staleness=4)

    class Broken(Mortal):
        replica_deaths = 2

    server = Broken(backends.make("process"), config, 2)
    try:
        assert len(list(server.steps(batches(config, 5), 0.5))) == 5
        assert server.version == 5 and server.replica_deaths == 0
        before = server.copy.optimizer.flat.copy()
        server.shards[1].process.kill()
        server.shards[1].process.join()
        assert len(list(server.steps(batches(config, 3), 0.5))) == 3
        moved = server.copy.optimizer.flat != before
        assert server.version == 8 and all(moved[part].mean() > 0.5 for part in server.slices)
    finally:
        server.close()


def test_replicas_that_keep_dying_stop_the_run():
    config = make_config(max_staleness=4)

    class Broken(Mortal):
        replica_deaths = 100

    server = Broken(backends.make("inline"), config, 1)
    server.backend = backends.make("process")
    server.replicas = [server._spawn_replica(0)]
    try:
        with pytest.raises(UserError, match="--resume"):
            list(server.steps(batches(config, 1), 0.5))
    finally:
        for handle in server.replicas:
            server.backend.kill(handle)


def test_learning_asynchronously_lowers_the_loss():
    """Real processes, each at its own pace."""
    config = make_config(max_staleness=4, batch=64)
    server = AsynchronousLearner(backends.make("process"), config, 2)
    [batch] = batches(config, 1)
    first, *_, alone = Learner(make_game(config.game), config).steps([batch] * 40, 0.0)
    try:
        *_, last = server.steps([batch] * 40, 0.0)
    finally:
        server.close()
    gained = {name: (first.parts[name] - last.parts[name]) / (first.parts[name] - alone.parts[name])
              for name in ("policy", "value")}  # fmt: skip
    assert min(gained.values()) > 0.5, gained
    assert server.report()["gradients_dropped"] < 0.5

"""The pool of workers: late ones hold nobody up, networks that arrive damaged are not played."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from tiny_run import SETTINGS

from zero.backends import WorkerDied
from zero.backends.inline import InlineBackend, InlineCall
from zero.config import Config, from_table
from zero.errors import UserError
from zero.games import make_game
from zero.network import Network, save_network
from zero.pool import WorkerPool
from zero.weights import DamagedWeights, Weights

CONFIG = from_table(Config, SETTINGS, "test")


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "net.safetensors"
    save_network(path, Network(make_game("tictactoe"), CONFIG.network, np.random.default_rng(0)), "tictactoe")
    return Weights.read(path, version=3)


class Late(InlineBackend):
    """The first worker's machine has not come yet, or is cut off: its calls do not end."""

    def __init__(self):
        self.spawned = []

    def spawn(self, role, *args):
        self.spawned.append(super().spawn(role, *args))
        return self.spawned[-1]

    def wait(self, calls, timeout=None):
        return [call for call in calls if call.handle is not self.spawned[0]]


def numbers(deliveries):
    return sorted(record.index for delivery in deliveries for record in delivery.records)


def test_a_worker_that_does_not_come_holds_nobody_up(weights):
    backend = Late()
    pool = WorkerPool(backend, CONFIG, 2, print)
    for first in (0, 40):  # two rounds: it still loads the first network when the second begins
        assert numbers(pool.play(weights, list(range(first, first + 40)))) == list(range(first, first + 40))


class Dying(InlineBackend):
    """Every `period`-th call is answered by a death."""

    def __init__(self, period):
        self.calls, self.period = itertools.count(1), period

    def call(self, handle, method, *args):
        if next(self.calls) % self.period == 0:
            return InlineCall(handle, error=WorkerDied("a worker died"))
        return super().call(handle, method, *args)


def test_deaths_now_and_then_are_borne_and_every_game_comes_once(weights):
    messages = []
    pool = WorkerPool(Dying(4), CONFIG, 3, messages.append)
    assert numbers(pool.play(weights, list(range(100)))) == list(range(100))
    assert pool.restarts == len(messages) > 0


def test_deaths_without_end_are_an_error(weights):
    with pytest.raises(UserError, match="a worker died, after 5 others"):
        list(WorkerPool(Dying(1), CONFIG, 2, print).play(weights, [0, 1]))


def test_a_network_that_arrives_damaged_is_not_played(weights):
    """One flipped bit in the bytes, which the file format itself would not notice."""
    data = bytearray(weights.data)
    data[-1] ^= 1
    with pytest.raises(DamagedWeights, match="network 3"), replace(weights, data=bytes(data)).as_file():
        pass
    messages = []
    with pytest.raises(UserError, match="arrived damaged"):
        list(WorkerPool(InlineBackend(), CONFIG, 1, messages.append).play(replace(weights, data=bytes(data)), [0]))

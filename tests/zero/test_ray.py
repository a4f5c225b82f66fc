"""A training on real Ray nodes is the training on one machine: same games, same networks, whatever dies meanwhile."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from ray_cluster import Cluster
from test_spool import spooled
from tiny_run import LONGER, SETTINGS, games, train, weights

from zero.config import Config, from_table
from zero.run import RunDirectory

pytest.importorskip("ray", reason="needs Ray: pip install 'zero-engine[cluster]'")
pytestmark = pytest.mark.slow

def create(root, changes=LONGER):
    return RunDirectory.create(root, from_table(Config, SETTINGS | changes, "test"), {})


def start(cluster, root, *more, **options):
    return cluster.run("zero", "train", "--resume", root, "--cluster", cluster.address, *more, **options)


def finish(process, seconds=300):
    _, text = process.communicate(timeout=seconds)
    assert process.returncode == 0, text
    return text


def wait_for_games(root, count, process, seconds=120):
    """Until so many bytes of games are in the log."""
    deadline = time.monotonic() + seconds
    while sum(p.stat().st_size for p in (root / "games").glob("*.seg")) < count:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.05)


def wait_for_no_workers(cluster, seconds=60):
    deadline = time.monotonic() + seconds
    while cluster.roles("SelfPlayWorker"):
        assert time.monotonic() < deadline, "a dead driver's workers live on"
        time.sleep(0.2)


CONTRACT = """
import os, time
from test_backends import Role
from zero import backends
from zero.backends import WorkerDied
backend = backends.make({address!r})
handle = backend.spawn(Role, 10)
for expected in (11, 12):
    [call] = backend.wait([backend.call(handle, "add", 1)])
    assert call.handle is handle and call.result() == expected
[call] = backend.wait([backend.call(handle, "add", backend.share(1))])
assert call.result() == 13
def died(call):
    try:
        call.result()
    except WorkerDied as error:
        return str(error)
    raise AssertionError("it lives")
[call] = backend.wait([backend.call(handle, "fail")])
try:
    call.result()
except ValueError as error:
    assert str(error) == "wrong number"
[call] = backend.wait([backend.call(handle, "die")], timeout=60)
assert "died unexpectedly" in died(call)
[call] = backend.wait([backend.call(handle, "add", 1)], timeout=60)
assert died(call)
backend.kill(handle)
unmade = backend.spawn(Role)
[call] = backend.wait([backend.call(unmade, "add", 1)], timeout=60)
assert "missing 1 required positional argument" in died(call)
slow = backend.spawn(Role, 0)
[call] = backend.wait([backend.call(slow, "add", 1)], timeout=60)
call = backend.call(slow, "sleep", 60)
assert backend.wait([call], timeout=0.05) == []
backend.kill(slow)
assert died(call)
print("all held")
"""


def test_the_backend_keeps_the_contract(cluster):
    script = CONTRACT.format(address=cluster.address)
    done = subprocess.run([sys.executable, "-c", script], env=cluster.environment, capture_output=True, text=True,
                          timeout=300)  # fmt: skip
    assert "all held" in done.stdout, done.stderr


def test_the_doctor_finds_a_sound_cluster_sound(cluster):
    process = cluster.run("zero", "cluster", "doctor", "--cluster", cluster.address, "--game", "tictactoe", "--json")
    out, text = process.communicate(timeout=300)
    assert process.returncode == 0, text
    checks = json.loads(out.splitlines()[-1])["checks"]
    assert len(checks) == 3 and all(fault is None for group in checks.values() for fault in group.values())


def test_another_token_is_refused(cluster, tmp_path):
    other = Cluster()
    try:
        other.address = cluster.address
        create(tmp_path / "run")
        process = start(other, tmp_path / "run")
        _, text = process.communicate(timeout=120)
        assert process.returncode == 2 and "auth_token" in text.splitlines()[-1]
    finally:
        other.close()


def test_a_cluster_plays_and_learns_the_same(cluster, expected, tmp_path):
    create(tmp_path / "run")
    finish(start(cluster, tmp_path / "run"))
    run = RunDirectory.open(tmp_path / "run")
    assert games(run) == games(expected(2)) and weights(run) == weights(expected(2))


def test_workers_killed_at_random_are_replaced_and_nothing_is_lost(cluster, expected, tmp_path):
    create(tmp_path / "run")
    process = start(cluster, tmp_path / "run")
    killed = 0
    for size in (1, 40_000):
        wait_for_games(tmp_path / "run", size, process)
        for pid in cluster.roles("SelfPlayWorker")[:1]:
            os.kill(pid, signal.SIGKILL)
            killed += 1
    text = finish(process)
    assert killed == 2 and "its games are played again" in text
    run = RunDirectory.open(tmp_path / "run")
    assert games(run) == games(expected(2)) and weights(run) == weights(expected(2))


def test_a_killed_driver_is_resumed(cluster, expected, tmp_path):
    create(tmp_path / "run")
    kept = {}
    for size in (1, 40_000):
        process = start(cluster, tmp_path / "run")
        wait_for_games(tmp_path / "run", size, process)
        process.kill()
        process.communicate()
        after = games(RunDirectory.open(tmp_path / "run"))
        assert kept.items() <= after.items(), "a finished game was lost"
        kept = after
    finish(start(cluster, tmp_path / "run"))
    run = RunDirectory.open(tmp_path / "run")
    assert games(run) == games(expected(2)) and weights(run) == weights(expected(2))
    wait_for_no_workers(cluster)


def test_what_was_in_flight_when_the_driver_was_killed_is_not_played_again(cluster, expected, tmp_path):
    create(tmp_path / "run")
    process, run, left = start(cluster, tmp_path / "run", "--workers", 1), RunDirectory.open(tmp_path / "run"), set()
    wait_for_games(run.root, 1, process)
    while not left:
        assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGSTOP)
        time.sleep(1)  # meanwhile the worker's call comes to its end
        left = spooled(cluster.cache) - games(run).keys()
        process.send_signal(signal.SIGKILL if left else signal.SIGCONT)
        time.sleep(0.05)
    process.communicate()
    wait_for_no_workers(cluster)
    finish(start(cluster, tmp_path / "run", "--workers", 1))
    assert run.metrics()[-1]["spooled_games"] == len(left)
    assert games(run) == games(expected(1)) and weights(run) == weights(expected(1))


def test_a_killed_learner_is_replaced_and_nothing_is_lost(cluster, tmp_path):
    """Two of them on two cores, beside two workers; one is killed in mid-learning, or between."""
    expected = train(tmp_path / "expected", 2, learners=2)
    create(tmp_path / "run", {})
    process = start(cluster, tmp_path / "run", "--learners", 2)
    killed = set()
    for size in (1, 6_000):
        wait_for_games(tmp_path / "run", size, process)
        victim = (set(cluster.roles("Rank")) - killed).pop()
        os.kill(victim, signal.SIGKILL)
        killed.add(victim)
    finish(process)
    run = RunDirectory.open(tmp_path / "run")
    assert games(run) == games(expected) and weights(run) == weights(expected)


LEARNERS = """
import time
import numpy as np
import ray
from random_batches import assert_close, batches, make_config
from ray.util import placement_group_table
from zero import backends
from zero.backends import ray as ray_backend
from zero.errors import UserError
from zero.games import make_game
from zero.group import LearnerGroup, Rank
from zero.learner import Learner
from zero.parameter_server import AsynchronousLearner
def eventually(holds):
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, placement_group_table()
        time.sleep(0.2)
backend = backends.make({address!r})
config = make_config()
alone, group = Learner(make_game(config.game), config), LearnerGroup(backend, config, 2)
for batch in batches(config, 2):
    alone.step(batch, 0.5), group.step(batch, 0.5)
assert_close(alone.state(), group._ask(group.ranks[1], "state"))
eventually(lambda: ray.available_resources().get("CPU") == ray.cluster_resources()["CPU"])  # self-play has them all
group.close()
class Card(Rank):
    gpus = 1
class Cards(LearnerGroup):
    rank = Card
ray_backend.PATIENCE = 2.0
try:
    Cards(backend, config, 2)
    raise AssertionError("there is no card here")
except UserError as error:
    assert "no room for 2 learners: each needs 1 graphics card" in str(error)
config = make_config(max_staleness=4)
server = AsynchronousLearner(backend, config, 1)
alone = Learner(make_game(config.game), config)
steps = batches(config, 3)
assert list(alone.steps(steps, 0.5)) == list(server.steps(steps, 0.5))
server._fetch()
assert_close(alone.state(), server.copy.state(), rtol=1e-6)
server.close()
eventually(lambda: {{group["state"] for group in placement_group_table().values()}} == {{"REMOVED"}})
print("all held")
"""


def test_learners_on_a_cluster_take_the_steps_of_one(cluster):
    script = LEARNERS.format(address=cluster.address)
    done = subprocess.run([sys.executable, "-c", script], env=cluster.environment, capture_output=True, text=True,
                          timeout=300)  # fmt: skip
    assert "all held" in done.stdout, done.stderr


def test_a_node_that_dies_costs_nothing_but_time(cluster, expected, tmp_path):
    node = cluster.start_node(cores=1)
    create(tmp_path / "run")
    process = start(cluster, tmp_path / "run", "--workers", 3)
    wait_for_games(tmp_path / "run", 1, process)
    cluster.kill(node)
    finish(process)
    run = RunDirectory.open(tmp_path / "run")
    assert games(run) == games(expected(3)) and weights(run) == weights(expected(3))

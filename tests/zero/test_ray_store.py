"""Replay stores on real Ray nodes: a copy outlives its process, its node, and the driver with all its disk."""

import json
import os
import shutil
import signal
import time

import pytest
from test_ray import create, finish, start, wait_for_games
from test_store import assert_copies
from tiny_run import games, weights

from zero.run import RunDirectory

pytest.importorskip("ray", reason="needs Ray: pip install 'zero-engine[cluster]'")
pytestmark = pytest.mark.slow

STORES = ("--stores", "~/copies")


def start_disk(cluster, home, cores=0, address=None, prefix=()):
    """A node whose ~ is there."""
    (home / "copies").mkdir(parents=True, exist_ok=True)
    return cluster.start_node(cores, address, [*prefix, "env", f"HOME={home}"], ['--resources={"disk": 1}'])


def test_the_doctor_looks_at_the_disks(cluster, tmp_path):
    start_disk(cluster, tmp_path / "a")
    start_disk(cluster, tmp_path / "b")
    (tmp_path / "b/copies").rmdir()
    process = cluster.run("zero", "cluster", "doctor", "--cluster", cluster.address, "--game", "tictactoe", "--json",
                          "--stores", "~/copies")  # fmt: skip
    out, text = process.communicate(timeout=300)
    assert process.returncode == 1, text
    checks = json.loads(out.splitlines()[-1])["checks"]
    faults = [fault for group in checks.values() for fault in group.values() if fault]
    assert faults == [f"{tmp_path / 'b/copies'}: there is no such directory"]
    assert sum("store" in group for group in checks.values()) == 2 and not checks["cluster"]["nodes with a disk"]


def test_stores_and_their_nodes_die_and_come_back(cluster, expected, tmp_path):
    """The run may be over before the second node is there again: then the next start brings it up to date."""
    nodes = [start_disk(cluster, tmp_path / name) for name in ("a", "b")]
    create(tmp_path / "run")
    process = start(cluster, tmp_path / "run", *STORES)
    wait_for_games(tmp_path / "run", 1, process)
    os.kill(cluster.roles("ReplayStore")[0], signal.SIGKILL)
    wait_for_games(tmp_path / "run", 40_000, process)
    cluster.kill(nodes[1])
    start_disk(cluster, tmp_path / "b")
    assert "the run goes on without it" in finish(process)
    finish(start(cluster, tmp_path / "run", *STORES))
    run = RunDirectory.open(tmp_path / "run")
    assert games(run) == games(expected(2)) and weights(run) == weights(expected(2))
    assert_copies(run, tmp_path / "a/copies", tmp_path / "b/copies")


def test_a_driver_lost_with_its_disk_is_replaced_by_a_copy(cluster, expected, tmp_path):
    """Whatever a store had acknowledged is there; the training goes on from the store's directory."""
    start_disk(cluster, tmp_path / "a")
    create(tmp_path / "run")
    process, copy = start(cluster, tmp_path / "run", *STORES), tmp_path / "a/copies/run"
    wait_for_games(tmp_path / "run", 1, process)
    wait_for_games(copy, 40_000, process)
    process.kill()
    process.communicate()
    shutil.rmtree(tmp_path / "run")
    deadline = time.monotonic() + 30
    while cluster.roles("ReplayStore"):  # holds the copy until it has noticed
        assert time.monotonic() < deadline
        time.sleep(0.2)
    kept = games(RunDirectory.open(copy))
    finish(start(cluster, copy))
    run = RunDirectory.open(copy)
    assert kept.items() <= games(run).items()
    assert games(run) == games(expected(2)) and weights(run) == weights(expected(2))

"""A node that is cut off, and comes back: hosts are network namespaces of this machine, joined by a bridge."""

import os
import shutil
import subprocess
import time

import pytest
from ray_cluster import Cluster
from test_ray import create, finish, start, wait_for_games
from test_ray_store import STORES, start_disk
from test_store import assert_copies
from tiny_run import games, weights

from zero.run import RunDirectory

pytest.importorskip("ray", reason="needs Ray: pip install 'zero-engine[cluster]'")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("ip") is None, reason="needs root and ip for namespaces"),
]

HUB = f"zr{os.getpid()}"
NOTICED = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "4",
}


def ip(*words, check=True):
    return subprocess.run(["ip", *words], check=check, capture_output=True, text=True)


class Hosts:
    """Hosts 1..count at 10.77.0.NUMBER, each in a namespace of its own."""

    def __init__(self, count):
        self.numbers = range(1, count + 1)

    def __enter__(self):
        try:
            ip("netns", "add", HUB)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces here: {error.stderr.strip()}")
        ip("-n", HUB, "link", "add", "bridge", "type", "bridge")
        ip("-n", HUB, "link", "set", "bridge", "up")
        for number in self.numbers:
            host = f"{HUB}h{number}"
            ip("netns", "add", host)
            ip("-n", host, "link", "set", "lo", "up")
            ip("-n", HUB, "link", "add", f"port{number}", "type", "veth", "peer", "name", "eth0", "netns", host)
            ip("-n", HUB, "link", "set", f"port{number}", "master", "bridge", "up")
            ip("-n", host, "addr", "add", f"10.77.0.{number}/24", "dev", "eth0")
            ip("-n", host, "link", "set", "eth0", "up")
            ip("-n", host, "route", "add", "default", "dev", "eth0")
        return self

    def __exit__(self, *_):
        for host in [f"{HUB}h{number}" for number in self.numbers] + [HUB]:
            ip("netns", "del", host, check=False)

    def on(self, number):
        """What to put before a command that shall run there."""
        return ["ip", "netns", "exec", f"{HUB}h{number}"]

    def connect(self, number, connected):
        ip("-n", HUB, "link", "set", f"port{number}", "up" if connected else "down")


def test_a_node_that_is_cut_off_and_comes_back_changes_nothing(expected, tmp_path):
    """Both nodes play and keep a copy; that of the other one is whole in the end."""
    with Hosts(3) as hosts:
        cluster = Cluster(**NOTICED)
        try:
            cluster.start_head("10.77.0.1", hosts.on(1))
            for number in (2, 3):
                start_disk(cluster, tmp_path / str(number), 1, f"10.77.0.{number}", hosts.on(number))
            root = tmp_path / "run"
            create(root)
            process = start(cluster, root, "--workers", 2, *STORES, prefix=hosts.on(1))
            wait_for_games(root, 1, process)
            hosts.connect(2, False)
            wait_for_games(root, 40_000, process)  # more than the cut-off worker's share is missing
            hosts.connect(2, True)
            began = time.monotonic()
            text = finish(process)
            assert "its games are played again" in text, f"nobody noticed; finished after {time.monotonic() - began}"
        finally:
            cluster.close()
    run = RunDirectory.open(root)
    assert games(run) == games(expected(2)) and weights(run) == weights(expected(2))
    assert_copies(run, tmp_path / "3/copies")

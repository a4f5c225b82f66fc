"""Backends: the same four verbs, the same answers; a dead worker is noticed, not waited for."""

import os
import subprocess
import sys
import time

import pytest

from zero import backends
from zero.backends import WorkerDied
from zero.errors import UserError


class Role:
    """A role for the tests."""

    def __init__(self, start):
        self.total = start

    def add(self, number):
        self.total += number
        return self.total

    def fail(self):
        raise ValueError("wrong number")

    def die(self):
        os._exit(7)

    def sleep(self, seconds):
        time.sleep(seconds)


@pytest.mark.parametrize("name", ["inline", "process"])
def test_calls_answer_in_order_and_errors_come_back(name):
    backend = backends.make(name)
    handle = backend.spawn(Role, 10)
    try:
        for expected in (11, 12):
            [call] = backend.wait([backend.call(handle, "add", 1)])
            assert call.handle is handle and call.result() == expected
        [call] = backend.wait([backend.call(handle, "fail")])
        with pytest.raises(ValueError, match="wrong number"):
            call.result()
        [call] = backend.wait([backend.call(handle, "add", backend.share(0))])
        assert call.result() == 12
        assert backend.capacity >= 1
    finally:
        backend.kill(handle)


def test_a_dead_process_is_noticed_at_once():
    backend = backends.make("process")
    handle = backend.spawn(Role, 0)
    [call] = backend.wait([backend.call(handle, "die")], timeout=30)
    with pytest.raises(WorkerDied, match="exit code 7"):
        call.result()
    [call] = backend.wait([backend.call(handle, "add", 1)], timeout=30)
    with pytest.raises(WorkerDied):
        call.result()
    backend.kill(handle)


def test_a_killed_process_is_gone_and_wait_times_out():
    backend = backends.make("process")
    handle = backend.spawn(Role, 0)
    call = backend.call(handle, "sleep", 60)
    assert backend.wait([call], timeout=0.05) == []
    backend.kill(handle)
    assert not handle.process.is_alive()


@pytest.mark.parametrize("address", ["auto", "127.0.0.1:1"])
def test_without_ray_one_line_says_what_to_install(address, tmp_path):
    script = "import sys; sys.modules['ray'] = None; from zero.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", script, "train", "configs/tictactoe.toml", "--cluster", address]
    done = subprocess.run([*command, "--run", tmp_path / "run"], capture_output=True, text=True)
    assert done.returncode == 2 and not (tmp_path / "run").exists()
    assert "pip install 'zero-engine[cluster]'" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "address,fault", [("127.0.0.1:1", "nothing answers there"), ("somewhere", "must be auto or HOST:PORT")]
)
def test_a_cluster_that_is_not_there_is_said_at_once(address, fault):
    pytest.importorskip("ray", reason="needs Ray: pip install 'zero-engine[cluster]'")
    from zero.backends.ray import check_reachable

    with pytest.raises(UserError, match=fault):
        check_reachable(address)

"""A disk that fills up: one clear line, a non-zero exit; with room again the run goes on as if nothing had been."""

import os
import signal
import subprocess

import numpy as np
import pytest
from tiny_run import SETTINGS, games, weights

from zero.cli import main
from zero.config import Config, from_table
from zero.run import RunDirectory


@pytest.fixture
def disk(tmp_path):
    """A file system of one megabyte."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield path
    for number, handler in handlers.items():  # the command sets its own
        signal.signal(number, handler)
    subprocess.run(["umount", "--lazy", path], check=True)  # a stopped run's file may still await the collector


def test_a_run_survives_a_disk_that_is_full_again_and_again(unbroken, disk, capsys):
    """Room runs out at ten places; each time the run stops with one line, and in the end nothing is missing."""
    rng = np.random.default_rng(0)
    root, ballast = disk / "run", disk / "ballast"
    RunDirectory.create(root, from_table(Config, SETTINGS, "test"), {})
    refusals = 0
    for _ in range(10):
        ballast.unlink(missing_ok=True)
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        ballast.write_bytes(bytes(free - 4096 * int(rng.integers(1, 12))))
        code = main(["train", "--resume", str(root), "--workers", "1"])
        error = capsys.readouterr().err
        if code:
            refusals += 1
            assert code == 2 and "the disk is full" in error and f"zero train --resume {root}" in error
            assert "Traceback" not in error and error.count("zero train:") == 1
    ballast.unlink()
    assert refusals >= 5
    assert main(["train", "--resume", str(root), "--workers", "1"]) == 0
    run = RunDirectory.open(root)
    assert games(run) == games(unbroken) and weights(run) == weights(unbroken)
    assert not list(root.rglob("*.tmp")) and not list(root.glob("games/damaged-*"))


def test_other_commands_say_so_too(unbroken, disk, capsys):
    (disk / "ballast").write_bytes(bytes(os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize))
    assert main(["report", str(unbroken.root), "--out", str(disk / "report.html")]) == 1
    assert "zero report: the disk is full" in capsys.readouterr().err

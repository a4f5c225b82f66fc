"""The whole loop: the same seed gives the same run, a killed run ends where an unbroken one does."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tiny_run import SETTINGS, Quiet, games, train, train_with_stops, weights

from nn import save
from zero import backends
from zero.config import Config, from_table
from zero.run import RunDirectory
from zero.supervisor import Supervisor


def test_a_run_leaves_what_it_should(unbroken):
    assert sorted(games(unbroken)) == list(range(96))
    assert sorted(weights(unbroken)) == [0, 1, 2, 3, 4]
    first, last = (save.load(unbroken.weights_path(version)) for version in (0, 4))
    assert any(not np.array_equal(first[name], last[name]) for name in first)
    assert len((unbroken.root / "metrics.jsonl").read_text().splitlines()) == 4


def test_the_same_seed_gives_the_same_games_and_weights(unbroken, tmp_path):
    again = train(tmp_path / "again")
    assert games(again) == games(unbroken)
    assert weights(again) == weights(unbroken)


def test_another_seed_gives_other_games(unbroken, tmp_path):
    assert games(train(tmp_path / "other", seed=2)) != games(unbroken)


def test_games_do_not_depend_on_their_neighbours_or_on_the_worker(unbroken, tmp_path):
    """The first iteration plays with equal weights: other lanes and other workers, the same games."""
    other = train(tmp_path / "other", selfplay=SETTINGS["selfplay"] | {"lanes": 3})
    assert weights(other) == weights(unbroken)
    two = train(tmp_path / "two", workers=2, backend="process", budget={"games": 24})
    assert {i: g for i, g in games(unbroken).items() if i < 24} == games(two)


def test_a_run_stopped_anywhere_ends_as_the_unbroken_one(unbroken, tmp_path):
    run, stops = train_with_stops(tmp_path / "stopped", 6)
    assert stops > 2
    assert games(run) == games(unbroken)
    assert weights(run) == weights(unbroken)


def start(*arguments):
    environment = dict(os.environ, OPENBLAS_NUM_THREADS="1")
    command = [sys.executable, "-m", "zero", "train", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)


def test_kill_9_at_random_instants_then_resume_is_exact(unbroken, tmp_path):
    """The process is really killed; what it had finished stays, and the end is the same bit for bit."""
    rng = np.random.default_rng(1)
    root = tmp_path / "killed"
    RunDirectory.create(root, from_table(Config, SETTINGS, "test"), {})
    kept: dict[int, bytes] = {}
    for _ in range(3):
        process = start("--resume", root, "--workers", "1")
        deadline = time.monotonic() + 60
        before = size = games_bytes(root)
        grow = int(rng.integers(200, 3000))
        while process.poll() is None and size < before + grow and time.monotonic() < deadline:
            size = games_bytes(root)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stderr.close()
        after = games(RunDirectory.open(root))
        assert kept.items() <= after.items(), "a finished game was lost"
        kept = after
    run = train(root)
    assert games(run) == games(unbroken)
    assert weights(run) == weights(unbroken)


@pytest.mark.slow
def test_kill_9_of_workers_and_the_driver_loses_and_doubles_nothing(tmp_path):
    """Two worker processes; now one of them dies, now the driver, at random instants, and the run goes on."""
    rng = np.random.default_rng(2)
    root = tmp_path / "killed"
    RunDirectory.create(root, from_table(Config, SETTINGS | {"budget": {"games": 960}}, "test"), {})
    kept, process = {}, None
    for victim in ("worker", "driver", "worker", "worker", "driver", "driver"):
        if process is None:
            process = start("--resume", root, "--workers", "2")
        before, grow, deadline = games_bytes(root), int(rng.integers(500, 5000)), time.monotonic() + 60
        while games_bytes(root) < before + grow and time.monotonic() < deadline:
            assert process.poll() is None, process.stderr.read()
        if victim == "driver":
            process.send_signal(signal.SIGKILL)
            process.wait()
            process.stderr.close()
            process = None
        else:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            workers = [pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
            os.kill(int(rng.choice(workers)), signal.SIGKILL)
        stored = list(RunDirectory.open(root).games.read(print))
        after = {record.index: record.to_bytes() for record in stored}
        assert len(after) == len(stored), "a game was stored twice"
        assert kept.items() <= after.items(), "a finished game was lost"
        kept = after
    process = start("--resume", root, "--workers", "2")
    process.communicate(timeout=120)
    stored = [record.index for record in RunDirectory.open(root).games.read(print)]
    assert process.returncode == 0 and sorted(stored) == list(range(960))


def games_bytes(root):
    return sum(path.stat().st_size for path in (root / "games").glob("*.seg"))


def test_ctrl_c_saves_and_prints_the_resume_line(tmp_path):
    root = tmp_path / "interrupted"
    RunDirectory.create(root, from_table(Config, SETTINGS | {"budget": {"games": 10**6}}, "test"), {})
    process = start("--resume", root, "--workers", "1")
    while not games_bytes(root) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, text = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"zero train --resume {root}" in text


def test_a_non_finite_loss_stops_the_run_and_keeps_the_last_state(tmp_path):
    from zero.errors import UserError

    root = tmp_path / "burst"
    with pytest.raises(UserError, match=r"not finite at step \d+.*checkpoint \d+"):
        with np.errstate(all="ignore"):
            train(root, learner=SETTINGS["learner"] | {"lr": 1e30, "gradient_clip": 0.0})
    for entry in RunDirectory.open(root).weights():
        assert all(np.isfinite(a).all() for a in save.load(root / "weights" / entry.file).values())


def test_a_damaged_game_is_played_again(unbroken, tmp_path):
    """A flipped bit in the log costs that game, which is then played anew, and is the same game."""
    root = tmp_path / "damaged"
    shutil.copytree(unbroken.root, root)
    segment = sorted((root / "games").glob("*.seg"))[0]
    data = bytearray(segment.read_bytes())
    data[40] ^= 1
    segment.write_bytes(data)
    messages = []
    display = Quiet()
    display.message = messages.append
    Supervisor(RunDirectory.open(root), backends.make("inline"), 1, display).train()
    assert "damaged frame" in messages[0]
    assert games(RunDirectory.open(root)) == games(unbroken)


@pytest.mark.parametrize("damage, words", [
    ("checkpoint", "set aside as damaged-000004"),
    ("network", "written again from the checkpoint"),
    ("metrics", None),
    ("everything at once", "set aside as damaged-000004"),
])
def test_damage_to_any_part_of_a_run_is_mended(unbroken, tmp_path, damage, words):
    """The run is damaged at its end and then goes on: as the one that never was."""
    root = tmp_path / "damaged"
    shutil.copytree(unbroken.root, root)
    if damage in ("checkpoint", "everything at once"):
        path = root / "checkpoints" / "000004" / "learner.safetensors"
        path.write_bytes(path.read_bytes()[:-7])
    if damage in ("network", "everything at once"):
        path = root / "weights" / ("000004.safetensors" if damage == "network" else "000003.safetensors")
        path.write_bytes(path.read_bytes()[:100])
    if damage in ("metrics", "everything at once"):
        with open(root / "metrics.jsonl", "ab") as file:
            file.write(b'{"iteration": 5, "lo\x00\xff\n{}')
    if damage == "everything at once":
        path = root / "games" / "000001.seg"
        path.write_bytes(path.read_bytes()[:-200] + bytes(100))
    messages, display = [], Quiet()
    display.message = messages.append
    Supervisor(RunDirectory.open(root), backends.make("inline"), 1, display).train()
    run = RunDirectory.open(root)
    assert words is None or words in "\n".join(messages)
    assert games(run) == games(unbroken) and weights(run) == weights(unbroken)
    assert [line["iteration"] for line in run.metrics()] == [1, 2, 3, 4]


def test_games_beyond_an_older_checkpoint_wait_for_their_iteration(unbroken, tmp_path):
    """Two checkpoints are lost, the games of both iterations are there: none is played twice or learned from early."""
    root = tmp_path / "older"
    shutil.copytree(unbroken.root, root)
    for name in ("000003", "000004"):
        shutil.rmtree(root / "checkpoints" / name)
    run = train(root)
    assert games(run) == games(unbroken) and weights(run) == weights(unbroken)
    assert len(list(run.games.read(print))) == 96

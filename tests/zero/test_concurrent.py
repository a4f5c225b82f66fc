"""Play and learning at the same time: one network late, and otherwise a run like any other: repeatable, resumable."""

import itertools
import time
from types import SimpleNamespace

import numpy as np
import pytest
from test_training import games_bytes, start
from tiny_run import SETTINGS, Quiet, games, train, train_with_stops, weights

from nn import save
from zero import backends
from zero.backends.inline import InlineBackend
from zero.backends.process import ProcessBackend
from zero.commands.train import start_backend
from zero.config import Config, from_table
from zero.errors import UserError
from zero.lesson import Lesson
from zero.run import RunDirectory
from zero.supervisor import Supervisor

TOGETHER = SETTINGS | {"learner": SETTINGS["learner"] | {"concurrent": True}}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run in this process, where the two take turns."""
    return train(tmp_path_factory.mktemp("runs") / "whole", **TOGETHER)


def test_half_the_cores_of_this_machine_are_the_learners(monkeypatch):
    """Whose workers are never in the learner's process: there they would take turns."""
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(6)))
    arguments = SimpleNamespace(cluster=None, device="cpu", workers=None)
    in_turns, together = (from_table(Config, {"learner": {"concurrent": on}}, "test") for on in (False, True))
    assert start_backend(arguments, in_turns)[2] == 6
    assert start_backend(arguments, together)[2] == 3
    arguments.workers = 1
    assert isinstance(start_backend(arguments, in_turns)[0], InlineBackend)
    assert isinstance(start_backend(arguments, together)[0], ProcessBackend)


def test_a_network_plays_one_iteration_late_and_no_game_is_forgotten(whole, unbroken):
    """Network k is made of the games before iteration k - 1. The last iteration only learns."""
    lines = whole.metrics()
    assert [line["games"] for line in lines] == [24, 48, 72, 96, 96]
    assert [line["steps"] > 0 for line in lines] == [False, True, True, True, True]
    found = [save.load(whole.weights_path(version)) for version in range(6)]
    changed = [any(not np.array_equal(a[name], b[name]) for name in a) for a, b in itertools.pairwise(found)]
    assert changed == [False, True, True, True, True]
    played = {record.index: record.version for record in whole.games.read(print)}
    assert played == {index: index // 24 for index in range(96)}
    in_turns = unbroken.metrics()[-1]
    assert lines[-1]["samples_per_position"] == pytest.approx(in_turns["samples_per_position"], rel=0.01)
    assert lines[-1]["tokens"] < SETTINGS["learner"]["batch"]
    assert "policy_loss" not in lines[0] and lines[1]["policy_loss"] > 0
    first = {index: game for index, game in games(whole).items() if index < 24}
    assert first == {index: game for index, game in games(unbroken).items() if index < 24}


def test_with_worker_processes_it_is_the_same_run_at_the_same_time(whole, tmp_path, monkeypatch):
    """Each lesson waits until games of its iteration came: were they played behind it, it would wait in vain."""
    came, met, take = [], [], Lesson.take

    def held(lesson, look_up=lambda: None):
        deadline = time.monotonic() + 30
        if 0 < lesson.state.games < 96:
            while len(came) <= lesson.state.games and time.monotonic() < deadline:
                time.sleep(0.005)
            met.append(len(came) > lesson.state.games)
        take(lesson, look_up)

    run = RunDirectory.create(tmp_path / "run", from_table(Config, TOGETHER, "test"), {})
    append = run.games.append
    monkeypatch.setattr(Lesson, "take", held)
    monkeypatch.setattr(run.games, "append", lambda record: (append(record), came.append(record)))
    Supervisor(run, backends.make("process"), 1, Quiet()).train()
    assert met == [True] * 3
    assert games(run) == games(whole) and weights(run) == weights(whole)


def test_stopped_anywhere_it_ends_as_the_unbroken_run(whole, tmp_path):
    run, stops = train_with_stops(tmp_path / "stopped", 4, ("process", "inline"), **TOGETHER)
    assert stops > 2
    assert games(run) == games(whole) and weights(run) == weights(whole)


@pytest.mark.slow
def test_kill_9_then_resume_is_exact(tmp_path):
    """The driver and with it its workers are really killed, while they play and it learns."""
    whole = train(tmp_path / "whole", workers=2, backend="process", **TOGETHER)
    root, kept = tmp_path / "killed", {}
    RunDirectory.create(root, from_table(Config, TOGETHER, "test"), {})
    rng = np.random.default_rng(3)
    for _ in range(3):
        process = start("--resume", root, "--workers", "2", "--device", "cpu")
        before, grow = games_bytes(root), int(rng.integers(200, 4000))
        while process.poll() is None and games_bytes(root) < before + grow:
            time.sleep(0.001)
        process.kill()
        process.wait()
        process.stderr.close()
        after = games(RunDirectory.open(root))
        assert kept.items() <= after.items(), "a finished game was lost"
        kept = after
    run = train(root, workers=2, backend="process")
    assert games(run) == games(whole) and weights(run) == weights(whole)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_learners_fault_ends_the_run_while_others_play(tmp_path):
    """A rate that bursts: the error of the thread is the error of the run."""
    changes = {"learner": TOGETHER["learner"] | {"lr": 1e30, "gradient_clip": 0.0}}
    with pytest.raises(UserError, match=r"not finite at step \d+.*checkpoint \d+"):
        train(tmp_path / "burst", backend="process", **TOGETHER | changes)


def test_several_learners_beside_two_workers(tmp_path):
    settings = TOGETHER | {"budget": {"games": 48}}
    runs = [train(tmp_path / name, workers=2, backend="process", learners=2, **settings) for name in "ab"]
    assert games(runs[0]) == games(runs[1]) and weights(runs[0]) == weights(runs[1])
    assert runs[0].metrics()[-1]["steps"] > 0

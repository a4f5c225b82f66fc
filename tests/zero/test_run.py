"""Run directories: nothing overwritten, nothing half-written, damage noticed and set aside."""

import json

import pytest

from zero.config import Config
from zero.errors import UserError
from zero.run import Checkpoint, RunDirectory


@pytest.fixture
def run(tmp_path):
    return RunDirectory.create(tmp_path / "r", Config(game="tictactoe"), {"version": "x"})


def checkpoint(iteration):
    return Checkpoint(iteration, iteration * 10, iteration * 5, iteration * 40, 1.5, 0.25)


def save(run, iteration):
    run.save_checkpoint(checkpoint(iteration), lambda path: path.write_bytes(b"learner %d" % iteration))


def test_an_existing_run_is_never_overwritten(run):
    with pytest.raises(UserError, match=r"exists already.*--resume"):
        RunDirectory.create(run.root, Config(), {})
    assert RunDirectory.open(run.root).config.game == "tictactoe"


def test_a_directory_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="not a run directory"):
        RunDirectory.open(tmp_path)


def test_the_newest_checkpoint_comes_back_and_old_ones_are_thinned(run):
    for iteration in range(1, 7):
        save(run, iteration)
    found, path = run.load_checkpoint(print)
    assert found == checkpoint(6) and path.read_bytes() == b"learner 6"
    assert len(list((run.root / "checkpoints").iterdir())) == 3


@pytest.mark.parametrize("damage", ["truncate", "flip", "no state", "bad state", "empty"])
def test_a_damaged_checkpoint_is_set_aside_for_the_one_before(run, damage):
    save(run, 1)
    save(run, 2)
    newest = run.root / "checkpoints" / "000002"
    learner, state = newest / "learner.safetensors", newest / "state.json"
    {
        "truncate": lambda: learner.write_bytes(learner.read_bytes()[:-1]),
        "flip": lambda: learner.write_bytes(b"Learner 2"),
        "no state": lambda: state.unlink(),
        "bad state": lambda: state.write_text('{"iteration": 2'),
        "empty": lambda: state.write_text("{}"),
    }[damage]()
    messages = []
    found, _ = run.load_checkpoint(messages.append)
    assert found == checkpoint(1)
    assert "000002" in messages[0] and (run.root / "checkpoints" / "damaged-000002").is_dir()


def test_weights_are_numbered_and_checked(run):
    for version in range(3):
        run.publish(version, lambda path, v=version: path.write_bytes(b"w%d" % v), games=version, steps=0)
    assert run.weights_path().read_bytes() == b"w2"
    assert run.weights_path(1).read_bytes() == b"w1"
    with pytest.raises(UserError, match="no network number 9"):
        run.weights_path(9)
    run.weights_path(1).write_bytes(b"xx")
    with pytest.raises(UserError, match="damaged"):
        run.weights_path(1)


def test_publishing_again_after_a_resume_replaces(run):
    for version in (0, 1, 2, 1):
        run.publish(version, lambda path, v=version: path.write_bytes(b"w%d" % v), games=0, steps=0)
    assert [e.version for e in run.weights()] == [0, 1]


def test_metrics_past_the_checkpoint_and_torn_lines_go(run):
    for iteration in (1, 2, 3):
        run.log_metrics({"iteration": iteration})
    with open(run.root / "metrics.jsonl", "a") as file:
        file.write('{"iteration": 4, "lo')
    run.trim_metrics(2)
    lines = (run.root / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in lines] == [1, 2]


def test_one_process_trains_at_a_time(run):
    with run.lock(), pytest.raises(UserError, match="another process"), RunDirectory.open(run.root).lock():
        pass

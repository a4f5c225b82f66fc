"""Replay stores: what they acknowledged is there, once, whatever dies; a lost run directory comes back bit for bit."""

import os
import shutil
import signal
import subprocess
import threading
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from test_admission import WrongResults
from test_game_log import Killed, allow, make_record
from tiny_run import SETTINGS, Quiet, games, weights

from zero import copies, pool
from zero.backends import WorkerDied
from zero.backends.inline import InlineBackend
from zero.backends.process import ProcessBackend
from zero.config import Config, from_table
from zero.errors import UserError
from zero.game_log import QUARANTINED, REFUSED, GameLog
from zero.record import frame
from zero.run import RunDirectory
from zero.store import WITHDRAWN, ReplayStore
from zero.supervisor import Supervisor

IDENTITY = b"{}\n"


def frames(records):
    return b"".join(frame(record.to_bytes()) for record in records)


def checksums(records):
    return {record.index: zlib.crc32(record.to_bytes()) for record in records}


def close(store):
    """As its death would."""
    if store._lock:
        store.run.games.close()
        store._lock.close()


@pytest.fixture
def reopened(tmp_path):
    """Opens the store anew: a pair of it and what it has."""
    stores = []

    def reopen():
        for store in stores:
            close(store)
        stores.append(ReplayStore(str(tmp_path), "run"))
        return stores[-1], stores[-1].open(IDENTITY)

    yield reopen
    for store in stores:
        close(store)


# the role


def test_a_game_is_kept_once(reopened, tmp_path):
    records = [make_record(index) for index in range(5)]
    store, inventory = reopened()
    assert inventory.games == {} and set(inventory.files) == {"run.json"}
    store.append(frames(records[:3]))
    store.append(frames(records))
    store, inventory = reopened()
    store.append(frames(records[2:]))
    assert inventory.games == checksums(records)
    assert [r.index for r in GameLog(tmp_path / "run" / "games").read(print)] == [0, 1, 2, 3, 4]
    assert store.fetch([4, 1]) == frames([records[4], records[1]])


def test_another_game_of_the_same_number_takes_its_place(reopened):
    store, _ = reopened()
    store.append(frames([make_record(0), make_record(1)]))
    store.append(frames([make_record(1, seed=7)]))
    store, inventory = reopened()
    assert inventory.games == checksums([make_record(0), make_record(1, seed=7)])
    assert [r.to_bytes() for r in store.run.games.aside(WITHDRAWN)] == [make_record(1).to_bytes()]


def test_what_arrives_damaged_is_not_kept(reopened, tmp_path):
    store, _ = reopened()
    data = bytearray(frames([make_record(0), make_record(1)]))
    data[-1] ^= 1
    with pytest.raises(ValueError, match="damaged"):
        store.append(bytes(data))
    with pytest.raises(ValueError, match="damaged"):
        store.put("config.toml", b"game = 'go9'", "0" * 64)
    assert reopened()[1].games == {} and not (tmp_path / "run" / "config.toml").exists()


@pytest.mark.parametrize("damage", ["flip", "cut", "zeros"])
def test_a_damaged_segment_costs_its_games_and_is_kept_aside(reopened, damage):
    records = [make_record(index) for index in range(6)]
    store, _ = reopened()
    store.append(frames(records))
    [segment] = store.run.games.segments()
    data = bytearray(segment.read_bytes())
    if damage == "flip":
        data[40] ^= 4  # within the first game
    elif damage == "cut":
        del data[-10:]
    else:
        data[-200:] = bytes(200)
    segment.write_bytes(data)
    store, inventory = reopened()
    assert 3 <= len(inventory.games) < 6 and inventory.games.items() < checksums(records).items()
    assert inventory.damage and "set aside" in inventory.damage[0]
    store.append(frames(records))
    assert reopened()[1].games == checksums(records)


def test_places_that_are_taken_are_left_alone(tmp_path):
    first = ReplayStore(str(tmp_path), "run")
    first.open(IDENTITY)
    first.append(frames([make_record(0)]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zero.store.PATIENCE", 0.0)
        with pytest.raises(UserError, match="another process"):
            ReplayStore(str(tmp_path), "run").open(IDENTITY)
    close(first)
    with pytest.raises(UserError, match="holds another run"):
        ReplayStore(str(tmp_path), "run").open(b"{'started': 'tomorrow'}")
    with pytest.raises(UserError, match="no such directory"):
        ReplayStore(str(tmp_path / "disk"), "run").open(IDENTITY)
    assert not (tmp_path / "disk").exists()


@pytest.mark.parametrize("deaths", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_kill_9_at_random_instants_loses_and_doubles_nothing_acknowledged(tmp_path, deaths):
    """Batches go to a store in a process of its own, which is killed again and again, in mid-write too."""
    rng, backend = np.random.default_rng(5), ProcessBackend()
    acknowledged, sent, kills = {}, 0, 0
    while kills < deaths:
        handle = backend.spawn(ReplayStore, str(tmp_path), "run")
        backend.wait([call := backend.call(handle, "open", IDENTITY)])
        had = call.result().games
        assert acknowledged.items() <= had.items(), "an acknowledged game was lost"
        timer = threading.Timer(rng.uniform(0.0, 0.15), os.kill, (handle.process.pid, signal.SIGKILL))
        timer.start()
        try:
            while True:
                records = [make_record(index, plies=200) for index in range(max(0, sent - 3), sent + 20)]
                backend.wait([call := backend.call(handle, "append", frames(records))])
                call.result()
                acknowledged |= checksums(records)
                sent += 20
        except WorkerDied:
            kills += 1
        timer.join()
        backend.kill(handle)
    stored = [record.index for record in GameLog(tmp_path / "run" / "games").read(lambda text: None)]
    assert len(stored) == len(set(stored)), "a game was stored twice"
    assert acknowledged.keys() <= set(stored) and sent > 20


# the copies of a run


@dataclass(frozen=True)
class Disk:
    id: str
    path: Path

    @property
    def address(self):
        return f"disk {self.id}"


class Disks:
    """A backend whose other machines are directories."""

    def __init__(self, *paths):
        super().__init__()
        self.places, self.handles = [Disk(str(k), path) for k, path in enumerate(paths, 1)], {}
        for path in paths:
            path.mkdir(exist_ok=True)

    def disks(self):
        return self.places

    def spawn_on(self, place, role, *args):
        if place is None:
            return super().spawn_on(place, role, *args)
        assert args == ("DIRECTORY", "run")
        self.handles[place] = self.spawn(role, str(place.path), "run")
        return self.handles[place]

    def kill(self, handle):
        if isinstance(handle, ReplayStore):
            close(handle)
        super().kill(handle)


class InlineDisks(Disks, InlineBackend):
    pass


class ProcessDisks(Disks, ProcessBackend):
    pass


def train_with(backend, root, workers=1, should_stop=lambda: False, **changes):
    """Trains or goes on; returns the run and what was said."""
    if (root / "config.toml").exists():
        run = RunDirectory.open(root)
    else:
        run = RunDirectory.create(root, from_table(Config, SETTINGS | changes, "test"), {})
    messages, display = [], Quiet()
    display.message = messages.append
    Supervisor(run, backend, workers, display, should_stop, stores="DIRECTORY").train()
    return run, messages


def assert_copies(run, *paths):
    """Each copy has what the run has: the same games once, the same networks, the same checkpoint."""
    for path in paths:
        copy = RunDirectory.open(path / "run")
        assert games(copy) == games(run) and len(list(copy.games.read(print))) == len(games(run))
        assert weights(copy) == weights(run) and copy.metrics() == run.metrics()
        assert copy.load_checkpoint(pytest.fail)[0] == run.load_checkpoint(pytest.fail)[0]
        assert copy.config == run.config
        for entry in run.weights():
            copy.weights_path(entry.version)


def test_stores_change_nothing_and_hold_everything(unbroken, tmp_path):
    backend = InlineDisks(tmp_path / "a", tmp_path / "b")
    run, messages = train_with(backend, tmp_path / "run")
    assert games(run) == games(unbroken) and weights(run) == weights(unbroken)
    assert not messages
    assert_copies(run, tmp_path / "a", tmp_path / "b")


def test_a_lost_driver_is_replaced_by_a_copy(unbroken, tmp_path):
    """In the middle of an iteration the driver's directory is gone; the training goes on from a store's, and ends as if
    nothing had been. A second store is as far as its directory."""
    asked = iter([False] * 15)
    backend = InlineDisks(tmp_path / "a", tmp_path / "b")
    with pytest.raises(Exception, match="^$"):
        train_with(backend, tmp_path / "run", should_stop=lambda: next(asked, True))
    finished = games(RunDirectory.open(tmp_path / "run"))
    shutil.rmtree(tmp_path / "run")
    assert games(RunDirectory.open(tmp_path / "a" / "run")) == finished and 24 < len(finished) < 96
    run, _ = train_with(InlineDisks(tmp_path / "b"), tmp_path / "a" / "run")
    assert games(run) == games(unbroken) and weights(run) == weights(unbroken)
    assert_copies(run, tmp_path / "b")


def test_games_that_the_driver_lost_come_back_and_are_not_played_again(unbroken, tmp_path, monkeypatch):
    train_with(InlineDisks(tmp_path / "a"), tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "games")
    monkeypatch.setattr(Supervisor, "_play_again", lambda self, missing: {} if not missing else pytest.fail("played"))
    run, messages = train_with(InlineDisks(tmp_path / "a"), RunDirectory.open(tmp_path / "run").root)
    assert messages == ["store on disk 1: had 96 games that this disk had not; they are here again"]
    assert games(run) == games(unbroken) and len(list(run.games.read(print))) == 96


def test_games_taken_out_on_purpose_stay_out(tmp_path):
    """Spoiled ones are played anew though a store has them, quarantined ones are done without; the store follows."""
    run, _ = train_with(InlineDisks(tmp_path / "a"), tmp_path / "run")
    run.games.move_aside(REFUSED, {5})
    run.games.move_aside(QUARANTINED, {90})
    run, messages = train_with(InlineDisks(tmp_path / "a"), tmp_path / "run")
    assert "playing 1 lost games of network 0 again" in messages[0]
    assert sorted(games(run)) == [index for index in range(96) if index != 90]
    assert_copies(run, tmp_path / "a")


@pytest.mark.parametrize("workers", [1, 2])
def test_withdrawn_games_leave_the_copies_too(tmp_path, monkeypatch, workers):
    monkeypatch.setattr(pool, "SelfPlayWorker", WrongResults)
    monkeypatch.setattr(WrongResults, "broken", 1)
    run, messages = train_with(InlineDisks(tmp_path / "a"), tmp_path / "run", workers)
    assert "is quarantined" in messages[0] and len(games(run)) == 96
    assert_copies(run, tmp_path / "a")


@pytest.mark.parametrize("writes", range(5))
def test_a_driver_killed_while_it_withdraws_games_keeps_their_trace(unbroken, tmp_path, monkeypatch, writes):
    """They are refused from the first write on; the store, which has them still, does not give them back."""
    monkeypatch.setattr(WrongResults, "broken", 1)
    withdraw = GameLog.move_aside

    def die(log, name, numbers):
        with pytest.MonkeyPatch.context() as patch:
            allow(patch, writes)
            withdraw(log, name, numbers)
        raise Killed

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(pool, "SelfPlayWorker", WrongResults)
        patch.setattr(GameLog, "move_aside", die)
        train_with(InlineDisks(tmp_path / "a"), tmp_path / "run")
    run, messages = train_with(InlineDisks(tmp_path / "a"), tmp_path / "run")
    assert not any("they are here again" in text for text in messages)
    assert len(run.games.aside(REFUSED)) == (3 if writes else 0)
    assert games(run) == games(unbroken) and len(list(run.games.read(print))) == 96
    assert_copies(run, tmp_path / "a")


def test_a_store_that_comes_late_gets_all_there_was(tmp_path):
    run, _ = train_with(InlineDisks(tmp_path / "a"), tmp_path / "run")
    run.change_budget({"games": 120})
    run, messages = train_with(InlineDisks(tmp_path / "b"), tmp_path / "run")
    assert len(games(run)) == 120 and not messages
    assert_copies(run, tmp_path / "b")


def test_killed_stores_come_back_and_miss_nothing(unbroken, tmp_path, monkeypatch):
    """kill -9 at random instants of a training, also while its end waits for the stores; the run does not notice, and
    both copies are whole after the next start at the latest."""
    monkeypatch.setattr(copies, "RETRY_SECONDS", 0.05)
    backend, rng = ProcessDisks(tmp_path / "a", tmp_path / "b"), np.random.default_rng(3)
    over, kills = threading.Event(), 0

    def kill_now_and_then():
        nonlocal kills
        while not over.wait(rng.uniform(0.1, 0.6)):
            handles = list(backend.handles.values())
            if handles and kills < 5 and (process := handles[rng.integers(len(handles))].process).is_alive():
                process.kill()
                kills += 1

    killer = threading.Thread(target=kill_now_and_then)
    killer.start()

    def slowly():
        time.sleep(0.02)
        return False

    try:
        run, messages = train_with(backend, tmp_path / "run", should_stop=slowly)
    finally:
        over.set()
        killer.join()
    assert kills and any("exit code -9" in text for text in messages)
    assert games(run) == games(unbroken) and weights(run) == weights(unbroken)
    run, _ = train_with(ProcessDisks(tmp_path / "a", tmp_path / "b"), tmp_path / "run")
    assert_copies(run, tmp_path / "a", tmp_path / "b")


def test_without_a_disk_to_give_the_start_says_so(tmp_path):
    with pytest.raises(UserError, match="disk"):
        train_with(InlineBackend(), tmp_path / "run")
    with pytest.raises(UserError, match="store on disk 1.*no such directory"):
        backend = InlineDisks(tmp_path / "a")
        (tmp_path / "a").rmdir()
        train_with(backend, tmp_path / "run")


def test_a_store_whose_disk_is_full_costs_the_run_nothing(unbroken, tmp_path, monkeypatch):
    """With room again it catches up."""
    monkeypatch.setattr(copies, "RETRY_SECONDS", 0.0)
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(small)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        (small / "ballast").write_bytes(bytes(150_000))
        run, messages = train_with(InlineDisks(small), tmp_path / "run")
        assert "store on disk 1: the disk is full" in messages[0]
        assert games(run) == games(unbroken) and weights(run) == weights(unbroken)
        subprocess.run(["mount", "-o", "remount,size=2m", str(small)], check=True)
        (small / "ballast").unlink()
        run, _ = train_with(InlineDisks(small), tmp_path / "run")
        assert_copies(run, small)
    finally:
        subprocess.run(["umount", "--lazy", small], check=True)

"""Spools: a finished game is stored or lies on the disk of the machine that played it, whatever dies."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_game_log import FillingDisk, make_record
from test_pool import CONFIG, weights  # noqa: F401 (weights is a fixture)
from tiny_run import SETTINGS, Quiet, games, train
from tiny_run import weights as networks

from zero import pool
from zero.backends.inline import InlineBackend
from zero.backends.process import ProcessBackend
from zero.config import Config, from_table
from zero.files import lock
from zero.game_log import GameLog, scan
from zero.pool import WorkerPool
from zero.record import GameRecord, frame
from zero.run import RunDirectory
from zero.selfplay import SelfPlayWorker
from zero.spool import OLD, Leftovers, Spool
from zero.supervisor import Supervisor

NETWORK, OTHER = "a" * 64, "b" * 64
PAYLOADS = [make_record(index).to_bytes() for index in range(6)]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/zero/spool"


def begin(name, run="run", network=NETWORK, distrusted=()):
    spool = Spool(run, name)
    return spool, spool.begin(network, distrusted)


def die(spool):
    """As the death of its process."""
    for file in [spool._file, *(file for _, file in spool._taken)]:
        file.close()


def leave(name, payloads=PAYLOADS, **options):
    """A dead worker's spool."""
    spool, _ = begin(name, **options)
    for payload in payloads:
        spool.append(payload)
    die(spool)
    return spool._path


def test_what_dead_workers_left_is_taken_up_until_it_is_stored(cache):
    leave("1-x", PAYLOADS[:2])
    leave("2-x", PAYLOADS[2:3])
    spool, found = begin("1-y")
    assert found == Leftovers([0, 1, 2], ["1-x", "2-x"])
    assert [spool.take(index) for index in (0, 1, 2, 0, 5)] == [*PAYLOADS[:3], None, None]
    spool.append(PAYLOADS[3])
    die(spool)  # before anything is stored
    spool, found = begin("1-z")
    assert found.games == [0, 1, 2, 3]
    for index in found.games:
        spool.take(index)
    spool.trim()
    die(spool)
    assert begin("1-w")[1].games == []


def test_a_living_worker_keeps_its_spool_and_what_it_took_up(cache):
    leave("0-x", PAYLOADS[:1])
    spool, found = begin("1-x")
    spool.append(PAYLOADS[1])
    assert found.games == [0] and begin("2-x")[1] == Leftovers()
    spool.trim()  # one was stored; the other is not handed over yet
    die(spool)
    assert begin("3-x")[1].games == [0]


def test_spools_of_other_runs_and_networks_and_of_the_distrusted_are_not_taken_up(cache):
    foreign, old, bad = leave("1-x", run="foreign"), leave("2-x", network=OTHER), leave("3-x")
    assert begin("1-y", distrusted=["3-x"])[1] == Leftovers()
    assert foreign.exists() and not old.exists() and not bad.exists()
    spool, _ = begin("1-z", run="")
    spool.append(PAYLOADS[0])
    spool.trim()
    assert spool.take(0) is None and len(list(cache.rglob("*.games"))) == 2


def test_another_network_begins_anew(cache):
    spool, _ = begin("1-x")
    spool.append(PAYLOADS[0])
    spool.begin(OTHER)
    assert [path.read_bytes() for path in cache.rglob("*.games")] == [b""]


def test_damage_costs_its_games_and_is_set_aside(cache):
    path = leave("1-x")
    data = bytearray(path.read_bytes())
    data[len(frame(PAYLOADS[0])) + 30] ^= 4
    path.write_bytes(data[:-5])  # and a torn tail, which is a game that was not finished
    _, found = begin("1-y")
    assert found.games == [0, 2, 3, 4] and len(found.damage) == 1
    [aside] = cache.rglob("damaged-*.bin")
    assert aside.name in found.damage[0] and len(aside.read_bytes()) == len(frame(PAYLOADS[1]))


@pytest.mark.parametrize("room", [0, 1, 100])
def test_a_full_disk_keeps_nobody_from_playing(room):
    spool, _ = begin("1-x")
    spool.append(PAYLOADS[0])
    whole, spool._file = spool._file, FillingDisk(spool._file, room)
    spool.append(PAYLOADS[1])
    spool._file = whole
    spool.append(PAYLOADS[2])
    die(spool)
    assert begin("1-y")[1] == Leftovers([0, 2], ["1-x"])


def test_a_place_that_cannot_be_written_keeps_nobody_from_playing(cache):
    cache.parent.mkdir(parents=True)
    cache.touch()
    spool, found = begin("1-x")
    spool.append(PAYLOADS[0])
    spool.trim()
    assert found == Leftovers() and spool.take(0) is None


def test_what_nobody_came_back_for_is_deleted(cache):
    old, new, used = leave("1-x", run="old"), leave("1-x", run="new"), begin("1-x", run="used")[0]
    for path in (old, used._path):
        os.utime(path, times=(time.time() - OLD - 60,) * 2)
    begin("1-y", run="mine")
    assert not old.exists() and new.exists() and used._path.exists()
    os.utime(old.parent, times=(time.time() - OLD - 60,) * 2)
    begin("1-z", run="mine")
    assert not old.parent.exists()


# deaths at every point of a game's way


def note(payload):
    """This game is finished."""
    with open(os.environ["FINISHED"], "ab", buffering=0) as file:
        file.write(frame(payload))


def failpoint(name):
    """Here the worker, or its driver, is killed: once, when it comes by for the third time after a game is finished."""
    if os.environ.get("FAILPOINT") != name or not Path(os.environ["FINISHED"]).exists():
        return
    with open(os.environ["PASSED"], "ab", buffering=0) as file:
        file.write(b".")
        passed = file.tell()
    if passed == 3:
        os.kill(os.getppid() if os.environ["VICTIM"] == "driver" else os.getpid(), signal.SIGKILL)
        time.sleep(60)  # a driver takes its workers along


class WatchedSpool(Spool):
    def append(self, payload):
        failpoint("finish")
        super().append(payload)
        note(payload)
        failpoint("spool")

    def trim(self):
        failpoint("call")
        super().trim()
        failpoint("trim")


class WatchedWorker(SelfPlayWorker):
    def play(self, seconds, indices):
        report = super().play(seconds, indices)
        if report.records:
            failpoint("send")
        return report


def watch(monkeypatch):
    monkeypatch.setattr(pool, "Spool", WatchedSpool)
    monkeypatch.setattr(pool, "SelfPlayWorker", WatchedWorker)
    monkeypatch.setattr(pool, "CHUNK_SECONDS", 0.002)


@pytest.fixture
def finished(tmp_path, monkeypatch):
    """Games that workers finished, in order."""
    for name in ("FINISHED", "PASSED"):
        monkeypatch.setenv(name, str(tmp_path / name))

    def read():
        return [GameRecord.from_bytes(p).index for _, _, p in scan((tmp_path / "FINISHED").read_bytes())]

    return read


def spooled(cache):
    data = b"".join(path.read_bytes() for path in cache.rglob("*.games"))
    return {GameRecord.from_bytes(payload).index for _, _, payload in scan(data) if payload is not None}


SLOW = pytest.mark.slow
WORKER = [pytest.param("finish", marks=SLOW), "spool", "send", pytest.param("call", marks=SLOW),
          pytest.param("trim", marks=SLOW)]  # fmt: skip
DRIVER = ["append", *(pytest.param(point, marks=SLOW) for point in ("spool", "send", "receive", "call", "trim"))]


@pytest.mark.parametrize("point", WORKER)
def test_a_killed_worker_loses_no_finished_game(weights, cache, finished, monkeypatch, point):  # noqa: F811
    """What it had finished is stored or in its spool, and is not played again."""
    watch(monkeypatch)
    monkeypatch.setenv("FAILPOINT", point)
    monkeypatch.setenv("VICTIM", "worker")
    stored, deaths, numbers = {}, [], list(range(60))

    def died(text):
        assert "exit code -9" in text
        deaths.append((set(finished()), stored.keys() | spooled(cache)))

    def play(players):
        for delivery in players.play(weights, numbers):
            for record in delivery.records:
                assert record.index not in stored, "a game came twice"
                stored[record.index] = record.to_bytes()
            yield delivery.report.spooled
        players.close()

    taken_up = sum(play(WorkerPool(ProcessBackend(), CONFIG, 1, died, run="run")))
    [(done, kept)] = deaths
    assert done == kept and sorted(finished()) == numbers, "a finished game was lost, or played again"
    assert taken_up or point not in ("spool", "send")
    broken, stored = stored, {}
    list(play(WorkerPool(InlineBackend(), CONFIG, 1, print)))
    assert broken == stored


def go_on(root, point):
    """Trains with a worker in a process of its own, as on a cluster; a driver's failpoint is at its log."""

    class Log(GameLog):
        def append(self, record):
            here("receive")
            super().append(record)
            here("append")

    def here(name):
        if name == point and len(list(run.games.read(print))) == 30:
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.MonkeyPatch.context() as patch:
        watch(patch)
        run = RunDirectory.open(root)
        run.games = Log(run.games.directory)
        supervisor = Supervisor(run, ProcessBackend(), 1, Quiet())
        supervisor.pool.run = run.fingerprint()
        supervisor.train()


@pytest.mark.parametrize("point", DRIVER)
def test_a_killed_driver_loses_no_finished_game(unbroken, cache, finished, tmp_path, monkeypatch, point):
    """Wherever in a game's way it happens; and the training ends as if it had not."""
    run = RunDirectory.create(tmp_path / "run", from_table(Config, SETTINGS, "test"), {})
    monkeypatch.setenv("FAILPOINT", point)
    monkeypatch.setenv("VICTIM", "driver")
    command = [sys.executable, "-c", f"from test_spool import go_on; go_on({str(run.root)!r}, {point!r})"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    assert subprocess.run(command, env=environment).returncode == -signal.SIGKILL
    deadline = time.monotonic() + 30
    while any(lock(path, "r+b") is None for path in cache.rglob("*.games")):  # its worker dies a moment later
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert games(run).keys() | spooled(cache) == set(finished())
    monkeypatch.delenv("FAILPOINT")
    go_on(run.root, None)
    assert sorted(finished()) == list(range(96)), "a game was played again"
    assert games(run) == games(unbroken) and len(list(run.games.read(print))) == 96
    assert networks(run) == networks(unbroken)


def test_on_one_machine_there_is_no_spool(tmp_path, cache):
    train(tmp_path / "run", 2, "process", budget={"games": 24})
    assert not cache.exists()

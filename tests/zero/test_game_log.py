"""The game log: records read back bit for bit, damage costs the damaged frames and nothing else, and is kept."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zero import game_log
from zero.game_log import QUARANTINED, REFUSED, GameLog, read_segment
from zero.record import FRAME, GameRecord, frame


def make_record(index, plies=9, seed=0):
    rng = np.random.default_rng([index, seed])
    counts = rng.integers(0, 4, plies)
    return GameRecord(
        index,
        int(rng.integers(1 << 62)),
        3,
        int(rng.integers(0, plies + 1)),
        int(rng.integers(-1, 2)),
        rng.integers(0, 80, plies).astype(np.uint16),
        rng.uniform(-1, 1, plies).astype(np.float16),
        counts.astype(np.uint16),
        rng.integers(0, 80, counts.sum()).astype(np.uint16),
        rng.uniform(0, 1, counts.sum()).astype(np.float16),
        rng.exponential(0.2, plies).astype(np.float16),
    )


def same(a, b):
    return a.to_bytes() == b.to_bytes()


@settings(deadline=None)
@given(st.integers(0, 2**40), st.integers(0, 50))
def test_a_record_reads_back(index, plies):
    record = make_record(index, plies)
    again = GameRecord.from_bytes(record.to_bytes())
    assert same(record, again)
    assert (again.index, again.proven, again.result) == (record.index, record.proven, record.result)


def test_every_truncation_of_a_record_is_refused():
    payload = make_record(1).to_bytes()
    for length in range(len(payload)):
        with pytest.raises(ValueError):
            GameRecord.from_bytes(payload[:length])
    with pytest.raises(ValueError):
        GameRecord.from_bytes(payload + b"x")


def test_a_reopened_log_goes_on_in_a_new_segment(tmp_path):
    records = [make_record(i) for i in range(5)]
    for part in (records[:3], records[3:]):
        log = GameLog(tmp_path)
        for record in part:
            log.append(record)
        log.close()
    warnings = []
    assert [r.index for r in GameLog(tmp_path).read(warnings.append)] == [0, 1, 2, 3, 4]
    assert len(GameLog(tmp_path).segments()) == 2 and not warnings


def test_appended_games_are_on_disk_before_close(tmp_path):
    log = GameLog(tmp_path)
    log.append(make_record(0))
    assert [r.index for r in GameLog(tmp_path).read(print)] == [0]


def test_any_torn_tail_costs_the_last_record_only(tmp_path):
    frames = [frame(make_record(i).to_bytes()) for i in range(3)]
    whole = b"".join(frames)
    path = tmp_path / "000001.seg"
    for cut in range(len(whole) - len(frames[-1]) + 1, len(whole)):
        path.write_bytes(whole[:cut])
        warnings = []
        assert [r.index for r in read_segment(path, warnings.append)] == [0, 1]
        assert len(warnings) == 1 and "torn tail" in warnings[0]


@pytest.mark.parametrize("where", [0, 5, FRAME.size - 1, FRAME.size + 3])
def test_a_flipped_bit_costs_its_own_record(tmp_path, where):
    frames = [bytearray(frame(make_record(i).to_bytes())) for i in range(3)]
    frames[1][where] ^= 4
    path = tmp_path / "000001.seg"
    path.write_bytes(b"".join(frames))
    warnings = []
    assert [r.index for r in read_segment(path, warnings.append)] == [0, 2]
    assert "damaged frame" in warnings[0] and str(path) in warnings[0]


@pytest.mark.parametrize("damage", ["tail", "middle", "everything"])
def test_repair_cuts_damage_out_and_keeps_it(tmp_path, damage):
    frames = [frame(make_record(i).to_bytes()) for i in range(3)]
    whole = b"".join(frames)
    path, bad = tmp_path / "000001.seg", bytearray(whole)
    if damage == "tail":
        bad = bad[:-5]
        kept, lost = [0, 1], bytes(bad[len(frames[0] + frames[1]):])
    elif damage == "middle":
        bad[len(frames[0]) + 20] ^= 1
        kept, lost = [0, 2], bytes(bad[len(frames[0]) : -len(frames[2])])
    else:
        bad = bytearray(len(whole))  # zeros, as some file systems leave behind
        kept, lost = [], bytes(bad)
    path.write_bytes(bad)
    messages = []
    GameLog(tmp_path).repair(messages.append)
    [aside] = tmp_path.glob("damaged-*.bin")
    assert aside.read_bytes() == lost
    assert len(messages) == 1 and str(path) in messages[0] and aside.name in messages[0]
    GameLog(tmp_path).repair(messages.append)
    assert [r.index for r in GameLog(tmp_path).read(messages.append)] == kept and len(messages) == 1


def test_games_are_taken_out_and_kept_aside(tmp_path):
    log = GameLog(tmp_path)
    for i in range(6):
        log.append(make_record(i))
        if i == 2:
            log.close()  # two segments
    log.move_aside(QUARANTINED, {1, 3})
    log.move_aside(QUARANTINED, {4, 5})
    log.append(make_record(7))
    assert [r.index for r in GameLog(tmp_path).read(print)] == [0, 2, 7]
    assert [r.to_bytes() for r in log.aside(QUARANTINED)] == [make_record(i).to_bytes() for i in (1, 3, 4, 5)]
    assert log.quarantined() == {1, 3, 4, 5}
    log.put_back(QUARANTINED, {4})
    assert sorted(r.index for r in log.read(print)) == [0, 2, 4, 7] and log.quarantined() == {1, 3, 5}


class Killed(BaseException):
    """As `kill -9`: nothing tidies up."""


def allow(monkeypatch, writes):
    """Dies in place of the write after so many of those that move games."""
    left = iter(range(writes))

    def counted(write):
        def write_or_die(*args, **options):
            if next(left, None) is None:
                raise Killed
            return write(*args, **options)

        return write_or_die

    for owner, name in ((game_log, "write_atomically"), (Path, "unlink"), (GameLog, "append")):
        monkeypatch.setattr(owner, name, counted(getattr(owner, name)))


MOVES = [("move_aside", REFUSED), ("move_aside", QUARANTINED), ("put_back", QUARANTINED)]


@pytest.mark.parametrize("action,name", MOVES)
def test_a_move_may_be_killed_before_any_write(tmp_path, action, name):
    """It is done in the end or was not begun: no game is in both places, or in neither. Refused games that are played
    again, and come out the same, stay."""
    wanted, killed, writes = {1, 2, 4}, True, -1
    while killed:
        writes += 1
        log = GameLog(tmp_path / str(writes))
        for index in range(6):
            log.append(make_record(index))
            if index in (2, 4):
                log.close()  # three segments
        if action == "put_back":
            log.move_aside(name, wanted)
        with pytest.MonkeyPatch.context() as patch:
            allow(patch, writes)
            try:
                getattr(log, action)(name, wanted)
                killed = False
            except Killed:
                pass
        again = GameLog(log.directory)
        again.repair(pytest.fail)
        inside, outside = {r.index for r in again.read(pytest.fail)}, {r.index for r in again.aside(name)}
        assert inside | outside == set(range(6)) and not inside & outside and outside in (wanted, set())
        assert killed or outside == (wanted if action == "move_aside" else set())
        assert not list(log.directory.glob("*.pending"))
        if name == REFUSED and outside:
            again.append(make_record(1))
            again.repair(pytest.fail)
            assert 1 in {r.index for r in again.read(pytest.fail)}
    assert writes >= 4


class FillingDisk:
    """A file on a disk with little room: takes a part of what is written, then nothing."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, data):
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = self.file.write(data[: self.room])
        self.room -= count
        return count

    def __getattr__(self, name):
        return getattr(self.file, name)


@pytest.mark.parametrize("room", [0, 1, 11, 12, 40])
def test_a_disk_that_fills_up_leaves_no_torn_frame(tmp_path, room):
    log = GameLog(tmp_path)
    log.append(make_record(0))
    whole, log._file = log._file, FillingDisk(log._file, room)
    with pytest.raises(OSError, match="No space left"):
        log.append(make_record(1))
    log._file = whole  # there is room again
    log.append(make_record(2))
    warnings = []
    assert [r.index for r in GameLog(tmp_path).read(warnings.append)] == [0, 2] and not warnings


def test_a_proof_beyond_the_game_is_refused():
    with pytest.raises(ValueError, match="record of 9 plies, proven from ply 10 on"):
        GameRecord.from_bytes(replace(make_record(1), proven=10).to_bytes())


def test_games_are_found_by_number_whatever_their_order(tmp_path):
    log = GameLog(tmp_path)
    for seed, index in enumerate((4, 2, 0, 3, 2)):  # one twice: the later counts
        log.append(make_record(index, seed=seed))
        if index == 0:
            log.close()
    places = log.places(print)
    assert sorted(places) == [0, 2, 3, 4] and places[2][0] == 1
    wanted = [3, 0, 2, 4]
    assert [record.index for record in log.fetch(places[index] for index in wanted)] == wanted
    [last] = log.fetch([places[2]])
    assert [last.to_bytes()] == [r.to_bytes() for r in log.read(print) if r.index == 2][1:]

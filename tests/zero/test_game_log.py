"""The game log: records read back bit for bit, damage costs the damaged frames and nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero.game_log import GameLog, read_segment
from zero.record import FRAME, GameRecord, frame


def make_record(index, plies=9, seed=0):
    rng = np.random.default_rng([index, seed])
    counts = rng.integers(0, 4, plies)
    return GameRecord(
        index,
        int(rng.integers(1 << 62)),
        3,
        int(rng.integers(-1, 2)),
        rng.integers(0, 80, plies).astype(np.uint16),
        rng.uniform(-1, 1, plies).astype(np.float16),
        counts.astype(np.uint16),
        rng.integers(0, 80, counts.sum()).astype(np.uint16),
        rng.uniform(0, 1, counts.sum()).astype(np.float16),
    )


def same(a, b):
    return a.to_bytes() == b.to_bytes()


@given(st.integers(0, 2**40), st.integers(0, 50))
def test_a_record_reads_back(index, plies):
    record = make_record(index, plies)
    again = GameRecord.from_bytes(record.to_bytes())
    assert same(record, again)
    assert (again.index, again.seed, again.result) == (record.index, record.seed, record.result)


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

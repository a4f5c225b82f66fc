"""The engine client against an engine that behaves and against one that does not."""

import sys
import time
from pathlib import Path

import pytest

from gui.engine import MAX_RESTARTS, Engine

FAKE = Path(__file__).parent / "fake_engine.py"
ECHO = """
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    if "cancel" not in request:
        print(json.dumps({"id": request["id"], "done": False, "visits": 1}), flush=True)
        print(json.dumps({"id": request["id"], "done": True, "visits": 2}), flush=True)
"""


def fake(mode: str, *rest: str, **options) -> Engine:
    return Engine([sys.executable, str(FAKE), mode, "connect4", *rest], **options)


def pump(engine: Engine, until, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, f"engine is {engine.state}: {engine.problem}"
        engine.poll()
        time.sleep(0.005)


@pytest.fixture
def closing():
    engines = []
    yield engines.append
    for engine in engines:
        engine.close()
        assert engine.process is None


def test_reports_come_in_order_and_the_last_closes_the_request(closing):
    woken, answers = [], []
    engine = Engine([sys.executable, "-c", ECHO], wake=lambda: woken.append(1))
    closing(engine)
    engine.ask({"moves": []}, answers.append)
    pump(engine, lambda: not engine.busy)
    assert [a["visits"] for a in answers] == [1, 2]
    assert engine.state == "ready" and woken


def test_answers_to_a_cancelled_request_are_dropped(closing):
    stale, fresh = [], []
    engine = Engine([sys.executable, "-c", ECHO])
    closing(engine)
    engine.cancel(engine.ask({"moves": []}, stale.append))
    engine.ask({"moves": ["4"]}, fresh.append)
    pump(engine, lambda: not engine.busy)
    assert not stale and len(fresh) == 2


def test_a_crashing_engine_is_restarted_a_bounded_number_of_times(closing):
    engine = fake("crash", backoff=0.01)
    closing(engine)
    engine.ask({"moves": []}, lambda answer: None)
    pump(engine, lambda: engine.state == "failed")
    assert engine.restarts == MAX_RESTARTS
    assert "the network file is damaged" in engine.problem
    time.sleep(0.1)
    assert not engine.poll() and engine.state == "failed" and engine.next_deadline() is None


def test_requests_survive_a_restart(closing, tmp_path):
    engine = Engine([sys.executable, "-c", f"""
import os, sys
if not os.path.exists({str(tmp_path / 'x')!r}):
    open({str(tmp_path / 'x')!r}, 'w').close()
    sys.exit('first start fails')
{ECHO}"""], backoff=0.01)
    closing(engine)
    answers = []
    engine.ask({"moves": []}, answers.append)
    pump(engine, lambda: not engine.busy)
    assert len(answers) == 2 and engine.restarts == 1


def test_a_silent_engine_counts_as_hung(closing):
    engine = fake("silent", backoff=0.01, patience=0.2)
    closing(engine)
    engine.ask({"moves": []}, lambda answer: None)
    pump(engine, lambda: engine.state == "failed")
    assert "no answer" in engine.problem


LONG_THOUGHT = """
import json, sys, time
from gui import seat_engine
seat_engine.SIGN_OF_LIFE = 0.2
request = json.loads(sys.stdin.readline())
with seat_engine.signs_of_life():
    time.sleep(4)
print(json.dumps({"id": request["id"], "done": True}), flush=True)
"""


def test_a_player_that_thinks_long_does_not_count_as_hung(closing):
    engine = Engine([sys.executable, "-c", LONG_THOUGHT], patience=3.0)
    closing(engine)
    answers = []
    engine.ask({}, answers.append)
    pump(engine, lambda: answers)
    assert [a["done"] for a in answers] == [True] and engine.restarts == 0


def test_unreadable_output_is_survived_then_given_up(closing):
    engine = fake("garbage", backoff=0.01)
    closing(engine)
    engine.ask({"moves": []}, lambda answer: None)
    pump(engine, lambda: engine.state == "failed")
    assert "unreadable output" in engine.problem


def test_a_missing_program_is_a_failure_not_an_exception(closing):
    engine = Engine(["/nonexistent/engine"])
    closing(engine)
    engine.ask({"moves": []}, lambda answer: None)
    assert engine.state == "failed" and "nonexistent" in engine.problem


def test_an_error_answer_reaches_the_asker_and_the_engine_lives_on(closing):
    engine, answers = fake("error"), []
    closing(engine)
    engine.ask({"moves": ["9"]}, answers.append)
    pump(engine, lambda: not engine.busy)
    assert answers[0]["error"] == "no such move" and engine.state == "ready"

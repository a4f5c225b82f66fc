"""What workers send is judged by the rules: every kind of fault is refused, named, and costs no game of the run."""

import dataclasses
import os
import shutil

import numpy as np
import pytest
from tiny_run import SETTINGS, Quiet, games, train, weights

from zero import backends, pool
from zero.admission import Admission, Refused
from zero.config import Config, from_table
from zero.errors import UserError
from zero.game_log import REFUSED
from zero.games import make_game
from zero.record import GameRecord
from zero.run import RunDirectory
from zero.selfplay import SelfPlayWorker
from zero.supervisor import Supervisor


@pytest.fixture(scope="module")
def records(unbroken):
    return [record for record in unbroken.games.read(print) if record.version == 1]


def nan(array):
    array = array.copy()
    array[-1] = np.nan
    return array


def first_set(array, value):
    array = array.copy()
    array[0] = value
    return array


def last_set(array, value):
    return first_set(array[::-1], value)[::-1]


def twice(record):
    """The first policy names its first action two times."""
    ply = int(np.argmax(record.counts))
    at = int(record.counts[:ply].sum())
    actions = record.actions.copy()
    actions[at + 1] = actions[at]
    return {"actions": actions}


def cut(record):
    """The game without its last ply."""
    left = len(record.actions) - int(record.counts[-1])
    parts = {name: getattr(record, name)[:-1] for name in ("moves", "values", "counts", "surprises")}
    proven = min(record.proven, len(record.moves) - 1)
    return parts | {"actions": record.actions[:left], "probs": record.probs[:left], "proven": proven}


def longer(record):
    """Goes on after the end."""
    left = [a for a in range(9) if a not in record.moves] or [0]
    return {"moves": np.append(record.moves, left[0]), "values": np.append(record.values, 0),
            "counts": np.append(record.counts, 0), "surprises": np.append(record.surprises, 0)}


FAULTS = {
    "another network": (lambda r: {"version": 2}, "network 2 instead of 1"),
    "another seed": (lambda r: {"seed": r.seed ^ 1}, "another seed"),
    "another number": (lambda r: {"index": 95}, "game 96 was not asked for"),
    "result": (lambda r: {"result": -r.result or 1}, "by the rules it is"),
    "NaN value": (lambda r: {"values": nan(r.values)}, "no number from -1 to 1"),
    "all values NaN": (lambda r: {"values": r.values * np.float16("nan")}, "not a number"),
    "value of 3": (lambda r: {"values": first_set(r.values, 3)}, "no number from -1 to 1"),
    "half a proof": (lambda r: {"values": last_set(r.values, 0.5), "proven": 1}, "a proven value is not a result"),
    "NaN policy": (lambda r: {"probs": nan(r.probs)}, "no probability"),
    "negative": (lambda r: {"probs": -r.probs}, "no probability"),
    "sum": (lambda r: {"probs": r.probs / 2}, "adds up to 0.5"),
    "repeated action": (twice, "names an action twice"),
    "NaN surprise": (lambda r: {"surprises": nan(r.surprises)}, "a surprise is no number"),
    "illegal move": (lambda r: {"moves": first_set(r.moves, 200)}, "ply 1: its move is illegal"),
    "occupied": (lambda r: {"moves": np.append(r.moves[:1], r.moves[:-1])}, "is illegal"),
    "illegal policy": (lambda r: {"actions": last_set(r.actions, 99)}, "its policy names an illegal move"),
    "too short": (cut, "ends before it is over"),
    "too long": (longer, "the game was over before it"),
}


def test_every_game_of_a_run_is_admitted(unbroken):
    admission = Admission(unbroken.config)
    for record in unbroken.games.read(print):
        assert admission.admit(record.to_bytes(), record.version, {record.index}).index == record.index


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_refused_and_named(unbroken, records, fault):
    change, words = FAULTS[fault]
    admission = Admission(unbroken.config)
    record = next(r for r in records if len(r.moves) > 4 and r.counts[0] and r.counts.max() > 1)
    bad = dataclasses.replace(record, **change(record))
    with pytest.raises(Refused, match=words):
        admission.admit(bad.to_bytes(), 1, {record.index})


def test_bytes_that_are_no_record_are_refused(unbroken, records):
    with pytest.raises(Refused, match="smaller"):
        Admission(unbroken.config).admit(records[0].to_bytes()[:-1], 1, {records[0].index})


def test_a_game_ended_by_proof_has_the_result_that_its_search_announced():
    """Connect Four, the solver's settings: games that end early are admitted, with the other result they are not."""
    settings = {"game": "connect4", "search": {"solver": True},
                "network": {"blocks": 0, "channels": 4}, "selfplay": {"sims": 40, "lanes": 4, "end_when_proven": True}}
    config = from_table(Config, settings, "test")
    game, worker = make_game("connect4"), SelfPlayWorker(config)
    worker.version, worker._evaluate = 0, lambda planes, legal: (
        np.zeros(legal.shape, np.float32), np.zeros(len(legal), np.float32))
    admission, early = Admission(config), 0
    for payload in worker.play(60, list(range(8))).records:
        record = admission.admit(payload, 0, range(8))
        state = game.new_state()
        for move in record.moves:
            state.play(int(move))
        if not state.terminal:
            early += 1
            flipped = dataclasses.replace(record, result=-record.result or 1)
            with pytest.raises(Refused, match="its last search says"):
                admission.admit(flipped.to_bytes(), 0, range(8))
    assert early


# workers that are broken


class WrongResults(SelfPlayWorker):
    """Sends three games at a time; those of the second iteration, but for the first three, are wrong."""

    broken = 1  # how many such games there will be

    def __init__(self, *args):
        super().__init__(*args)
        self.ready, self.sent = [], 0

    def play(self, seconds, indices):
        report = super().play(seconds, indices)
        self.ready += report.records
        payloads, self.ready = self.ready[:3], self.ready[3:]
        if payloads and GameRecord.from_bytes(payloads[0]).version == 1:
            if self.sent >= 3 and WrongResults.broken:
                WrongResults.broken -= 1
                record = GameRecord.from_bytes(payloads[0])
                payloads[0] = dataclasses.replace(record, result=-record.result or 1).to_bytes()
            self.sent += len(payloads)
        return dataclasses.replace(report, records=payloads)


class NaNNetwork(SelfPlayWorker):
    """Its network says NaN, from the first position on."""

    def _timed_evaluate(self, planes, legal):
        logits, values = super()._timed_evaluate(planes, legal)
        return logits * np.float32("nan"), values


class Mortal(SelfPlayWorker):
    """Dies once, in the middle of its games."""

    def play(self, seconds, indices):
        report = super().play(0.01, indices)
        if self.version == 1 and not os.path.exists(os.environ["DIED"]):
            open(os.environ["DIED"], "w").close()
            os.kill(os.getpid(), 9)
        return report


def run_with(role, root, workers, monkeypatch, backend="inline"):
    """(run, messages) of a training whose workers are of that class."""
    monkeypatch.setattr(pool, "SelfPlayWorker", role)
    messages, display = [], Quiet()
    display.message = messages.append
    run = RunDirectory.create(root, from_table(Config, SETTINGS, "test"), {})
    try:
        Supervisor(run, backends.make(backend), workers, display).train()
    except UserError as error:
        messages.append(str(error))
    return run, messages


@pytest.mark.parametrize("workers", [1, 2])
def test_a_poisoned_worker_is_quarantined_and_its_round_played_again(tmp_path, monkeypatch, workers):
    """One wrong result: all its games of the round go, and the run ends as if there had been none."""
    unbroken = train(tmp_path / "unbroken", workers)
    monkeypatch.setattr(WrongResults, "broken", 1)
    run, messages = run_with(WrongResults, tmp_path / "run", workers, monkeypatch)
    assert "is quarantined: game" in messages[0] and "by the rules it is" in messages[0], messages
    assert len(messages) == 1
    assert games(run) == games(unbroken)
    assert weights(run) == weights(unbroken)
    assert len(list(run.games.read(print))) == 96, "a game was stored twice"
    refused = run.games.aside(REFUSED)
    assert len(refused) == 3 and all(24 <= record.index < 48 for record in refused)


def test_a_worker_that_stays_broken_gets_no_more_games(tmp_path, monkeypatch):
    monkeypatch.setattr(WrongResults, "broken", 10**9)
    run, messages = run_with(WrongResults, tmp_path / "run", 2, monkeypatch)
    assert sum("gets no games any more" in text for text in messages) == 2
    assert "no worker is left that can be trusted" in messages[-1]
    assert len(games(run)) < 48


def test_a_network_that_computes_nan_is_caught(tmp_path, monkeypatch):
    _, messages = run_with(NaNNetwork, tmp_path / "run", 1, monkeypatch)
    assert "is quarantined" in messages[0] and "no worker is left" in messages[-1]


def test_a_worker_killed_in_mid_game_costs_nothing(unbroken, tmp_path, monkeypatch):
    monkeypatch.setenv("DIED", str(tmp_path / "died"))
    run, messages = run_with(Mortal, tmp_path / "run", 2, monkeypatch, "process")
    assert "worker" in messages[0] and "-9" in messages[0]
    assert len(list(run.games.read(print))) == 96 and sorted(games(run)) == list(range(96))
    first = {index: game for index, game in games(unbroken).items() if index < 48}  # weights differ from there on
    assert {index: game for index, game in games(run).items() if index < 24} == {i: first[i] for i in range(24)}


def test_quarantined_games_are_done_without(unbroken, tmp_path):
    """Of the iteration that was under way, and of one that the network has learned from."""
    from zero.game_log import QUARANTINED

    root = tmp_path / "run"
    shutil.copytree(unbroken.root, root)
    run = RunDirectory.open(root)
    run.games.move_aside(QUARANTINED, {3, 90})
    run.change_budget({"games": 120})
    supervisor = Supervisor(RunDirectory.open(root), backends.make("inline"), 1, Quiet())
    supervisor.train()
    assert sorted(games(run)) == [index for index in range(120) if index not in (3, 90)]
    assert supervisor.replay.games == 118 and supervisor.state.games == 120

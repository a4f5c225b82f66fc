"""`zero replay` and `zero games`: stored games again from their seeds, checked, taken out and put back."""

import dataclasses
import json
import shutil

import pytest
from tiny_run import Quiet, games

from zero import backends
from zero.cli import main
from zero.game_log import QUARANTINED
from zero.run import RunDirectory
from zero.supervisor import Supervisor


@pytest.fixture
def run(unbroken, tmp_path):
    """A copy of the finished run, to be spoiled."""
    shutil.copytree(unbroken.root, tmp_path / "run")
    return RunDirectory.open(tmp_path / "run")


def call(capsys, *argv):
    code = main([str(word) for word in argv])
    out = capsys.readouterr()
    return code, out.out, out.err


def go_on(run):
    messages, display = [], Quiet()
    display.message = messages.append
    supervisor = Supervisor(RunDirectory.open(run.root), backends.make("inline"), 1, display)
    supervisor.train()
    return supervisor, messages


def spoil(run, index, **changes):
    run.games.move_aside("spoiled.games", {index})
    [record] = run.games.aside("spoiled.games")
    record = dataclasses.replace(record, **{name: change(record) for name, change in changes.items()})
    run.games.append(record)
    run.games.close()
    return record


def test_a_stored_game_comes_out_the_same_and_is_shown(capsys, unbroken):
    code, out, _ = call(capsys, "replay", unbroken.root, "31")
    record = next(r for r in unbroken.games.read(print) if r.index == 30)
    assert code == 0 and "game 31, network 1" in out and "bit for bit" in out
    assert out.count("a b c") == len(record.moves) + 1, "a board for each position"


def test_many_games_of_several_networks(capsys, unbroken):
    code, out, _ = call(capsys, "replay", unbroken.root, "20-30", "96", "--json")
    rows = json.loads(out.splitlines()[-1])["games"]
    assert code == 0 and [row["game"] for row in rows] == [*range(20, 31), 96] and all(row["same"] for row in rows)
    assert {row["network"] for row in rows} == {0, 1, 3} and all(len(r["moves"]) == len(r["values"]) for r in rows)


@pytest.mark.parametrize("changes, words", [
    ({"moves": lambda r: r.moves[::-1]}, " instead of "),
    ({"values": lambda r: -r.values}, "the search's value is"),
    ({"probs": lambda r: r.probs[::-1]}, "policy is another"),
    ({"result": lambda r: 1 if r.result < 1 else -1}, "the result"),
])
def test_a_game_that_was_changed_is_found_out(capsys, run, changes, words):
    spoil(run, 30, **changes)
    code, out, _ = call(capsys, "replay", run.root, 31, 32)
    assert code == 1 and "game 31, network 1" in out
    assert next(line for line in out.splitlines() if line.startswith("game 32")).endswith("bit for bit")
    assert words in next(line for line in out.splitlines() if "NOT the same" in line)


def test_games_are_listed(capsys, unbroken):
    code, out, _ = call(capsys, "games", "list", unbroken.root, "--network", 2, "--last", 3)
    assert code == 0 and [line.split()[0] for line in out.splitlines()[1:4]] == ["70", "71", "72"]
    code, out, _ = call(capsys, "games", "list", unbroken.root, 5, "7-8", "--json")
    assert [row["game"] for row in json.loads(out)["games"]] == [5, 7, 8]


def test_check_finds_the_wrong_games(capsys, run):
    assert call(capsys, "games", "check", run.root)[0] == 0
    spoil(run, 12, result=lambda r: 1 if r.result < 1 else -1)
    code, out, _ = call(capsys, "games", "check", run.root, "--json")
    assert code == 1 and list(json.loads(out)["wrong"]) == ["13"] and json.loads(out)["checked"] == 96


def test_quarantine_and_restore(capsys, run):
    before = games(run)
    code, out, _ = call(capsys, "games", "quarantine", run.root, 4, "90-91")
    assert code == 0 and "3 games set aside" in out and QUARANTINED in out
    call(capsys, "games", "quarantine", run.root, "--network", 0)
    assert sorted(games(run)) == [i for i in range(24, 96) if i not in (89, 90)]
    supervisor, messages = go_on(run)
    assert supervisor.replay.games == 70 and not messages, "quarantined games are not played again"
    code, out, _ = call(capsys, "games", "restore", run.root, "1-96")
    assert code == 0 and games(run) == before and not run.games.quarantined()
    assert len(list(run.games.read(print))) == 96


def test_games_spoiled_by_a_machine_are_played_again(capsys, run, unbroken):
    spoil(run, 12, result=lambda r: 1 if r.result < 1 else -1)
    assert "played again" in call(capsys, "games", "quarantine", run.root, 13, "--again")[1]
    _, messages = go_on(run)
    assert "playing 1 lost games" in messages[0] and games(run) == games(unbroken)


@pytest.mark.parametrize("argv, words", [
    (("replay", "{run}"), "which game?"),
    (("replay", "{run}", "97"), "there is no game 97"),
    (("replay", "{run}", "0"), "from 1"),
    (("replay", "{run}", "x"), "'x': give a game's number"),
    (("games", "burn", "{run}"), "unknown action 'burn'"),
    (("games", "quarantine", "{run}"), "which games?"),
    (("games", "restore", "{run}", "5"), "there is no game 5"),
    (("games", "list", "{run}", "--network", "9"), "no such games"),
])
def test_wrong_choices(capsys, unbroken, argv, words):
    code, out, err = call(capsys, *(word.format(run=unbroken.root) for word in argv))
    assert code == 2 and words in err and err.count("\n") == 1 and not out


def test_a_run_in_training_is_left_alone(capsys, run):
    with run.lock():
        code, _, err = call(capsys, "games", "quarantine", run.root, 3)
    assert code == 2 and "another process is training" in err and len(games(run)) == 96

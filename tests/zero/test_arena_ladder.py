"""Ladders and tournaments."""

import json
import math

import numpy as np
import pytest
from arena_run import INLINE, make_run

from mcts_ext.games import make
from zero.arena import ladder
from zero.arena.fixtures import PlayedGame
from zero.arena.match_result import MatchResult
from zero.arena.rating import fit_ratings
from zero.arena.results import Results, rating_table, table_text
from zero.arena.seats import Limits
from zero.arena.tournament import gauntlet, knockout, round_robin
from zero.errors import UserError


def match_of(a, b, points):
    result = MatchResult(a, b, make("connect4"))
    for number, value in enumerate(points):
        result.add(PlayedGame(number, "", number % 2, (number,), value))
    return result


def test_results_count_by_who_moved_first(tmp_path):
    results = Results(tmp_path / "r.jsonl")
    results.add(match_of("a", "b", [1, 0, 0.5, 1]))
    assert dict(results.counts) == {("a", "b"): [1, 1, 0], ("b", "a"): [1, 0, 1]}
    assert results.games("b", "a") == 4 and results.points("a", "b") == 2.5 and results.points("b", "a") == 1.5
    with open(tmp_path / "r.jsonl", "a") as file:
        file.write('{"a": "a", "b')  # cut by a kill
    again = Results(tmp_path / "r.jsonl")
    assert dict(again.counts) == dict(results.counts) and len(again.matches) == 1
    (tmp_path / "r.jsonl").write_text("{}")
    with pytest.raises(UserError, match="damaged"):
        Results(tmp_path / "r.jsonl")


def test_table_ranks_by_strength():
    results = Results()
    results.add(match_of("a", "b", [1, 1, 1, 0.5]))
    results.add(match_of("b", "c", [1, 1, 0, 1]))
    rows = rating_table(results, results.rate({"c": 0.0}))
    assert [row["player"] for row in rows] == ["a", "b", "c"] and rows[2]["elo"] == 0 and rows[2]["error"] == 0
    assert rows[0]["points"] == 3.5 and rows[1]["games"] == 8 and rows[2]["los"] is None
    assert len(table_text(rows).splitlines()) == 4


def test_the_next_pairing_is_where_the_information_is():
    results = Results()
    for _ in range(10):
        results.add(match_of("a", "b", [1, 0] * 10))
    results.add(match_of("b", "c", [1, 0, 0, 1]))  # c is level too, and hardly known
    results.add(match_of("d", "a", [1] * 40))  # d is far ahead: a game tells little
    players = ["a", "b", "c", "d"]
    assert "c" in ladder.next_pairing(players, results, results.rate({"a": 0.0}))
    assert ladder.next_pairing([*players, "e"], results, results.rate({"a": 0.0})) == ("d", "e")


def test_adaptive_pairing_rates_better_than_playing_at_random():
    """Players of known strength: at equal games the chosen pairings leave a smaller mean error."""
    truth = {str(k): 150.0 * k for k in range(8)}
    names = list(truth)

    def spread(choose, seed):
        rng = np.random.default_rng(seed)
        results = Results()
        for round_ in range(40):
            ratings = results.rate({"0": 0.0}) if results.counts else None
            a, b = choose(names, results, ratings, rng, round_)
            p = 1 / (1 + 10 ** ((truth[b] - truth[a]) / 400))
            results.add(match_of(a, b, (rng.random(10) < p).astype(float).tolist()))
        fit = results.rate({"0": 0.0})
        return np.mean([fit.error(name) for name in names[1:] if name in fit.players])

    def adaptive(names, results, ratings, rng, round_):
        return ladder.next_pairing(names, results, ratings)

    def uniform(names, results, ratings, rng, round_):
        return (names[round_ % 7], names[round_ % 7 + 1]) if round_ < 7 else tuple(rng.choice(names, 2, replace=False))

    assert np.mean([spread(adaptive, s) for s in (1, 2)]) < 0.95 * np.mean([spread(uniform, s) for s in (1, 2)])


def test_a_ladder_and_its_continuation(tmp_path):
    run = make_run(tmp_path / "run")
    versions = {f"{run.root}@{v}?sims=2": v for v in ladder.checkpoints(run, 5)}
    assert list(versions.values()) == [0, 1]
    players = ["random", "mcts:20", *versions]
    results = Results(tmp_path / "l.jsonl")
    plan = ladder.LadderPlan(players, run_game(run), Limits(2), games=24, batch=4)
    ratings = ladder.play_ladder(plan, results, INLINE)
    assert set(ratings.players) == set(players) and ratings["random"] == 0
    assert sum(map(sum, results.counts.values())) == 24
    more = Results(tmp_path / "l.jsonl")
    ladder.play_ladder(ladder.LadderPlan(players, run_game(run), Limits(2), games=32, batch=4), more, INLINE)
    assert more.matches[: len(results.matches)] == results.matches and len(more.matches) == len(results.matches) + 2
    costs = ladder.efforts(run)
    assert costs[0].games == 0 and costs[1].network_calls == 4000 and costs[2].hours == pytest.approx(1 / 60)
    pytest.importorskip("matplotlib")
    ladder.plot_ladder(tmp_path / "l.png", ratings, versions, costs, "a run")
    assert (tmp_path / "l.png").read_bytes().startswith(b"\x89PNG")


def run_game(run):
    return make(run.config.game)


def test_checkpoints_are_spread(tmp_path):
    class Run:
        def weights(self):
            return [type("Entry", (), {"version": v})() for v in range(101)]

    assert ladder.checkpoints(Run(), 5) == [0, 25, 50, 75, 100]


def stronger_wins(log):
    def play(a, b):
        log.append((a, b))
        return match_of(a, b, [1.0, 1.0] if a < b else [0.0, 0.0])

    return play


def test_formats():
    log = []
    round_robin(list("abcd"), stronger_wins(log))
    assert sorted(log) == [(a, b) for a in "abcd" for b in "abcd" if a < b]
    log.clear()
    gauntlet(list("abcd"), stronger_wins(log))
    assert log == [("a", "b"), ("a", "c"), ("a", "d")]


@pytest.mark.parametrize("count", [2, 3, 4, 5, 8])
def test_knockout(count):
    players = list("abcdefgh")[:count]
    log = []
    rounds = knockout(players, stronger_wins(log))
    assert rounds[-1][0][2] == "a" and len(log) == count - 1
    assert len(rounds) == math.ceil(math.log2(count))
    if count == 8:
        assert set(rounds[-1][0][:2]) == {"a", "b"}  # the best two meet last


def test_a_level_knockout_is_decided():
    asked = []

    def play(a, b):
        asked.append((a, b))
        return match_of(a, b, [0.5, 0.5])

    assert knockout(["a", "b"], play)[0][0][2] == "a" and len(asked) == 5


def test_the_commands(tmp_path, capsys):
    from zero.commands import tournament as command
    from zero.commands.ladder import main as ladder_main

    words = ["random", "mcts:30", "--game", "connect4", "--games", "4", "--json", "--out", str(tmp_path / "t.jsonl")]
    assert command.main(words) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["players"][0]["player"] == "mcts:30" and summary["players"][0]["games"] == 4
    assert command.main(words) == 0 and len((tmp_path / "t.jsonl").read_text().splitlines()) == 1
    with pytest.raises(UserError, match="two or more different"):
        command.main(["random", "random", "--game", "connect4"])
    run = make_run(tmp_path / "run")
    assert ladder_main([str(run.root), "--games", "80", "--sims", "2", "--anchors", "random", "mcts:20", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {row.get("version") for row in summary["players"]} == {None, 0, 1}
    assert sum(row["games"] for row in summary["players"]) == 2 * 80
    from zero.report.run_report import make_report

    assert make_report(run).count("Elo against") == 6  # captions and labels of three charts
    assert json.loads((run.root / "ladder" / "ladder.json").read_text()) == summary


def test_fit_needs_no_scipy_warning():
    with np.errstate(all="raise"):
        fit_ratings({("a", "b"): (3, 1, 2)})

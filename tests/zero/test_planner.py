"""Strength curves, and what is predicted from them: synthetic runs, where the answer is known."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import tomli_w
from tiny_run import SETTINGS, train

from zero import backends, planner, strength
from zero.arena.ladder import Effort
from zero.arena.rating import ELO_PER_NAT
from zero.cli import main
from zero.config import Config, from_table, to_table
from zero.display import LineDisplay, Status
from zero.errors import UserError
from zero.planner import Interval, Outlook, Speeds, duration, measure, predict
from zero.strength import Curve, Point, Tally, differences, expected_score, nearest_curves

CONFIG = from_table(Config, SETTINGS, "test")
RUNGS = {"mcts:100": 0.0, "mcts:1000": 300.0, "mcts:10000": 900.0}
CALLS = [0, *(10_000 * 2.0**k for k in range(8))]  # the last: 1.28 million
STEADY = Speeds([100.0], [1000.0], [500.0])


def true_elo(calls):
    """0 at 20,000 network calls, 100 more for every doubling."""
    return 100 * np.log2(max(calls, 2500) / 20_000)


def made_curve(games=200, rng=None, config=CONFIG, calls=CALLS, elo=true_elo):
    """Expected results without `rng`, else a sample of them."""
    points = []
    for version, spent in enumerate(calls):
        point = Point(version, Effort(version * 10, spent, version / 60, version * 100, int(spent / 10)))
        for rung, strong in RUNGS.items():
            p = expected_score(elo(spent) - strong)
            wins = games * p if rng is None else int(rng.binomial(games, p))
            point.matches[rung] = Tally([wins / 2, 0, (games - wins) / 2], [wins / 2, 0, (games - wins) / 2],
                                        [0, 0, games // 2, 0, 0])
        points.append(point)
    return Curve("tictactoe", 100, to_table(config), {"cpu": "a CPU", "cores": 2}, "2026-01-01", "by hand", points)


def medians(rungs, what="seconds"):
    return {rung.opponent: getattr(rung, what).median for rung in rungs}


def test_rungs_are_reached_where_the_run_was_as_strong():
    rungs = predict(CONFIG, [made_curve()], STEADY)
    assert [rung.opponent for rung in rungs] == list(RUNGS)
    found = medians(rungs, "calls")
    assert found["mcts:100"] == pytest.approx(20_000, rel=0.2)
    assert found["mcts:1000"] == pytest.approx(160_000, rel=0.15)
    assert not rungs[2].reached and rungs[2].calls.median == np.inf, "900 Elo are beyond the last network's 600"
    for rung in rungs[:2]:
        assert rung.calls.low < rung.calls.median < rung.calls.high
        # Play and learning take turns: 1000 calls, then the 100 samples that went with them at 500 a second.
        assert rung.seconds.median == pytest.approx(rung.calls.median * (1 / 1000 + 0.1 / 500), rel=1e-6)


def test_twice_the_speed_is_half_the_time_and_more_games_are_surer():
    rungs = predict(CONFIG, [made_curve()], STEADY)
    fast = predict(CONFIG, [made_curve()], Speeds([200.0], [2000.0], [1000.0]))
    for slow, quick in zip(rungs[:2], fast[:2], strict=True):
        for end in ("low", "median", "high"):
            assert getattr(quick.seconds, end) == pytest.approx(getattr(slow.seconds, end) / 2)
    surer = predict(CONFIG, [made_curve(games=2000)], STEADY)[1].seconds
    unsteady = predict(CONFIG, [made_curve(games=2000)], Speeds([100.0], [500.0, 1000.0, 1500.0], [500.0]))[1].seconds
    wide = rungs[1].seconds
    assert np.log(surer.high / surer.low) < 0.6 * np.log(wide.high / wide.low)
    assert unsteady.high - unsteady.low > 2 * (surer.high - surer.low)


def test_more_learning_for_a_position_takes_its_time():
    eager = replace(CONFIG, replay=replace(CONFIG.replay, samples_per_position=8.0))
    usual, twice = (predict(config, [made_curve()], STEADY)[1] for config in (CONFIG, eager))
    assert twice.seconds.median == pytest.approx(usual.calls.median * (1 / 1000 + 0.2 / 500), rel=0.01)


def test_play_and_learning_at_the_same_time_take_the_longer_of_both():
    config = replace(CONFIG, learner=replace(CONFIG.learner, concurrent=True))
    rung = predict(config, [made_curve(config=config)], STEADY)[1]
    assert rung.seconds.median == pytest.approx(rung.calls.median / 1000)
    assert Speeds([100.0], [1000.0], [50.0]).per_minute(config) == pytest.approx((750.0, 7500.0))


def test_intervals_cover_the_truth():
    """Matches drawn anew: the 95 % interval of the calls holds the true number, most of the time."""
    covered = 0
    for seed in range(60):
        curve = made_curve(games=40, rng=np.random.default_rng(seed))
        needed = Interval.of(curve.calls_needed(300, np.random.default_rng(0))["mcts:1000"])
        covered += needed.low <= 160_000 <= needed.high
    assert 53 <= covered


def test_a_rung_below_the_untrained_network_is_reached_at_once():
    curve = made_curve(elo=lambda calls: 2000.0)
    assert all(rung.seconds.median == 0 for rung in predict(CONFIG, [curve], STEADY))


def test_a_curve_survives_its_file(tmp_path):
    curve = made_curve(rng=np.random.default_rng(0))
    curve.points[2].kept["100"] = (800, 700)
    curve.write(tmp_path / "a.json")
    assert Curve.read(tmp_path / "a.json") == curve
    stored = json.loads((tmp_path / "a.json").read_text())["points"][3]["matches"]["mcts:100"]
    assert 0 <= stored["low"] < stored["score"] < stored["high"] <= 1
    (tmp_path / "a.json").write_text('{"points": [{}]}')
    with pytest.raises(UserError, match="a.json: not a strength curve"):
        Curve.read(tmp_path / "a.json")


def test_the_nearest_run_is_chosen(tmp_path):
    def changed(**sims):
        return from_table(Config, SETTINGS | {"selfplay": SETTINGS["selfplay"] | sims}, "test")

    far, near = changed(sims=8, games=50), changed(sims=8)
    for name, config in (("far", far), ("near", near)):
        made_curve(config=config).write(tmp_path / f"{name}.json")
    (chosen,) = nearest_curves(CONFIG, tmp_path)
    assert differences(CONFIG, chosen) == {"selfplay.sims": (8, 4)}
    other_end = replace(CONFIG, seed=5, budget=replace(CONFIG.budget, games=10_000))
    assert differences(other_end, chosen) == differences(CONFIG, chosen)
    assert nearest_curves(from_table(Config, {"game": "hex5"}, "test"), tmp_path) == []


def test_the_shipped_curves_can_be_read():
    for path in strength.CURVES.glob("*.json"):
        curve = Curve.read(path)
        assert curve.ratings is not None and len(curve.points) > 2, path
        efforts = [point.effort.network_calls for point in curve.points]
        assert efforts == sorted(efforts) and efforts[0] == 0, path


# the live estimate


def history(iterations, calls, seconds):
    return [{"network_evaluations": calls, "seconds": seconds * (k + 1)} for k in range(iterations)]


def minutes(text):
    return float(text.partition("about ")[2].split()[0])


def test_the_outlook_counts_down_to_the_next_rung():
    outlook = Outlook(CONFIG, [made_curve(games=2000)])
    assert outlook.text(0) == ""
    outlook.update(history(4, 10_000, 60.0))  # 40,000 of about 160,000 calls in 4 minutes: 12 more
    assert outlook.text(240.0).startswith("mcts:1000 in about ") and " min (" in outlook.text(240.0)
    assert minutes(outlook.text(240.0)) == pytest.approx(12, rel=0.15)
    assert minutes(outlook.text(240.0 + 300)) == pytest.approx(7, rel=0.25)
    outlook.update(history(4, 10_000, 30.0))  # twice as fast
    assert minutes(outlook.text(120.0)) == pytest.approx(6, rel=0.15)
    outlook.update(history(20, 10_000, 60.0))
    assert outlook.text(1200.0) == "mcts:10000: not reached in any stored run"


def test_without_a_curve_nothing_is_said():
    outlook = Outlook(CONFIG, [])
    outlook.update(history(4, 10_000, 60.0))
    assert outlook.text(240.0) == ""


def test_a_run_of_other_settings_is_named_so():
    outlook = Outlook(replace(CONFIG, search=replace(CONFIG.search, c_scale=0.3)), [made_curve()])
    outlook.update(history(4, 10_000, 60.0))
    assert outlook.text(240.0).endswith(", by a run of other settings")


def test_a_training_shows_it(tmp_path, monkeypatch, capsys):
    made_curve(elo=lambda calls: 500.0).write(tmp_path / "a.json")
    monkeypatch.setattr("zero.supervisor.nearest_curves", partial(nearest_curves, directory=tmp_path))
    run = train(tmp_path / "run")
    status = json.loads((run.root / "status.json").read_text())
    assert status["outlook"] == "mcts:10000: not reached in any stored run"
    status = Status("learning", 1, 1, 1, 1, 1, 1.0, 0.5, 1.0, 1.0, 0.5, 0.1, 1.0, 1.0, "mcts:1000 in about 6 min (4-9)")
    LineDisplay().update(status)
    assert "as strong as mcts:1000 in about 6 min (4-9)" in capsys.readouterr().err


def test_durations_are_said_as_people_say_them():
    assert duration(Interval(240, 360, 540)) == "6 min (4-9)"
    assert duration(Interval(20, 45, np.inf)) == "45 s (20-?)"
    assert duration(Interval(3600, 9000, 36000)) == "2.5 h (1-10)"
    assert expected_score(np.inf) == 1 and expected_score(-np.inf) == 0
    assert expected_score(ELO_PER_NAT) == pytest.approx(1 / (1 + np.exp(-1)))


# the measurement and the command


def test_measuring_counts_what_a_training_does():
    speeds = measure(CONFIG, backends.make("inline"), 1, 3.0)
    positions, calls, samples = map(np.median, vars(speeds).values())
    assert len(speeds.calls_per_s) >= 2 and samples > 100
    assert 1 < calls / positions < 5, "with 4 simulations a move"
    made, asked = speeds.per_minute(CONFIG)
    assert made == pytest.approx(60 / (1 / positions + 4 / samples))
    assert asked == pytest.approx(made * calls / positions)


def test_the_command(tmp_path, monkeypatch, capsys):
    speeds = Speeds([100.0, 110.0], [1000.0, 1100.0], [500.0, 490.0])
    monkeypatch.setattr(planner, "measure", lambda *arguments: speeds)
    monkeypatch.setattr(strength, "nearest_curves", partial(nearest_curves, directory=tmp_path))
    path = tmp_path / "t.toml"
    path.write_text(tomli_w.dumps(SETTINGS))
    assert main(["plan", str(path)]) == 0
    assert "No strength curve of tictactoe is stored" in capsys.readouterr().out
    made_curve().write(tmp_path / "a.json")
    assert main(["plan", str(path), "--budget.minutes", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" ")[0] for line in lines if "past this budget" in line] == ["mcts:1000"]
    assert main(["plan", str(path), "--selfplay.sims", "5", "--json"]) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert [(rung["rung"], rung["reached"]) for rung in result["rungs"]] == [
        ("mcts:100", True), ("mcts:1000", True), ("mcts:10000", False)]
    assert result["rungs"][2]["seconds"]["median"] is None and result["unknown_rungs"] == ["random"]
    assert "selfplay.sims was 4, is 5 here" in printed.err
    assert "not reached in any stored run" in printed.err and "no stored run met it" in printed.err

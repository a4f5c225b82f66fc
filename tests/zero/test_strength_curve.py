"""The tool that makes strength curves from runs (benchmarks/strength_curve.py)."""

import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from arena_run import INLINE, make_run

from zero.strength import Curve, Tally


@pytest.fixture
def tool(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    import strength_curve

    monkeypatch.setattr(strength_curve, "CURVES", tmp_path / "curves")
    monkeypatch.setattr(strength_curve, "PICTURES", tmp_path / "pictures")
    monkeypatch.setattr(strength_curve, "Workers", lambda: nullcontext(INLINE))
    monkeypatch.setattr(strength_curve, "BATCH", 4)
    return strength_curve


def measure(tool, monkeypatch, run, *words):
    monkeypatch.setattr(sys, "argv", ["strength_curve.py", str(run.root), "--sims", "2", *words])
    tool.main()
    return Curve.read(tool.CURVES / f"{run.root.name}.json")


def test_a_run_is_measured_and_the_measurement_goes_on(tool, monkeypatch, tmp_path, capfd):
    pytest.importorskip("matplotlib")
    run = make_run(tmp_path / "run")
    curve = measure(tool, monkeypatch, run, "--opponents", "random", "--games", "4")
    assert [point.version for point in curve.points] == [0, 1]
    assert curve.points[1].effort.network_calls == 4000 and curve.points[1].effort.samples == 5 * 256
    for point in curve.points:
        tally = point.matches["random"]
        assert tally.games == 4 and sum(tally.first) == sum(tally.second) == sum(tally.pairs) == 2
        assert tally.estimate.score * 4 == pytest.approx(sum(
            side[0] + side[1] / 2 for side in (tally.first, tally.second)))
    assert (tmp_path / "pictures" / "run.png").read_bytes().startswith(b"\x89PNG")
    capfd.readouterr()
    assert measure(tool, monkeypatch, run, "--opponents", "random", "--games", "4") == curve, "nothing is left to do"
    assert "random" not in capfd.readouterr().out
    more = measure(tool, monkeypatch, run, "--opponents", "random", "--games", "8", "--kept", "0")
    for old, new in zip(curve.points, more.points, strict=True):
        if not tool.settled(old.matches["random"]):
            assert new.matches["random"].games == 8
            assert all(b >= a for a, b in zip(old.matches["random"].pairs, new.matches["random"].pairs, strict=True))
        positions, kept = new.kept["0"]
        assert positions == len(tool.read_positions())
        assert 0.3 < kept / positions < 0.95, "a network that knows nothing, by its policy"
    with pytest.raises(SystemExit, match="another --sims"):
        measure(tool, monkeypatch, run, "--sims", "3")


def test_the_same_openings_are_not_played_twice(tool, monkeypatch, tmp_path):
    run, seen = make_run(tmp_path / "run"), []

    def play_match(*arguments, openings, **settings):
        seen.append([opening.moves for opening in openings])
        return SimpleNamespace(games=[], pairs=[0, 1, 0, 1, 0], broken=[])

    monkeypatch.setattr(tool, "play_match", play_match)
    arguments = SimpleNamespace(run=run.root, sims=2, networks=2)
    curve = tool.open_curve(tmp_path / "c.json", run, arguments)
    for games in (0, 4):
        curve.points[0].matches = {"random": Tally([games // 2, 0, 0], [0, 0, games // 2])}
        tool.play(curve, curve.points[0], "random", run, None)
    assert len(seen[0]) == len(seen[1]) == 2 and not set(seen[0]) & set(seen[1])


def test_hopeless_matches_are_left_out(tool, monkeypatch, tmp_path):
    run, met = make_run(tmp_path / "run"), []

    def play(curve, point, opponent, run, pool):
        met.append((point.version, opponent))
        won = point.version == 1
        tally = point.matches.setdefault(opponent, Tally())
        for side in (tally.first, tally.second):
            side[0 if won else 2] += 2
        tally.pairs[4 if won else 0] += 2

    monkeypatch.setattr(tool, "play", play)
    measure(tool, monkeypatch, run, "--opponents", "random", "mcts:10", "--games", "12")
    assert met == [(0, "random"), (1, "random"), (1, "mcts:10")]


def test_networks_are_spread_over_the_logarithm_of_time(tool, tmp_path):
    lines = [{"iteration": k, "games": k, "seconds": 60.0 * k, "positions": k, "steps": k} for k in range(1, 101)]
    run = SimpleNamespace(
        metrics=lambda: lines, weights=lambda: [SimpleNamespace(version=k) for k in range(101)],
        config=SimpleNamespace(learner=SimpleNamespace(batch=1)))
    assert tool.spread(run, 6) == [0, 1, 3, 10, 32, 100]
    assert tool.spread(run, 2) == [0, 100] and tool.spread(run, 101) == list(range(101))

"""The gatekeeper: who passes, what plays when nobody does, and that a stopped run ends as an unbroken one."""


from tiny_run import games, train, weights

from zero.arena.match_result import MatchResult
from zero.config import Config, GateConfig
from zero.games import make_game
from zero.gate import accepts
from zero.supervisor import Stopped

GATE = {"games": 6, "sims": 4}


class Scored(MatchResult):
    """A match with given points."""

    def __init__(self, points, games, decision=None):
        super().__init__("a", "b", make_game("tictactoe"))
        self.games, self._points, self._decision = [None] * games, points, decision

    points = property(lambda self: self._points)
    decision = property(lambda self: self._decision)


def test_who_passes():
    config = Config(gate=GateConfig(games=400))
    assert accepts(Scored(220, 400), config) and not accepts(Scored(219.5, 400), config)
    assert accepts(Scored(30, 40, "H1"), config) and not accepts(Scored(35, 40, "H0"), config)


def test_who_does_not_pass_does_not_play(tmp_path):
    """Nobody gets more than all points: the first network plays to the end, under every number."""
    run = train(tmp_path / "closed", gate=GATE | {"threshold": 1.0})
    hashes = weights(run)
    assert sorted(hashes) == [0, 1, 2, 3, 4]
    lines = run.metrics()
    for line in lines:
        passed = line["gate_points"] == line["gate_games"] == 6
        assert line["gate_passed"] == passed
        assert (hashes[line["iteration"]] != hashes[line["iteration"] - 1]) == passed
    assert not (run.root / "weights" / "candidate.safetensors").exists()
    assert not all(line["gate_passed"] for line in lines)


def test_an_open_gate_lets_everybody_through(tmp_path, unbroken):
    run = train(tmp_path / "open", gate=GATE | {"threshold": 0.0})
    assert weights(run) == weights(unbroken) and games(run) == games(unbroken)


def test_between_matches_the_best_goes_on_playing(tmp_path):
    run = train(tmp_path / "every", gate=GATE | {"threshold": 0.0, "every": 2})
    hashes = weights(run)
    assert hashes[1] == hashes[0] != hashes[2] == hashes[3] != hashes[4]
    assert ["gate_points" in line for line in run.metrics()] == [False, True, False, True]


def test_a_run_stopped_at_the_gate_ends_as_the_unbroken_one(tmp_path):
    settings = GATE | {"threshold": 0.4, "sprt": True}
    whole = train(tmp_path / "whole", gate=settings)
    root, stops = tmp_path / "stopped", 0
    while True:
        left = 2 + stops % 3

        def soon():
            nonlocal left
            left -= 1
            return left < 0

        try:
            run = train(root, gate=settings, should_stop=soon if stops < 6 else lambda: False)
            break
        except Stopped:
            stops += 1
    assert stops > 3 and weights(run) == weights(whole) and games(run) == games(whole)

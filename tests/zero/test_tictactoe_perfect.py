"""Tic-tac-toe, trained for a minute, never loses: every reply of every opponent is tried, as either side."""

import pytest

from mcts_ext.search import Search
from zero import backends
from zero.config import load
from zero.display import LineDisplay
from zero.evaluator import NetworkEvaluator
from zero.run import RunDirectory
from zero.supervisor import Supervisor

SIMS = 50


def lost_lines(game, search, evaluate, side):
    """The lines of play in which `side` (0 or 1) loses against some opponent, and how many lines there are."""
    lost, lines = [], 0

    def walk(state, moves):
        nonlocal lines
        if state.terminal:
            lines += 1
            outcome = state.outcome() if state.to_move == side else -state.outcome()
            if outcome < 0:
                lost.append(" ".join(game.action_to_text(a) for a in moves))
            return
        actions = state.legal_actions()
        if state.to_move == side:
            search.reset(0, state)
            search.start(0, SIMS, noise=False)
            search.run(evaluate)
            actions = [search.result(0).best]
        for action in actions:
            child = state.copy()
            child.play(action)
            walk(child, [*moves, action])

    walk(game.new_state(), [])
    return lost, lines


@pytest.mark.slow
def test_a_minute_of_training_never_loses(request, tmp_path):
    config = load(request.config.rootpath / "configs" / "tictactoe.toml", ["--match.games", "0"])
    run = RunDirectory.create(tmp_path / "run", config, {})
    Supervisor(run, backends.make("inline"), 1, LineDisplay()).train()
    evaluate = NetworkEvaluator.load(run.weights_path())
    search = Search(evaluate.game, 1, config.search)
    for side in (0, 1):
        lost, lines = lost_lines(evaluate.game, search, evaluate, side)
        assert lines > 50
        assert not lost, f"as player {side + 1} it loses {len(lost)} of {lines} lines, such as {lost[0]}"

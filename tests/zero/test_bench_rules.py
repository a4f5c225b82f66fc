"""`zero bench rules`: the figures it prints belong together."""
import json

import pytest

from zero.bench import rules
from zero.errors import UserError


def bench(capsys, *options):
    assert rules.main(["rules", "--seconds", "0.1", "--json", *options]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_playouts_and_plies_per_second(capsys):
    result = bench(capsys, "--game", "hex5")
    assert result["game"] == "hex5" and result["bench"] == "rules"
    assert 13 < result["plies_per_playout"] < 25             # 5x5; a side needs 5 stones to connect, most need more
    assert result["plies_per_s"] == pytest.approx(result["playouts_per_s"] * result["plies_per_playout"])
    assert result["playouts_per_cpu_s"] > 1000


def test_openspiel_takes_turns(capsys):
    pytest.importorskip("pyspiel")
    result = bench(capsys, "--game", "go5", "--vs-openspiel")
    assert result["ratio"] == pytest.approx(result["playouts_per_cpu_s"] / result["openspiel_playouts_per_cpu_s"])
    assert result["ratio"] > 1


def test_openspiel_playouts_are_as_many_as_counted():
    """Two simulations of MCTSBot evaluate two leaves: the evaluator's share, seen from the time it takes."""
    pyspiel = pytest.importorskip("pyspiel")
    game = pyspiel.load_game("tic_tac_toe")
    bot = pyspiel.MCTSBot(game, pyspiel.RandomRolloutEvaluator(7, 1), 2.0, 2, 10, False, 1, False)
    root = bot.mcts_search(game.new_initial_state())
    assert root.explore_count == 2
    assert sum(child.explore_count for child in root.children) == 1


@pytest.mark.parametrize("options, why", [(["--game", "chess"], "unknown game"), (["--seconds", "0"], "more than 0"),
                                          (["--game", "othello6", "--vs-openspiel"], "no game like othello6")])
def test_wrong_options(options, why):
    with pytest.raises(UserError, match=why):
        rules.main(["rules", *options])

"""Lines of text that name players."""

import pytest

from mcts_ext.options import SearchOptions
from zero.arena.players import parse_player
from zero.errors import UserError


def test_kinds():
    assert parse_player("random").kind == "random"
    assert parse_player("mcts:1000").settings.sims == 1000
    assert parse_player("uniform:64?temperature=0.5").settings.temperature == 0.5
    engine = parse_player("gtp:gnugo --mode gtp --level 1")
    assert (engine.kind, engine.target, engine.external) == ("gtp", "gnugo --mode gtp --level 1", True)
    assert parse_player("gtp:./what?ever").target == "./what?ever"
    searcher = parse_player("mcts:9?solver=true&c_puct=2&leaves=4")
    assert searcher.settings.apply(SearchOptions()) == SearchOptions(solver=True, c_puct=2.0, leaves=4)
    assert parse_player("gtp:x?game=go9").settings.game == "go9"
    ours = parse_player("gtp:zero gtp runs/x?sims=10")
    assert (ours.target, ours.settings.sims) == ("zero gtp runs/x?sims=10", None)
    own_rules = parse_player("mcts:9?solver=true&game=go9?komi=6.5&ko=simple").settings
    assert (own_rules.game, own_rules.search) == ("go9?komi=6.5&ko=simple", (("solver", True),))


def test_networks(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    (tmp_path / "a.safetensors").write_bytes(b"")
    for target in ("run", "run@120", "a.safetensors"):
        player = parse_player(f"{tmp_path}/{target}?sims=0")
        assert (player.kind, player.target, player.settings.sims) == ("network", f"{tmp_path}/{target}", 0)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "a player is missing"),
        ("randm", "did you mean 'random'"),
        ("mcst:100", "did you mean 'mcts:'"),
        ("mcts", "as in 'mcts:1000'"),
        ("mcts:-3", "as in 'mcts:1000'"),
        ("gtp:", "command behind 'gtp:'"),
        ("runs/nothing-there", "no run or weights file"),
        ("net.safetensors", "no such weights file"),
        ("random?sim=3", "did you mean 'sims'"),
        ("random?sims=x", "sims = x: must be a whole number"),
        ("random?temperature=-1", "temperature = -1: must be 0 or more"),
        ("mcts:9?solver=maybe", "solver = maybe: must be true or false"),
        ("mcts:9?c_puct=-1", "c_puct"),
        ("mcts:9?root=pict", "root"),
        ("random?temperature=nan", "temperature = nan"),
    ],
)
def test_errors_say_what_to_do(line, words):
    with pytest.raises(UserError) as error:
        parse_player(line)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_a_directory_without_a_run(tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        parse_player(str(tmp_path))

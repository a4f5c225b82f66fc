"""Networks as players: from files and runs, wrong and damaged ones, and what a batch must not change."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from arena_run import INLINE

from mcts_ext.connect4_solver import Solver
from mcts_ext.games import make
from zero.arena.match import play_match
from zero.arena.networks import find_network
from zero.arena.openings import random_openings
from zero.arena.players import parse_player
from zero.arena.seats import Limits, common_game
from zero.arena.solver import _exhaustive_values
from zero.config import Config, NetworkConfig, SearchOptions
from zero.errors import UserError
from zero.games import make_game
from zero.learner import Learner
from zero.network import Network, save_network
from zero.run import RunDirectory

TINY = NetworkConfig(blocks=1, channels=8, policy_channels=2, value_channels=2, value_hidden=8)


def write_network(path, game="connect4", seed=0):
    save_network(path, Network(make(game), TINY, np.random.default_rng(seed)), make(game).full_name)
    return path


@pytest.fixture
def run(tmp_path):
    made = RunDirectory.create(tmp_path / "run", Config(search=SearchOptions(c_puct=3.0), network=TINY), {})
    for version in (0, 1):
        made.publish(version, lambda path, v=version: write_network(path, seed=v), games=10 * version, steps=version)
    return made


def test_where_networks_come_from(run, tmp_path):
    newest = find_network(str(run.root))
    assert newest.path.name == "000001.safetensors" and newest.options.c_puct == 3.0 and newest.game == "connect4"
    assert find_network(f"{run.root}@0").path.name == "000000.safetensors"
    assert find_network(str(write_network(tmp_path / "a.safetensors"))).options == SearchOptions()
    for target, words in (("@7", "no network number 7"), ("@x", "number of a network")):
        with pytest.raises(UserError, match=words):
            find_network(f"{run.root}{target}")


def test_a_published_file_alone_searches_as_its_run_does(tmp_path):
    config = Config(game="tictactoe", search=SearchOptions(root="gumbel", c_scale=0.3, solver=True), network=TINY)
    path = tmp_path / "net.safetensors"
    Learner(make_game(config.game), config).export(path, version=1)
    assert find_network(str(path)).options == config.search


def test_what_a_network_sees_is_its_own_affair(tmp_path):
    """Networks trained on other planes play each other, by the rules that the match names."""
    seen = [write_network(tmp_path / f"{k}.safetensors", f"go5?{view}&komi=0.5")
            for k, view in enumerate(("history=2&liberties=true", "history=1"))]
    players = [parse_player(f"{path}?sims=4") for path in seen]
    assert common_game(players) is make("go5?komi=0.5")
    for game in (make("go5"), make("go5?komi=1.5&history=3")):
        assert find_network(str(seen[0])).seen(game) is make("go5", history=2, liberties=True, komi=game.komi)
        result = play_match(*players, game, games=4, pool=INLINE)
        assert len(result.games) == 4 and not result.broken
    assert play_match(players[0], parse_player("mcts:8?game=go5?history=4"), make("go5"), games=2, pool=INLINE).games
    with pytest.raises(UserError, match="this network plays go5"):
        common_game(players, "go7")


def test_networks_play_and_may_play_without_search(run):
    for line in (f"{run.root}?sims=8", f"{run.root}@0?sims=0", f"{run.root}?sims=8&temperature=1"):
        result = play_match(parse_player(line), parse_player("random"), make("connect4"), games=6, pool=INLINE)
        assert len(result.games) == 6 and not result.broken
        assert all(value is None or -1 <= value <= 1 for game in result.games for value in game.values)


def test_a_game_does_not_depend_on_its_neighbours(run):
    players = parse_player(f"{run.root}?sims=12"), parse_player(f"{run.root}@0?sims=12")
    one = play_match(*players, make("connect4"), games=8, workers=1, pool=INLINE)
    two = play_match(*players, make("connect4"), games=8, workers=4, pool=INLINE)
    assert [game.moves for game in one.games] == [game.moves for game in two.games]


def test_a_size_free_network_plays_every_size_of_its_game(tmp_path):
    config = replace(TINY, policy_head="convolutional", value_pooling=True)
    for game, free in (("go7", True), ("gomoku9", True), ("go5", False)):
        network = Network(make(game), config if free else TINY, np.random.default_rng(0))
        save_network(tmp_path / f"{game}.safetensors", network, game)
    line = f"{tmp_path}/go7.safetensors?game=go5&sims=4"
    result = play_match(parse_player(line), parse_player("random"), make("go5"), games=2)
    assert len(result.games) == 2 and not result.broken
    for wrong, has in (("go7.safetensors?game=gomoku9", "go7"), ("go5.safetensors?game=go7", "go5")):
        with pytest.raises(UserError, match=f"plays {has}"):
            common_game([parse_player(f"{tmp_path}/{wrong}")])


def test_networks_of_other_rules_play_only_where_the_game_is_named(tmp_path, capsys):
    for name in ("go5", "go5?komi=0.5"):
        write_network(tmp_path / f"{make(name).full_name}.safetensors", name)
    usual, other = (parse_player(f"{tmp_path}/{name}.safetensors?sims=4") for name in ("go5", "go5?komi=0.5"))
    assert common_game([other]) is make("go5", komi=0.5)
    with pytest.raises(UserError, match="plays go5, .* plays go5.komi=0.5; --game says by which rules"):
        common_game([usual, other])
    game = common_game([usual, other], "go5?komi=6.5")
    assert "learned go5?komi=0.5 and plays go5?komi=6.5 here" in capsys.readouterr().err
    assert len(play_match(usual, other, game, games=2).games) == 2
    named = parse_player(f"{other.target}?sims=4&game=go5?komi=6.5")
    assert common_game([named]) is game
    with pytest.raises(UserError, match="plays go5.komi=6.5, not go5$"):
        common_game([named], "go5")


def test_wrong_and_damaged_networks(run, tmp_path):
    network = parse_player(str(run.root))
    with pytest.raises(UserError, match="plays connect4, not go5"):
        play_match(network, parse_player("random"), make("go5"), games=2, pool=INLINE)
    with pytest.raises(UserError, match="players of different games"):
        common_game([network, parse_player("random?game=go5")])
    assert common_game([network, parse_player("random")]).name == "connect4"
    whole = (run.root / "weights" / "000001.safetensors").read_bytes()
    (run.root / "weights" / "000001.safetensors").write_bytes(whole[:-100])
    with pytest.raises(UserError, match="damaged"):
        common_game([network])
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="cut.safetensors"):
        play_match(parse_player(str(cut)), parse_player("random"), make("connect4"), games=2, limits=Limits(sims=2),
                   pool=INLINE)


def test_the_solver_never_loses_tictactoe():
    game, solver = make("tictactoe"), parse_player("solver")
    assert set(_exhaustive_values({}, game.new_state()).values()) == {0}  # the game is a draw, whatever comes first
    openings = list(islice(random_openings(game, 2, 1), 5)) * 2  # the five that are not lost, up to symmetries
    assert {len(opening.moves) for opening in openings} == {2}
    result = play_match(solver, parse_player("mcts:50"), game, games=20, openings=openings, pool=INLINE)
    for played in result.games:
        state = game.new_state()
        for action in played.moves[:2]:
            state.play(action)
        fair = max(_exhaustive_values({}, state).values())  # seen by the first player, who is to move
        assert played.points >= (fair if played.first == 0 else -fair) / 2 + 0.5 - 1e-9


def test_the_solver_plays_connect4_endings():
    game, solver = make("connect4"), Solver()
    openings = list(islice(random_openings(game, 22, 5), 6))
    result = play_match(parse_player("solver"), parse_player("random"), game, games=12, openings=openings, pool=INLINE)
    for played in result.games:
        state = game.new_state()
        for action in played.moves[:22]:
            state.play(action)
        value = solver.value(state)  # the first player is to move after 22 plies
        assert played.points >= ((value if played.first == 0 else -value) + 1) / 2
    with pytest.raises(UserError, match="no solver for go5"):
        play_match(parse_player("solver"), parse_player("random"), make("go5"), games=2, pool=INLINE)

"""Players of ours that hang, dawdle or die: the worker process is ended, the game is lost, the match goes on."""

import multiprocessing
import time

import numpy as np
import pytest
from arena_run import TINY

from mcts_ext import games
from mcts_ext.games import make
from zero.arena.match import play_match
from zero.arena.openings import Opening
from zero.arena.players import parse_player
from zero.arena.seats import Limits
from zero.arena.workers import Workers
from zero.network import Network, save_network


@pytest.fixture(autouse=True, scope="module")
def stubborn_games():
    """Registered for these tests alone: others list the games that there are."""
    usual = dict(games._families)
    import stubborn  # noqa: F401  registers its games, here and in the workers

    yield
    games._families.clear()
    games._families.update(usual)


def network_of(path, game):
    save_network(path, Network(game, TINY, np.random.default_rng(0)), game.name)
    return parse_player(f"{path}?sims=20")


@pytest.mark.parametrize(
    ("mode", "kind", "detail"),
    [("loops", "stall", "it had 2 s"), ("blocks", "stall", "no answer in time"), ("slow", "stall", "ended"),
     ("exits", "crash", "exit code 5"), ("crashes", "crash", "exit code -11")],
)
def test_one_game_is_lost_and_told(mode, kind, detail, tmp_path, capfd):
    game = make(f"stubborn-{mode}")
    began = time.monotonic()
    result = play_match(network_of(tmp_path / "net.safetensors", game), parse_player("random"), game, 2,
                        openings=[Opening((0,), "a1")], limits=Limits(watchdog=2.0), workers=2)
    assert time.monotonic() - began < 60
    assert result.points == 0 and len(result.broken) == 2
    for played in result.games:
        assert (played.ending, played.culprit) == (kind, 0) and detail in played.detail and played.moves[0] == 0
    assert not multiprocessing.active_children()
    if mode != "exits":  # where it was, in Python's terms
        assert "stubborn.py" in capfd.readouterr().err


def test_games_beside_it_in_the_batch_are_played_again(tmp_path):
    game = make("stubborn-exits")
    openings = [Opening((cell,), str(cell)) for cell in (4, 0, 8)]
    players = parse_player("random"), network_of(tmp_path / "net.safetensors", game)
    result = play_match(*players, game, 6, openings=openings, workers=1)
    assert [played.ending for played in result.games] == ["rules"] * 2 + ["crash"] * 2 + ["rules"] * 2
    assert [played.culprit for played in result.broken] == [1, 1] and result.points >= 2
    healthy = play_match(*players, game, 2, openings=openings[:1], workers=1)
    assert [played.moves for played in healthy.games] == [played.moves for played in result.games[:2]]


def test_a_lent_worker_that_died_is_replaced_for_the_next_match(tmp_path):
    game = make("stubborn-exits")
    net = network_of(tmp_path / "net.safetensors", game)
    with Workers() as pool:
        for cell, ending in ((0, "crash"), (4, "rules")):
            result = play_match(net, parse_player("random"), game, 2, openings=[Opening((cell,), "")], workers=1,
                                pool=pool)
            assert {played.ending for played in result.games} == {ending}
        assert len(multiprocessing.active_children()) == 1
    assert not multiprocessing.active_children()

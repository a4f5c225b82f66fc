"""The window with the real engine behind it: `zero analysis` and players that only play."""

import os
import shutil
import sys

import pytest
from window_driver import Driver, pygame

from gui.engine import analysis_command
from gui.model import Setup, Side


@pytest.fixture
def real(window):
    def open_real(what: str, **settings) -> Driver:
        driver = window(None, **settings)
        driver.app.engines.command = analysis_command
        from gui.app import opening

        opening(driver.app, what)
        driver.step()
        return driver

    return open_real


def test_a_game_against_search_with_rollouts(real):
    driver = real("connect4")
    for column in "4444":
        ply = driver.match.node.ply
        driver.click(driver.square(column))
        assert driver.match.node.ply > ply
        driver.wait(lambda ply=ply: driver.match.over or driver.match.node.ply == ply + 2)
        if driver.match.over:
            break
    assert driver.session.status.key == "status.played"


def test_candidates_policy_graph_and_ownership_of_the_real_engine(real):
    driver = real("go5", players=("human", "mcts:50"), analysis_sims=100)
    for key in (pygame.K_F2, pygame.K_F3, pygame.K_F4, pygame.K_F5):
        driver.key(key)
    driver.wait(lambda: driver.match.node.analysis and driver.match.node.analysis.done)
    analysis = driver.match.node.analysis
    assert analysis.visits >= 90 and len(analysis.ownership) == 25 and len(analysis.policy) == 26
    assert sum(analysis.policy.values()) == pytest.approx(1, abs=0.01)
    best = analysis.moves[0]
    assert best.pv[0] == best.move == analysis.best
    driver.click(driver.square("C3"))
    driver.wait(lambda: driver.match.node.ply == 2)


def test_a_winning_move_is_seen_as_a_win_for_its_player(real):
    driver = real("connect4", players=("human", "mcts:400?solver=true"))
    for move in "414141":
        driver.match.play_text(move)  # Red has three in column 4
    driver.match.live = False
    driver.key(pygame.K_F2)
    driver.key(pygame.K_F5)
    driver.wait(lambda: driver.match.node.analysis and driver.match.node.analysis.done)
    analysis = driver.match.node.analysis
    assert analysis.best == "4" and analysis.moves[0].value > 0.8
    from gui.review import curve

    assert curve(driver.match.node.path())[-1] > 0.8  # the first player's win rate


@pytest.mark.parametrize("player", ["random", "solver"])
def test_players_that_only_play(real, player):
    driver = real("tictactoe", players=("human", player))
    driver.click(driver.square("b2"))
    driver.wait(lambda: driver.match.node.ply == 2)
    if player == "solver":
        assert driver.match.node.text in ("a1", "c1", "a3", "c3")  # every other answer to the centre loses


def test_the_komi_agreed_on_reaches_the_engine(real):
    driver = real("go5")
    driver.app.start_game(Setup("go5", komi=200.5))
    driver.step()
    driver.key(pygame.K_F2)
    driver.wait(lambda: driver.match.node.analysis and driver.match.node.analysis.done)
    assert driver.match.node.analysis.value < -0.9  # Black cannot make up for it


def test_rules_and_komi_agreed_on_reach_the_engine(real):
    driver = real("gomoku9")
    driver.app.start_game(Setup("gomoku9", (Side(), Side.of("mcts:50")), rules=(("opening", "swap2"),)))
    driver.step()
    for point in ("E5", "E6", "D5"):
        driver.click(driver.square(point))
    driver.wait(lambda: driver.match.node.ply >= 4)
    assert driver.session.status.key != "status.engine_error"
    driver.app.start_game(Setup("go5", komi=200.5, rules=(("rules", "tromp-taylor"),)))
    driver.step()
    driver.key(pygame.K_F2)
    driver.wait(lambda: driver.match.node.analysis and driver.match.node.analysis.done)
    assert driver.match.node.analysis.value < -0.9  # Black cannot make up for the komi


def test_a_position_set_up_reaches_the_engine(real):
    driver = real("connect4")
    taken = Setup("go5", komi=0.5, black=("A1", "B2"), white=("B1", "C2", "C1", "A3"), white_first=True)
    driver.app.start_game(taken)
    driver.step()
    driver.key(pygame.K_F2)
    driver.wait(lambda: driver.match.node.analysis and driver.match.node.analysis.done)
    assert {m.move for m in driver.match.node.analysis.moves} <= set(driver.match.node.analysis.policy)
    assert "A2" in driver.match.node.analysis.policy and "B2" not in driver.match.node.analysis.policy


def test_a_player_that_only_plays_shows_no_win_rate(real):
    driver = real("tictactoe", players=("human", "random"))
    driver.click(driver.square("b2"))
    driver.wait(lambda: driver.match.node.ply == 2)
    assert all(node.analysis is None for node in driver.match.node.path())


def test_against_another_program_over_gtp(real):
    program = shutil.which("gnugo", path=os.environ["PATH"] + os.pathsep + "/usr/games")
    if not program:
        pytest.skip("no gnugo here (Debian package gnugo)")
    driver = real("go9", players=("human", f"gtp:{program} --mode gtp --level 1"))
    driver.click(driver.square("E5"))
    driver.wait(lambda: driver.match.node.ply == 2)
    driver.key(pygame.K_z, pygame.KMOD_LCTRL)
    driver.click(driver.square("C3"))
    driver.wait(lambda: driver.match.node.ply == 2)


def test_a_player_that_does_not_exist_is_told(real):
    driver = real("connect4", players=("human", "nonsense"))
    driver.click(driver.square("4"))
    engine = driver.app.engines.get("nonsense", "connect4")
    driver.wait(lambda: engine.state == "failed")
    assert "nonsense" in engine.problem and engine.restarts == 0


def test_the_window_process_loads_no_network():
    import subprocess

    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, gui.app, gui.game_screen, gui.training, gui.time_machine, "
         "gui.simulation_panel; print([m for m in sys.modules if m.split('.')[0] == 'nn' or m == 'zero.network'])"],
        capture_output=True, text=True, check=True)
    assert loaded.stdout.split("\n")[-2] == "[]"

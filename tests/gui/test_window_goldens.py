"""Pictures of the window, compared with kept ones. They are made anew by
`UPDATE_GOLDENS=1 pytest tests/gui/test_window_goldens.py`: look at each before keeping it."""

import os
from pathlib import Path

import numpy as np
import pytest
from window_driver import pygame

GOLDENS = Path(__file__).parent / "goldens"
MADE_WITH = "2.5.8"  # pictures are the same wherever the same wheel draws them
TOLERATED, SHARE = 16, 0.001  # of 255 per channel; of the pixels
SIZE = {"width": 900, "height": 640}

GAMES = {"go9": "E5 C3 G7 G3 C7 D4 E3 F6", "gomoku9": "E5 E6 D5 F4", "othello6": "b3", "hex7": "d4 c5 e3",
         "connect4": "4 4 3 5 2", "tictactoe": "b2 a1 c3", "breakthrough6": "a2a3 f5f4 b2b3"}


def compare(name: str, tmp_path: Path) -> None:
    """Asserts that the window looks as the kept picture does; leaves what differs in `tmp_path`."""
    shown, path = pygame.display.get_surface(), GOLDENS / f"{name}.png"
    if os.environ.get("UPDATE_GOLDENS"):
        GOLDENS.mkdir(exist_ok=True)
        pygame.image.save(shown, path)
        return
    kept = pygame.image.load(path)
    assert kept.get_size() == shown.get_size()
    now, then = (pygame.surfarray.array3d(s).astype(int) for s in (shown, kept))
    wrong = (np.abs(now - then) > TOLERATED).any(axis=2)
    if wrong.mean() > SHARE:
        pygame.image.save(shown, tmp_path / f"{name}-now.png")
        now[wrong] = (255, 0, 255)
        pygame.image.save(pygame.surfarray.make_surface(now.astype(np.uint8)), tmp_path / f"{name}-diff.png")
        pytest.fail(f"{name}: {wrong.mean():.2%} of the pixels differ, see {tmp_path}/{name}-diff.png")


pytestmark = pytest.mark.skipif(pygame.version.ver != MADE_WITH and not os.environ.get("UPDATE_GOLDENS"),
                                reason=f"the pictures were made with pygame-ce {MADE_WITH}")


def position(driver, game: str, keys: tuple = ()) -> None:
    """Two humans have played the game's moves; then keys are pressed and the engine's answers waited for."""
    driver.app.start_game(type(driver.match.setup)(game))
    for move in GAMES[game].split():
        driver.match.play_text(move)
    driver.step()
    for key in keys:
        driver.key(key)
    driver.wait(lambda: not any(e.busy for e in driver.app.engines.running.values()))
    driver.step(5)
    driver.move_to((2, 2))
    driver.app.draw()


@pytest.mark.parametrize("game", GAMES)
def test_every_game(window, tmp_path, game):
    position(window("connect4", **SIZE), game)
    compare(game, tmp_path)


OVERLAYS = {"candidates": (pygame.K_F2, pygame.K_F5), "policy": (pygame.K_F3,), "numbers": (pygame.K_F6,),
            "simulation": (pygame.K_F8,)}


@pytest.mark.parametrize("name", OVERLAYS)
def test_overlays(window, tmp_path, name):
    position(window("connect4", **SIZE), "connect4", OVERLAYS[name])
    compare(f"see-{name}", tmp_path)


def test_steps_as_arrows(window, tmp_path):
    position(window("connect4", **SIZE), "breakthrough6", (pygame.K_F2,))
    compare("see-steps", tmp_path)


def test_ownership(window, tmp_path):
    position(window("connect4", **SIZE), "go9", (pygame.K_F4,))
    compare("see-ownership", tmp_path)


def test_line_of_a_candidate(window, tmp_path):
    driver = window("connect4", **SIZE)
    position(driver, "gomoku9", (pygame.K_F2,))
    driver.move_to(driver.square(driver.match.node.analysis.moves[0].move))
    driver.app.draw()
    compare("see-line", tmp_path)


def test_tree(window, tmp_path):
    driver = window("connect4", **SIZE)
    position(driver, "connect4")
    match = driver.match
    for back, moves in ((2, "1 7 1"), (1, "6"), (4, "2 6")):
        match.step(-back)
        for move in moves.split():
            match.play_text(move)
    match.node.comment = "quieter"
    driver.press("tab.tree")
    driver.move_to((2, 2))
    driver.app.draw()
    compare("tree", tmp_path)


@pytest.mark.parametrize("scale", [1.0, 1.5, 2.0])
def test_scales_and_the_light_theme(window, tmp_path, scale):
    size = {"width": round(840 * scale), "height": round(630 * scale)}
    position(window("connect4", theme="light", scale=scale, **size), "tictactoe", (pygame.K_F2, pygame.K_F5))
    compare(f"light-{scale:g}", tmp_path)


def test_chooser_in_chinese(window, tmp_path):
    driver = window(None, language="zh", **SIZE)
    driver.app.draw()
    compare("chooser-zh", tmp_path)


def test_chooser_of_go(window, tmp_path, monkeypatch):
    monkeypatch.setattr("gui.players.find_program", lambda name: None)  # whatever this machine has
    driver = window(None, theme="light", **SIZE)
    driver.press("game.go")
    driver.press("rules")
    driver.move_to((2, 2))
    driver.app.draw()
    compare("chooser-go", tmp_path)


def test_choosing_a_colour_in_swap2(window, tmp_path):
    driver = window("connect4", **SIZE)
    driver.app.start_game(type(driver.match.setup)("gomoku9", rules=(("opening", "swap2"),)))
    for move in "E5 E6 D5 two F4 C3".split():
        driver.match.play_text(move)
    driver.step()
    driver.move_to((2, 2))
    driver.app.draw()
    compare("swap2", tmp_path)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_key_sheet(window, tmp_path, language):
    driver = window("tictactoe", language=language, **SIZE)
    driver.type("?", enter=False)
    driver.app.draw()
    compare(f"keys-{language}", tmp_path)


def test_settings_sheet_with_an_open_list(window, tmp_path):
    driver = window("tictactoe", theme="light", **SIZE)
    driver.press("settings")
    driver.press("scale")
    driver.app.draw()
    compare("settings", tmp_path)


def test_banner(window, tmp_path):
    driver = window("connect4", mode="crash", **SIZE)
    engine = driver.app.engines.get("mcts:1000", "connect4")
    engine.backoff = 0.001
    driver.click(driver.square("4"))
    driver.wait(lambda: engine.state == "failed")
    driver.move_to((2, 2))
    driver.app.draw()
    compare("banner", tmp_path)


def test_end_of_a_game_of_go(window, tmp_path):
    driver = window("connect4", **SIZE)
    driver.app.start_game(type(driver.match.setup)("go5"))
    for move in "C3 B3 C2 B2 C1 B1 C4 B4 C5 B5 pass pass".split():
        driver.match.play_text(move)
    driver.session.say_result()
    driver.step()
    driver.app.draw()
    compare("go-end", tmp_path)

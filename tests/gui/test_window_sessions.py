"""Scripted sessions: clicks, pointing, wheel, typing, against an engine that behaves and against ones that do not."""

import json

import pytest
from window_driver import fake_command, pygame

from gui.settings import autosave_folder, config_path


def test_a_click_plays_and_the_engine_answers(window):
    driver = window("connect4")
    driver.click(driver.square("4"))
    assert driver.match.node.path()[1].text == "4"
    driver.wait(lambda: driver.match.node.ply == 2)
    assert driver.match.state.to_move == 0 and driver.session.status.key == "status.played"


def test_a_press_that_leaves_the_point_plays_nothing(window):
    driver = window("gomoku9", players=("human", "human"), mode="silent")
    driver.drag(driver.square("C3"), driver.square("E5"))
    assert driver.match.node is driver.match.root


def test_typed_moves_and_unknown_ones(window):
    driver = window("go9")
    driver.type("e5")
    driver.wait(lambda: driver.match.node.ply == 2)
    assert driver.match.node.path()[1].text == "E5"
    driver.type("x99")
    assert driver.session.status.key == "status.no_move" and driver.match.node.ply == 2


def test_typing_shows_and_can_be_corrected(window):
    driver = window("connect4")
    driver.type("43", enter=False)
    assert driver.app.screen.typed == "43"
    driver.key(pygame.K_BACKSPACE)
    driver.key(pygame.K_RETURN)
    assert driver.match.node.path()[1].text == "4"


def test_keyboard_cursor(window):
    driver = window("tictactoe")
    driver.key(pygame.K_UP)  # the cursor appears in the middle
    driver.key(pygame.K_LEFT)
    driver.key(pygame.K_RETURN)
    assert driver.match.node.path()[1].text == "a2"


def test_an_impossible_move_is_explained_in_place(window):
    driver = window("othello8")
    before = driver.pixels()
    driver.click(driver.square("a1"))
    assert driver.app.screen.area.bubble[1] == "why.flips_nothing" and driver.match.node is driver.match.root
    assert driver.pixels() != before


def test_stepping_a_pawn_by_two_clicks_and_by_dragging(window):
    driver = window("breakthrough6")
    area = driver.app.screen.area
    centre = area.view.layout.centre
    pawn, ahead = centre((4, 2)), centre((3, 2))
    driver.click(pawn)
    assert area.origin == (4, 2)
    driver.click(ahead)
    driver.wait(lambda: driver.match.node.ply == 2)
    driver.drag(centre((4, 3)), centre((3, 3)))
    assert driver.match.node.path()[3].text == "d2d3"


def test_a_game_written_in_python_is_drawn_and_played(window, monkeypatch):
    from pathlib import Path

    from mcts_ext import games

    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "examples" / "domineering")
    monkeypatch.setattr(games, "_families", dict(games._families))
    domineering = pytest.importorskip("domineering")
    if "domineering" not in games._families:
        games.register("domineering", domineering.create)
    driver = window("connect4")
    driver.app.start_game(type(driver.match.setup)("domineering4"))
    driver.step()
    centre = driver.app.screen.area.view.layout.centre
    driver.click(centre((1, 0)))  # the lower half of a domino first
    driver.click(centre((0, 0)))
    driver.drag(centre((0, 1)), centre((0, 2)))
    assert driver.match.node.moves() == ["a1a2", "b1c1"]


def test_undo_redo_and_variations_by_keys(window):
    driver = window("connect4")
    driver.click(driver.square("4"))
    driver.wait(lambda: driver.match.node.ply == 2)
    first = driver.match.node
    driver.key(pygame.K_z, pygame.KMOD_LCTRL)
    assert driver.match.node is driver.match.root
    driver.step(20)
    assert driver.match.node is driver.match.root  # the engine rests
    driver.key(pygame.K_y, pygame.KMOD_LCTRL)
    assert driver.match.node is first
    driver.key(pygame.K_HOME)
    driver.click(driver.square("1"))
    driver.wait(lambda: driver.match.node.ply == 2)
    assert len(driver.match.root.children) == 2
    driver.key(pygame.K_PAGEUP)
    driver.key(pygame.K_UP, pygame.KMOD_LCTRL)
    assert driver.match.node.text == "4"


def test_the_wheel_steps_through_the_game(window):
    driver = window("connect4")
    driver.click(driver.square("4"))
    driver.wait(lambda: driver.match.node.ply == 2)
    driver.wheel(1)
    assert driver.match.node.ply == 1
    driver.wheel(-1)
    assert driver.match.node.ply == 2


def test_candidates_and_a_line_stepped_by_the_wheel(window):
    driver = window("gomoku9")
    driver.key(pygame.K_F2)
    driver.wait(lambda: driver.match.node.analysis and driver.match.node.analysis.done)
    best = driver.match.node.analysis.moves[0]
    driver.move_to(driver.square(best.move))
    area = driver.app.screen.area
    assert area.chosen == best.move and area.line_shown == len(best.pv)
    whole = driver.pixels()
    driver.wheel(-1)
    assert area.line_shown == len(best.pv) - 1 and driver.pixels() != whole
    driver.wheel(1)
    assert driver.pixels() == whole
    driver.move_to((5, 5))
    assert area.chosen is None


@pytest.mark.parametrize("key", [pygame.K_F2, pygame.K_F3, pygame.K_F4, pygame.K_F5, pygame.K_F6, pygame.K_F8])
def test_each_way_of_seeing_shows_and_hides_completely(window, key):
    driver = window("go9", players=("human", "human"), mode="good")
    match = driver.match
    match.setup = type(match.setup)("go9")
    for move in ("E5", "C3", "G7"):
        match.play_text(move)
    driver.step()
    plain = driver.pixels()
    driver.key(key)
    driver.wait(lambda: not any(e.busy for e in driver.app.engines.running.values()))
    driver.step(5)
    assert driver.pixels() != plain
    driver.key(key)
    driver.step()
    if key != pygame.K_F8:
        driver.app.ui.focus = None
    # The table of moves now knows a win rate; the board is as it was.
    board = driver.app.ui.regions["board"].rect
    driver.app.draw()
    shown = pygame.image.frombytes(plain, pygame.display.get_surface().get_size(), "RGB")
    now = pygame.display.get_surface()
    assert pygame.image.tobytes(now.subsurface(board), "RGB") == pygame.image.tobytes(shown.subsurface(board), "RGB")


def test_a_serious_game_asks_for_no_analysis(window):
    driver = window("connect4", mode="good")
    driver.step(20)
    assert not driver.app.engines.running


def test_the_graph_takes_one_to_a_ply(window):
    driver = window("connect4")
    for move in ("4", "4", "3", "5", "2", "1"):
        driver.match.play_text(move)
    driver.key(pygame.K_F5)
    driver.step(5)
    graph = driver.app.ui.regions["graph"].rect
    driver.click((graph.x + 34, graph.centery))
    assert driver.match.node is driver.match.root


def test_review_finds_mistakes_and_a_click_goes_there(window):
    driver = window("connect4")
    for move in ("7", "7", "7", "7", "1", "1"):
        driver.match.play_text(move)
    driver.match.live = False
    driver.key(pygame.K_F7)
    driver.press("review")
    driver.wait(lambda: driver.session.review_left == 0)
    assert all(node.analysis.done for node in driver.match.node.path())
    driver.step()
    assert "mistakes.0" in driver.app.ui.regions
    driver.press("mistakes.0")
    assert driver.match.node.ply < 6


def test_four_phases_of_a_simulation(window):
    driver = window("connect4")
    driver.key(pygame.K_F8)
    panel = driver.app.screen.simulation
    driver.wait(lambda: panel.simulation.step is not None)
    phases = [panel.simulation.step.phase]
    for _ in range(30):
        driver.press("sim.step")
        driver.wait(lambda: not panel.simulation.waiting)
        phases.append(panel.simulation.step.phase)
    assert [p for p, q in zip(phases, [""] + phases, strict=False) if p != q][:5] == [
        "selection", "expansion", "evaluation", "backpropagation", "selection"]
    root = panel.simulation.root
    assert sum(child.visits for child in root.children) in (root.visits, root.visits - 1)


def test_rules_are_chosen_and_played_by(window):
    driver = window(None, players=("human", "human"), mode="silent")
    driver.press("game.hex")
    driver.press("rules")
    driver.press("rules.1")
    driver.press("play")
    assert driver.match.setup.rules == (("swap", True),)
    driver.click(driver.square("b3"))
    driver.press("choice.swap")
    assert driver.match.node.text == "swap" and driver.match.state.stones()[1, 2] == 2
    driver.app.show_chooser()
    driver.step()
    driver.press("game.go")
    assert driver.app.screen.setup.rules == ()  # those of the other game are gone


def test_swap2_asks_for_a_colour_and_the_stones_keep_theirs(window):
    driver = window(None, players=("human", "human"), mode="silent")
    driver.press("game.gomoku")
    driver.press("rules")
    driver.press("rules.2")
    driver.press("play")
    for point in ("H8", "H9", "G8"):
        driver.click(driver.square(point))
    before = driver.match.node.colours()
    assert sorted(before[before > 0]) == [1, 1, 2]
    driver.press("choice.black")
    assert (driver.match.node.colours() == before).all() and driver.match.node.colour(0) == 2
    driver.click(driver.square("A1"))
    assert driver.match.node.colours()[14, 0] == 2  # the first player is White now, and moves
    driver.type("black")
    assert driver.session.status.key != "status.played" or driver.match.node.text == "A1"


def test_resigning_asks_first(window):
    driver = window("connect4")
    driver.press("resign")
    driver.key(pygame.K_ESCAPE)
    assert not driver.match.over
    driver.press("resign")
    driver.press("yes")
    assert driver.match.over and driver.match.winner() == 1


def test_a_dialog_shields_what_lies_below(window):
    driver = window("connect4")
    place = driver.square("4")
    driver.type("?", enter=False)
    assert driver.app.dialog is not None
    driver.click((place[0], driver.app.ui.surface.get_height() - 60))
    driver.click((20, 20))
    assert driver.match.node is driver.match.root
    driver.key(pygame.K_ESCAPE)
    assert driver.app.dialog is None
    driver.click(place)
    assert driver.match.node is not driver.match.root


def test_comments_are_typed_into_the_notes(window):
    driver = window("connect4", players=("human", "human"), mode="silent")
    driver.press("tab.notes")
    driver.press("comment")
    driver.type("good 4", enter=False)
    assert driver.match.node.comment == "good 4" and driver.app.screen.typed == ""


def test_tab_and_space_press_buttons(window):
    driver = window(None)
    names = []
    for _ in range(40):
        driver.key(pygame.K_TAB)
        names.append(driver.app.ui.focus)
        if driver.app.ui.focus == "game.tictactoe":
            break
    driver.key(pygame.K_SPACE)
    assert driver.app.screen.setup.game == "tictactoe" and len(set(names)) == len(names)


def test_choosing_a_game_and_players(window):
    driver = window(None)
    driver.press("game.othello")
    driver.press("size")
    driver.press("size.0")
    driver.press("swap")
    driver.press("play")
    assert driver.match.setup.game == "othello6" and not driver.match.setup.sides[0].human
    driver.wait(lambda: driver.match.node.ply == 1)


def test_engine_against_engine_plays_to_the_end(window):
    driver = window(None)
    driver.press("game.tictactoe")
    driver.press("player0")
    driver.press("player0.2")
    driver.press("player1")
    driver.press("player1.2")
    assert [side.player for side in driver.app.screen.setup.sides] == ["random", "random"]
    import gui.session as session

    session_pace, session.WATCHING_PACE = session.WATCHING_PACE, 0.01
    try:
        driver.press("play")
        driver.wait(lambda: driver.match.over)
    finally:
        session.WATCHING_PACE = session_pace
    assert len({node.text for node in driver.match.node.path()}) == driver.match.node.ply + 1


def test_settings_are_kept_between_starts(window):
    driver = window("connect4")
    driver.key(pygame.K_PLUS, pygame.KMOD_LCTRL)
    driver.key(pygame.K_d, pygame.KMOD_LCTRL)
    saved = json.loads(config_path().read_text())
    assert saved["scale"] == 1.1 and saved["theme"] == "light"
    from gui.settings import load

    config_path().write_text('{"theme": 5, "scale": 2, "unknown": 1, "players": ["human", "random"]}')
    again = load()
    assert (again.theme, again.scale, again.players) == ("dark", 2.0, ("human", "random"))
    config_path().write_text("not json")
    assert load().theme == "dark"


def test_a_game_survives_a_crash_of_the_window(window):
    driver = window("connect4")
    driver.click(driver.square("4"))
    driver.wait(lambda: driver.match.node.ply == 2)
    moves = driver.match.node.moves()
    again = window(None)  # the first window never said goodbye
    again.press("recover")
    assert again.match.node.moves() == moves and again.match.setup == driver.match.setup
    again.click(again.square("1"))
    again.wait(lambda: again.match.node.ply == 4)  # the opponent is back, too


def test_a_finished_game_is_kept_and_not_offered_again(window):
    driver = window("connect4", players=("human", "human"), mode="silent")
    driver.match.setup = type(driver.match.setup)("connect4")
    for move in "1212121":
        driver.type(move)
    driver.step()
    assert driver.match.over and not (autosave_folder() / "unfinished.jsonl").exists()
    assert list(autosave_folder().glob("connect4-*.jsonl"))


# -- engines that misbehave ------------------------------------------------------------------------------------------


def test_a_slow_engine_does_not_stop_the_window_and_its_late_answer_moves_nothing(window):
    driver = window("connect4", mode="slow")
    driver.click(driver.square("4"))
    engine = driver.app.engines.get("mcts:1000", "connect4")
    assert driver.session.thinking()
    driver.app.frame_times.clear()
    driver.move_to(driver.square("2"))
    assert driver.app.frame_times
    driver.key(pygame.K_z, pygame.KMOD_LCTRL)
    assert not driver.session.thinking() and not engine.busy
    driver.wait(lambda: engine.state == "ready")  # the late answer has come
    driver.step()
    assert driver.match.node is driver.match.root


def test_a_crashing_engine_ends_in_a_banner_and_the_board_stays_usable(window):
    driver = window("connect4", mode="crash")
    engine = driver.app.engines.get("mcts:1000", "connect4")
    engine.backoff = 0.01
    driver.click(driver.square("4"))
    driver.wait(lambda: engine.state == "failed")
    driver.step()
    assert "the network file is damaged" in engine.problem and "retry.0" in driver.app.ui.regions
    driver.key(pygame.K_z, pygame.KMOD_LCTRL)
    driver.click(driver.square("3"))
    assert driver.match.node.path()[1].text == "3"
    engine.command = fake_command("good")("x", "connect4")
    driver.press("retry.0")
    driver.wait(lambda: driver.match.node.ply == 2)


def test_an_impossible_answer_is_told_and_not_played(window):
    driver = window("connect4", mode="illegal")
    driver.click(driver.square("4"))
    driver.wait(lambda: driver.session.status.key == "status.engine_illegal")
    assert driver.match.node.ply == 1 and not driver.match.engine_to_move
    driver.step()
    assert "go_on" in driver.app.ui.regions


def test_an_error_of_the_engine_is_told(window):
    driver = window("connect4", mode="error")
    driver.click(driver.square("4"))
    driver.wait(lambda: driver.session.status.key == "status.engine_error")
    assert driver.session.status.args["error"] == "no such move"


def test_confirmed_moves_need_two_presses(window):
    driver = window("gomoku9", confirm=True)
    driver.click(driver.square("E5"))
    assert driver.match.node is driver.match.root
    driver.click(driver.square("E5"))
    assert driver.match.node.path()[1].text == "E5"


def test_clocks_run_and_the_flag_falls(window):
    from dataclasses import replace

    driver = window("connect4", mode="silent")
    setup = replace(driver.match.setup, minutes=0.3 / 60, increment=0.0)
    driver.app.start_game(setup)
    driver.step()
    driver.click(driver.square("4"))
    driver.wait(lambda: driver.match.over)
    assert driver.match.node.ending == "time" and driver.match.winner() == 0


def test_the_scale_grows_only_as_far_as_the_window_has_room(window):
    driver = window("connect4", scale=2.0, width=1200, height=900)
    assert driver.app.ui.style.scale == 1.5 and driver.app.settings.scale == 2.0
    pygame.display.set_mode((1700, 1250), pygame.RESIZABLE)
    pygame.event.post(pygame.event.Event(pygame.VIDEORESIZE, w=1700, h=1250, size=(1700, 1250)))
    driver.step()
    assert driver.app.ui.style.scale == 2.0


def test_a_thinking_engine_that_gave_up_is_not_said_to_think(window):
    from gui.panels import status_line

    driver = window("connect4", mode="crash")
    engine = driver.app.engines.get("mcts:1000", "connect4")
    engine.backoff = 0.001
    driver.click(driver.square("4"))
    assert "thinking" in status_line(driver.app.ui.t, driver.session)
    driver.wait(lambda: engine.state == "failed")
    assert "thinking" not in status_line(driver.app.ui.t, driver.session)


def shown() -> bytes:
    return pygame.image.tobytes(pygame.display.get_surface(), "RGB")


def test_what_comes_to_rest_is_drawn_at_rest(window, monkeypatch):
    monkeypatch.setattr("gui.board_area.FALL_SECONDS", 0.1)
    monkeypatch.setattr("gui.board_area.BUBBLE_SECONDS", 0.1)
    driver = window("connect4", motion=True, players=("human", "human"), mode="silent")
    driver.match.with_sides((type(driver.match.side)(),) * 2)
    area = driver.app.screen.area
    driver.type("4")
    assert driver.app.screen.animating
    driver.wait(lambda: not driver.app.screen.animating)
    assert shown() == driver.pixels()  # the disc lies where it belongs
    for _ in range(5):
        driver.type("4")
    driver.wait(lambda: not driver.app.screen.animating)
    driver.click(driver.square("4"))
    assert area.bubble
    driver.wait(lambda: not area.bubble)
    assert shown() == driver.pixels()  # the reason is gone


def test_a_shortcut_writes_nothing(window):
    driver = window("connect4")
    for kind in (pygame.KEYDOWN, pygame.KEYUP):
        pygame.event.post(pygame.event.Event(kind, key=pygame.K_PLUS, mod=pygame.KMOD_LCTRL, unicode="+", scancode=0))
        if kind == pygame.KEYDOWN:
            pygame.event.post(pygame.event.Event(pygame.TEXTINPUT, text="+"))
    pygame.event.post(pygame.event.Event(pygame.KEYUP, key=pygame.K_LCTRL, mod=0, unicode="", scancode=0))
    driver.step()
    assert driver.app.settings.scale == 1.1 and driver.app.screen.typed == ""
    driver.type("4")
    assert driver.match.node.path()[1].text == "4"

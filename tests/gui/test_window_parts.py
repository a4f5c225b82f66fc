"""Small parts: geometry, action maps, files, strings, fonts, contrast, runs, the training view."""

import itertools
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from window_driver import pygame

from gui import players, record
from gui.geometry import action_map, fit, labels
from gui.looks import LOOKS, OTHER, family
from gui.model import Match, Setup, Side
from gui.panels import game_title
from gui.record import load, nodes, save
from gui.sounds import RATE, WAVES
from gui.strings import LANGUAGES, STRINGS, Translator
from gui.theme import ASSETS, THEMES, Style, contrast
from mcts_ext.games import make, names


@pytest.mark.parametrize("name", names())
def test_every_square_is_found_where_it_is_drawn(name):
    game = make(name)
    layout = fit(game.geometry, game.rows, game.cols, (13, 7, 611, 480), 0.7)
    for square in itertools.product(range(game.rows), range(game.cols)):
        x, y = layout.centre(square)
        assert 13 <= x <= 624 and 7 <= y <= 487
        for dx, dy in ((0, 0), (0.4, 0), (0, -0.4), (-0.3, 0.25)):
            assert layout.at((round(x + dx * layout.unit), round(y + dy * layout.unit))) == square
    assert layout.at((12, 6)) is None or game.geometry == "drop"


@pytest.mark.parametrize("name", names())
def test_every_action_has_a_place_or_a_name(name):
    game = make(name)
    actions = action_map(game)
    found = set(actions.place.values()) | set(actions.steps.values()) | set(actions.named.values())
    assert found == set(range(game.num_actions))
    state = game.new_state()
    for action in state.legal_actions():
        squares = actions.squares(action)
        if len(squares) == 2:
            after = state.copy()
            after.play(action)
            assert state.stones()[squares[0]] == 1 and after.stones()[squares[1]] == 1
        elif squares and game.geometry != "drop":
            after = state.copy()
            after.play(action)
            assert after.stones()[squares[0]] == 1


def test_labels_are_in_the_game_s_own_notation():
    go = make("go19")
    found = labels(go, action_map(go))
    assert "".join(found.cols) == "ABCDEFGHJKLMNOPQRST" and found.rows[0] == "19"
    othello = make("othello8")
    assert labels(othello, action_map(othello)).rows[0] == "1"
    breakthrough = make("breakthrough8")
    assert labels(breakthrough, action_map(breakthrough)).rows[0] == "8"


@pytest.mark.parametrize("game, title", [("go9x13", "Go 9x13"), ("hex7", "Hex 7x7"), ("connect4", "Connect Four"),
                                         ("connect4-7x8", "Connect Four 7x8"), ("chomp", "chomp")])
def test_titles_of_games(game, title):
    assert game_title(Translator("en"), game) == title


def test_families():
    assert [family(n) for n in ("go9", "gomoku15", "hex7", "connect4", "chomp")] == [
        "go", "gomoku", "hex", "connect4", "chomp"]


def branched(game: str, first: str, second: str) -> Match:
    match = Match(Setup(game))
    for move in first.split():
        match.play_text(move)
    match.node.comment = "it [is] good \\ 好"
    match.step(-2)
    for move in second.split():
        match.play_text(move)
    return match


@pytest.mark.parametrize("game, first, second", [
    ("connect4", "4 4 3", "5 5"), ("tictactoe", "b2 a1 c3", "a2"), ("breakthrough6", "a2a3 f5f4 b2b3", "e5e4"),
    ("go9", "E5 C3 pass", "pass"), ("othello8", "d3 c5 e6", "c3"), ("gomoku9", "E5 E6 D5", "A1"),
    ("hex7", "d4 c5 e3", "a1")])
def test_files_keep_moves_variations_and_comments(tmp_path, game, first, second):
    match = branched(game, first, second)
    for name in {f"a{record.suffix(match.setup)}", "a.jsonl"}:
        assert save(match, tmp_path / name)
        again = load(tmp_path / name)
        assert again.setup.game == game
        then, now = ([(n.moves(), n.comment) for n in nodes(m.root)] for m in (match, again))
        assert now == then


@pytest.mark.parametrize("game, rules, moves", [
    ("go9", (("rules", "tromp-taylor"),), "E5 C3"), ("go9", (("ko", "simple"),), "E5 C3"),
    ("gomoku9", (("exact", True),), "E5 E6"), ("gomoku9", (("opening", "swap2"),), "E5 E6 D5 two A1 A2 white"),
    ("hex7", (("swap", True),), "b3 swap d4")])
def test_files_keep_the_rules(tmp_path, game, rules, moves):
    sides = (Side(), Side("mcts:50", 50, 2.0, 0.3))
    match = Match(Setup(game, sides, rules=rules, minutes=5, increment=3))
    for move in moves.split():
        match.play_text(move)
    for name in {f"a{record.suffix(match.setup)}", "a.jsonl"}:
        save(match, tmp_path / name)
        again = load(tmp_path / name)
        assert again.setup.rules == rules and again.node.moves() == moves.split()
        assert (again.node.colours() == match.node.colours()).all()
    assert again.setup == match.setup or name.endswith(".sgf")


def test_a_game_under_rules_that_the_file_does_not_name_is_read_all_the_same(tmp_path):
    taken_back = "(;GM[1]SZ[5];B[bb];W[cb];B[ac];W[dc];B[bd];W[cd];B[cc];W[bc];B[cc])"  # takes the ko back at once
    (tmp_path / "a.sgf").write_text(taken_back)
    with pytest.raises(record.Unreadable):
        load(tmp_path / "a.sgf")
    moves = "B[ca];W[aa];B[bb];W[ee];B[ac];W[ab];B[ed];W[ba]"  # White fills his own last liberty
    (tmp_path / "b.sgf").write_text(f"(;GM[1]SZ[5];{moves})")
    assert load(tmp_path / "b.sgf").setup.rules == record.LENIENT


def test_sgf_of_go_is_what_sgfmill_reads(tmp_path):
    sgf = pytest.importorskip("sgfmill.sgf")
    match = branched("go9", "E5 C3 G7", "pass")
    save(match, tmp_path / "a.sgf")
    game = sgf.Sgf_game.from_bytes((tmp_path / "a.sgf").read_bytes())
    assert [node.get_move() for node in game.get_main_sequence()[1:]] == [("b", (4, 4)), ("w", (2, 2)), ("b", (6, 6))]
    assert game.get_komi() == 7.5 and len(game.get_root()[0]) == 2


def test_handicap_and_left_out_passes_of_other_programs(tmp_path):
    file = tmp_path / "h.sgf"
    file.write_text("(;GM[1]SZ[9]KM[0.5]HA[2]AB[gc][cg];W[ee];B[cc];B[gg])")
    match = load(file)
    assert (match.state.stones() == 1).sum() == 4 and (match.state.stones() == 2).sum() == 1
    assert match.komi() == 0.5 and match.node.ply == 4  # with a pass
    lead = (match.state.stones() == 1).sum() - (match.state.stones() == 2).sum() - 0.5
    assert match.score().lead == lead - 2  # Chinese rules: a point for each handicap stone


PROBLEM = "(;GM[1]SZ[9:7]KM[5.5]AB[aa:ba][cb]AW[ab][bb]C[White to live];W[ca];B[da](;W[gg])(;W[fg]))"


def test_set_up_positions_and_oblong_boards(tmp_path):
    (tmp_path / "a.sgf").write_text(PROBLEM)
    match = load(tmp_path / "a.sgf")
    assert match.setup.game == "go7x9" and match.root.state.to_move == 1 and match.root.comment == "White to live"
    assert match.root.state.stones()[0, :3].tolist() == [1, 1, 0] and match.setup.white == ("A6", "B6")
    for name in ("b.sgf", "b.jsonl"):
        save(match, tmp_path / name)
        again = load(tmp_path / name)
        assert replace(again.setup, sides=()) == replace(match.setup, sides=())
        assert [n.moves() for n in nodes(again.root)] == [n.moves() for n in nodes(match.root)]


def test_stones_set_up_later_are_refused_with_the_reason(tmp_path):
    (tmp_path / "a.sgf").write_text("(;GM[1]SZ[9];B[ee];AW[cc])")
    with pytest.raises(record.Unreadable, match="in the middle"):
        load(tmp_path / "a.sgf")


@pytest.mark.parametrize("text", ["", "hello", "(;GM[1]SZ[9];B[zz])", "(;GM[1]SZ[9];B[ee];W[ee])", "(;GM[6])",
                                  '{"game": "nonsense", "moves": []}', '{"game": "connect4", "moves": ["9"]}', "[1]",
                                  '{"game": "connect4", "tree": [[5, "4", ""]], "moves": []}', "(;GM[1]SZ[9];AW[ee])",
                                  "(;GM[1]SZ[9]AB[aa]AW[ab][ba])", "(;GM[11]SZ[7]AB[aa])"])
def test_broken_files_raise_one_kind_of_error(tmp_path, text):
    (tmp_path / "x").write_text(text)
    with pytest.raises(record.Unreadable):
        load(tmp_path / "x")


@pytest.mark.parametrize("key", STRINGS)
def test_strings_have_all_languages_and_the_same_values_in_them(key):
    texts = STRINGS[key]
    assert len(texts) == len(LANGUAGES)
    assert set(re.findall(r"\{(\w+)", texts[0])) == set(re.findall(r"\{(\w+)", texts[1]))
    for text in texts:
        assert bool(text) or key == "rules.other"


def test_no_string_is_unused():
    from pathlib import Path

    source = "".join(p.read_text() for p in Path(record.__file__).parent.glob("*.py") if p.name != "strings.py")
    composed = tuple(re.findall(r"""f["'](\w+\.)\{""", source)) + ("keys.",)
    colours = {side for look in [*LOOKS.values(), OTHER] for side in look.sides}
    loose = [key for key in STRINGS if not re.search(f"""["']{re.escape(key)}["']""", source)
             and not key.startswith(composed) and key not in colours]
    assert not loose


def test_fonts_have_every_character_of_the_strings():
    ttfont = pytest.importorskip("fontTools.ttLib").TTFont
    needed = {ord(char) for texts in STRINGS.values() for text in texts for char in text} - {10}
    for name in ("sans.otf", "sans-bold.otf"):
        missing = needed - set(ttfont(ASSETS / name).getBestCmap())
        assert not missing, f"{name} lacks {''.join(map(chr, missing))}: run gui/assets/make_fonts.py"


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_texts_stand_out(theme):
    for ground in (theme.window, theme.panel, theme.raised, theme.hover):
        assert contrast(theme.text, ground) >= 4.5
    for ink in (theme.faint, theme.good, theme.warn, theme.bad, theme.accent):
        assert contrast(ink, theme.panel) >= 4.5
    assert contrast(theme.faint, theme.window) >= 4.5 and contrast(theme.on_accent, theme.accent) >= 4.5
    assert contrast(theme.on_accent, theme.bad) >= 4.5
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)


def test_texts_are_shortened_and_wrapped_to_their_width():
    pygame.font.init()
    style = Style()
    short = style.fit("a rather long sentence", 80)
    assert short.endswith("...") and style.font().size(short)[0] <= 80
    lines = style.wrap("one two three four five 一二三四五六七八九十", 70)
    assert all(style.font().size(line)[0] <= 70 for line in lines)
    assert "".join(lines).replace(" ", "") == "onetwothreefourfive一二三四五六七八九十"


def a_run(folder, games: int = 8):
    """A run directory as training leaves it."""
    from zero.game_log import GameLog
    from zero.record import GameRecord

    (folder / "weights").mkdir(parents=True)
    (folder / "config.toml").write_text('game = "connect4"\n')
    for step in (0, 1, 12):
        (folder / "weights" / f"{step:06d}.safetensors").touch()
    (folder / "weights" / "index.jsonl").touch()
    lines = [f'{{"iteration": {i}, "games": {9 * i}, "seconds": {60 * i}, "policy_loss": {2 / i}, "value_loss": 0.5}}'
             for i in (1, 2, 3)]
    (folder / "metrics.jsonl").write_text("\n".join(lines) + '\n{"iteration": 4, "torn')
    log, none = GameLog(folder / "games"), np.zeros(0, np.uint16)
    for index in range(games):
        moves = np.array([0, 1, 0, 1, 0, 1, 0], np.uint16)
        values, counts = np.zeros(7, np.float16), np.zeros(7, np.uint16)
        log.append(GameRecord(index, 0, 1, len(moves), 1, moves, values, counts, none, np.zeros(0, np.float16),
                              np.zeros(len(moves), np.float16)))
    log.close()
    return folder


def test_runs_are_found_with_their_checkpoints(tmp_path):
    a_run(tmp_path / "runs" / "c4")
    (tmp_path / "runs" / "other").mkdir()
    runs = players.find_runs(tmp_path / "runs")
    assert [(run.name, run.game, run.checkpoints) for run in runs] == [("c4", "connect4", (0, 1, 12))]
    found = players.options("connect4", players.Known(runs), lambda key, **values: str(values or key))
    assert runs[0].player(12) in [player for player, _ in found]


def a_net(folder, name: str, card: str = "", ending: str = ".toml"):
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.safetensors").touch()
    if card:
        (folder / name).with_suffix(ending).write_text(card)


def test_networks_that_came_along_are_offered_the_strongest_first(tmp_path):
    nets = tmp_path / "nets"
    assert players.find_nets(nets) == []
    a_net(nets, "connect4-small")  # no card: the name says the game
    a_net(nets, "b", '{"game": "connect4", "name": "Connect Four, large", "elo": 1200, "error": 30}', ".json")
    a_net(nets, "c", 'game = "go9"')
    a_net(nets, "d", "this is no TOML [")
    known = players.Known([], players.find_nets(nets))
    assert [net.path.stem for net in known.nets if net.game == "connect4"] == ["b", "connect4-small"]
    assert known.best("connect4") == str(nets / "b.safetensors") and known.best("hex7") == "mcts:1000"
    assert known.best("gomoku9", {"opening": "swap2"}) == "mcts:1000"
    texts = [text for _, text in players.options("connect4", known, Translator("en"))]
    assert texts[1:3] == ["Connect Four, large  (Elo 1200 ±30)", "connect4-small"]
    a_run(tmp_path / "c4")
    known = players.Known([players.find_run(tmp_path / "c4")], known.nets)
    assert known.best("connect4") == str(tmp_path / "c4")  # what one has trained comes first
    assert known.best("connect4", {}) in [player for player, _ in players.options("connect4", known, Translator())]


def test_a_match_says_how_strong_a_checkpoint_was(tmp_path):
    folder = a_run(tmp_path / "c4")
    result = folder / "matches" / "final-000012"
    result.mkdir(parents=True)
    (result / "result.json").write_text('{"b": "mcts:1000", "elo": 108.2, "elo_low": 43.0, "elo_high": 180.0}')
    lost = folder / "matches" / "final-000001"
    lost.mkdir()
    (lost / "result.json").write_text('{"b": "mcts:1000", "elo": null, "elo_low": null, "elo_high": -300}')
    texts = dict(players.options("connect4", players.Known([players.find_run(folder)]), Translator("en")))
    assert texts[f"{folder}@12"] == "c4@12  (+108 ±68 against mcts:1000)" and texts[f"{folder}@1"] == "c4@1"


@pytest.mark.parametrize("player, title", [
    ("mcts:1000", "mcts"), ("runs/c4@3?sims=5", "runs/c4@3"),
    ("/a/b/net.safetensors?sims=9&c_puct=2", "net?c_puct=2"), ("gtp:/usr/games/gnugo --mode gtp", "gtp:gnugo"),
    ("gtp:", "gtp:"),
    ("gtp:gtp-rhino", "Rhino"), (players.ENGINES["go"][2][5], "GNU Go 5")])
def test_players_have_short_titles(player, title):
    assert players.title(player) == title


def test_without_a_network_the_opponent_searches_and_the_window_says_so(window, home, monkeypatch):
    monkeypatch.setattr(players, "NETS", home / "nets")
    driver = window("connect4", players=("human", ""))
    assert driver.match.setup.sides[1].player == "mcts:1000" and driver.session.status.key == "status.no_network"
    a_run(home / "runs" / "c4")
    driver = window("connect4", players=("human", ""))
    assert driver.match.setup.sides[1].player == "runs/c4" and driver.session.status.key == "status.ready"
    driver = window("go9", players=("human", "runs/c4"))  # last time's opponent does not play Go
    assert driver.match.setup.sides[1].player == "mcts:1000"


@pytest.mark.parametrize("name", WAVES)
def test_sounds_are_short_loud_enough_and_end_in_silence(name):
    wave = WAVES[name]()
    loudness = np.sqrt((wave**2).mean())
    assert np.abs(wave).max() < 1 and 0.02 < loudness < 0.3  # nothing is clipped
    assert 0.05 <= len(wave) / RATE <= 0.6  # seconds
    assert np.abs(wave[-20:]).max() < 0.01 and abs(wave.mean()) < 0.02  # no click at the end, no offset


def test_tones_have_the_pitch_they_are_named_by():
    wave = WAVES["illegal"]()
    spectrum = np.abs(np.fft.rfft(wave, 1 << 16))
    assert np.argmax(spectrum) * RATE / (1 << 16) == pytest.approx(170, rel=0.03)


def a_ladder(folder):
    """Ratings as `zero ladder` leaves them."""
    rows = [{"player": "mcts:1000", "elo": 700.0, "error": 30.0}]
    rows += [{"player": f"elsewhere/c4@{step}?sims={sims}", "elo": elo, "error": 20.0}
             for step, sims, elo in ((12, 100, 900.0), (1, 100, 300.0), (12, 10, 500.0))]
    (folder / "ladder").mkdir()
    (folder / "ladder" / "ladder.json").write_text(json.dumps({"players": rows}))


def test_checkpoints_have_the_elo_that_the_ladder_measured(tmp_path):
    folder = a_run(tmp_path / "runs" / "c4")
    run = players.find_run(folder)
    assert run.levels == () and run.elo == {}
    a_ladder(folder)
    run = players.find_run(folder)
    assert [(level.checkpoint, level.sims, level.elo) for level in run.levels] == [
        (1, 100, 300), (12, 10, 500), (12, 100, 900)]
    assert run.elo == {1: (300, 20), 12: (900, 20)}
    texts = dict(players.options("connect4", players.Known([run]), Translator("en")))
    assert texts[run.player(12)] == "c4@12  (Elo 900 ±20)" and texts[run.player(0)] == "c4@0"


def test_a_damaged_ladder_offers_no_levels(tmp_path):
    folder = a_run(tmp_path / "c4")
    (folder / "ladder").mkdir()
    for text in ("", "[]", '{"players": [{"player": "a@1?sims=2"}]}', '{"players": [3]}'):
        (folder / "ladder" / "ladder.json").write_text(text)
        assert players.find_run(folder).levels == ()


def test_strength_is_chosen_as_a_measured_level(window, home):
    a_ladder(a_run(home / "runs" / "c4"))
    driver = window(None, players=("human", "runs/c4"))
    chooser = driver.app.screen
    strengths = chooser._strengths(chooser.setup.sides[1])
    texts = [text for _, text in strengths]
    assert texts[:3] == ["Level 1: Elo 300 ±20", "Level 2: Elo 500 ±20", "Level 3: Elo 900 ±20"]
    driver.press("strength1")
    for _ in strengths:
        driver.move_to(driver.app.ui.regions["strength1.list"].rect.center)
        driver.wheel(1)
    driver.press("strength1.1")
    side = chooser.setup.sides[1]
    assert (side.player, side.sims, side.seconds) == ("runs/c4@12", 10, 0.0)
    driver.press("player1")
    driver.press("player1.2")
    assert chooser.setup.sides[1].player == "mcts:1000"
    assert not any("Level" in text for _, text in chooser._strengths(chooser.setup.sides[1]))


def test_a_network_file_is_played_against(window, home):
    from zero.config import NetworkConfig
    from zero.network import Network, save_network

    net = home / "net.safetensors"
    save_network(net, Network(make("tictactoe"), NetworkConfig(blocks=1, channels=8), np.random.default_rng(0)),
                 "tictactoe")
    driver = window(f"{net}?sims=50")
    assert driver.match.setup.game == "tictactoe"
    side = driver.match.setup.sides[1]
    assert (side.player, side.sims) == (f"{net}?sims=50", 50)
    game = make("go5?history=2&liberties=true")
    save_network(net, Network(game, NetworkConfig(blocks=1, channels=8), np.random.default_rng(0)), game.full_name)
    assert window(str(net)).match.setup.game == "go5"  # what it sees is its own affair
    net.write_text("nonsense")
    with pytest.raises(ValueError, match="net.safetensors"):
        window(str(net))


def test_train_watch_opens_the_window_beside_the_training(tmp_path, monkeypatch, capfd):
    from zero.commands import play, train

    assert play.start_watching(tmp_path / "none").wait(30) == 2  # a window that says what it was to show
    assert "none: not a run directory" in capfd.readouterr().err
    watched = []
    monkeypatch.setattr(play, "start_watching", watched.append)
    config = tmp_path / "tiny.toml"
    config.write_text('game = "tictactoe"\n[network]\nblocks = 1\nchannels = 8\n[selfplay]\nsims = 2\ngames = 8\n')
    arguments = [str(config), "--run", str(tmp_path / "run"), "--games", "8", "--workers", "1"]
    assert train.main([*arguments, "--watch"]) == 0
    assert watched == [tmp_path / "run"]


def test_metrics_are_read_as_they_grow(tmp_path):
    path = a_run(tmp_path / "c4") / "metrics.jsonl"
    records, offset = players.read_metrics(path)
    assert [r["iteration"] for r in records] == [1, 2, 3]
    with open(path, "a") as file:
        file.write('": 1}\n')
    assert players.read_metrics(path, offset)[0] == [{"iteration": 4, "torn": 1}]


def test_latest_games_pass_over_damage(tmp_path):
    from gui.training import latest_games

    folder = a_run(tmp_path / "c4") / "games"
    assert [game.index for game in latest_games(folder, 3)] == [5, 6, 7]
    segment = next(folder.glob("*.seg"))
    data = bytearray(segment.read_bytes())
    frame = len(data) // 8
    data[6 * frame + 20] ^= 255
    segment.write_bytes(data[:-5])
    assert [game.index for game in latest_games(folder, 3)] == [3, 4, 5]


def test_training_is_watched(window, home):
    a_run(home / "runs" / "c4")
    driver = window(None)
    driver.app.show_chooser()
    driver.step()
    driver.press("watch")
    screen = driver.app.screen
    driver.wait(lambda: screen.shown[0] and screen.shown[0].ply >= 1)
    assert len(screen.metrics) == 3 and all(screen.shown)
    driver.press("back")
    assert type(driver.app.screen).__name__ == "Chooser"


def test_time_machine_asks_every_checkpoint_and_plays_one(window, home):
    a_run(home / "runs" / "c4")
    driver = window("runs/c4")
    driver.key(pygame.K_F9)
    machine = driver.app.screen.time_machine
    driver.wait(lambda: len(machine.answers) == 3)
    assert driver.app.screen.area.policy or driver.step() or driver.app.screen.area.policy
    slider = driver.app.ui.regions["time.slider"].rect
    driver.click((slider.x + 2, slider.centery))
    assert machine.index == 0
    driver.press("time.play")
    assert driver.match.setup.sides[1].player.endswith("c4@0")
    assert len(machine.engines.running) <= 2

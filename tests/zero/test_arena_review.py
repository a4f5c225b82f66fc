"""Reviews of games and reports of runs."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from arena_run import make_run

from mcts_ext.games import make
from mcts_ext.options import SearchOptions
from zero.arena.review import MoveReview, review_game, worst_first
from zero.errors import UserError
from zero.protocols import game_sgf, sgf
from zero.report.boards import frames
from zero.report.page import Series, chart
from zero.report.run_report import calibration, make_report

SEARCH = SearchOptions(), "rollout", 400


def actions_of(game, text):
    return [game.text_to_action(move) for move in text.split()]


def test_a_missed_win_is_a_blunder():
    game = make("connect4")
    # After 4 1 4 1 4 1 the first player wins at once by 4, and plays 7 instead; the second then wins by 1.
    reviews = review_game(game.new_state(), actions_of(game, "4 1 4 1 4 1 7 1"), *SEARCH)
    missed = reviews[6]
    assert missed.kind == "blunder" and missed.loss > 0.8 and missed.best == 3 and missed.win_rate == 1
    assert reviews[7].loss == 0 and reviews[7].win_rate_after == 1  # the win itself: the game is over
    assert worst_first(reviews)[0].number in (6, 7)
    assert all(0 <= review.loss <= 1 and 0 <= review.win_rate <= 1 for review in reviews)


def test_win_rates_are_the_movers():
    game = make("tictactoe")
    reviews = review_game(game.new_state(), actions_of(game, "b2 a1 c1 a3 a2"), *SEARCH)
    lost = MoveReview(1, 0, 0, 0.9, 0.3, 1, (1,), 10)
    assert lost.loss == pytest.approx(0.6) and lost.kind == "blunder"
    assert all(review.mover == k % 2 for k, review in enumerate(reviews))
    assert reviews[0].win_rate > 0.5  # the centre is good for the first


def test_the_command_writes_comments_and_a_page(tmp_path, capsys):
    from zero.commands.review import main

    game = make("go5")
    tree = game_sgf.game_tree(game, actions_of(game, "C3 B2 A1 A5 pass pass"), ["a comment"], PB="x")
    path = tmp_path / "g.sgf"
    path.write_text(sgf.serialise(tree))
    assert main([str(path), "--player", "mcts:60", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert len(summary["moves"]) == 6 and summary["moves"][0]["played"].upper() == "C3"
    (root,) = sgf.parse((tmp_path / "g.review.sgf").read_bytes())
    nodes = [node for node in root.main_line() if node.move()]
    assert nodes[0].text("C").startswith("a comment\n\n") and all("win rate" in node.text("C") for node in nodes)
    assert all(-1 <= float(node.text("V")) <= 1 for node in nodes)
    start, actions = game_sgf.read_game(root, game)
    assert len(actions) == 6 and start.to_move == 0
    page = (tmp_path / "g.review.html").read_text()
    assert page.count('class="viewer"') >= 1 and "<polyline" in page and "http" not in page.replace("http-equiv", "")


def test_games_that_sgf_does_not_know(tmp_path, capsys):
    from zero.commands.review import main

    path = tmp_path / "g.jsonl"
    path.write_text('{"moves": ["4", "1"]}\n{"moves": ["4", "9"]}\n')
    assert main([str(path), "--player", "mcts:30", "--game", "connect4"]) == 0
    assert (tmp_path / "g.review.html").exists() and not (tmp_path / "g.review.sgf").exists()
    for words, message in ((["--number", "2"], "'9' is not a move"), (["--number", "3"], "game 3")):
        with pytest.raises(UserError, match=message):
            main([str(path), "--player", "mcts:30", "--game", "connect4", *words])
    with pytest.raises(UserError, match="does not search"):
        main([str(path), "--player", "gtp:gnugo", "--game", "connect4"])
    capsys.readouterr()


def test_calibration_bins():
    class Record:
        result = 1
        values = np.array([0.95, -0.95, np.nan, -0.35], np.float16)  # the mover's; the first player won

    value, result, error = calibration([Record()])
    assert result[9] == 1 and value[9] == pytest.approx(0.95, abs=1e-3)  # ply 0: the winner
    assert result[0] == -1 and result[3] == -1  # plies 1 and 3: the loser
    assert np.isfinite(value).sum() == 3 and not np.isnan(error[9])


def test_charts_bear_what_runs_bring():
    for x, y in (([], []), ([1], [2]), ([1, 2], [float("nan"), 3]), ([0, 0], [5, 5]), ([1, 2], [1e-9, 1e9])):
        figure = chart("a <b>", [Series("s", x, y, [0.1] * len(x))])
        assert "a &lt;b&gt;" in figure and "nan" not in figure and "inf" not in figure


def test_frames_follow_the_game():
    game = make("connect4")
    shown = frames(game.new_state(), actions_of(game, "4 4 1"), ["", "note"])
    assert len(shown) == 4 and shown[0].last == -1 and shown[1].stones.count("1") == 1
    assert shown[2].note == "2. 4   note" and shown[3].stones[shown[3].last] == "1"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    run = make_run(tmp_path_factory.mktemp("report") / "run")
    (run.root / "matches" / "m").mkdir()
    (run.root / "matches" / "m" / "result.json").write_text('{"verdict": "x is stronger than <y>"}')
    path = run.root / "report.html"
    path.write_text(make_report(run))
    return path


def test_the_report_stands_alone(report):
    page = report.read_text()
    assert not re.search(r"(src|href)\s*=|https?://|@import|url\(", page)
    for words in ("Losses", "Replay window", "Value calibration", "Entropy", "Plies in a game", "first 3 moves",
                  "game 24", "x is stronger than &lt;y&gt;", "zero ladder"):
        assert words in page, words
    assert page.count('class="viewer"') == 6


def test_a_run_that_has_just_begun(tmp_path):
    run = make_run(tmp_path / "run", games=0)
    (run.root / "metrics.jsonl").unlink()
    page = make_report(run)
    assert "no games yet" in page and "nothing to show yet" in page


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")
def test_the_report_works_in_a_browser(report, tmp_path):
    """The boards draw themselves, and the buttons step through the game."""
    click = "document.querySelector('.viewer .{}').click();"
    step = f"<script>{click.format('first')}{click.format('next') * 3}</script></body>"
    page = tmp_path / "stepped.html"
    page.write_text(report.read_text().replace("</body>", step))
    common = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    url = f"file://{page}"
    dumped = subprocess.run([*common, "--dump-dom", url], capture_output=True, text=True, timeout=240).stdout
    assert re.search(r'class="note">3\. \d', dumped)
    boards = re.findall(r'<svg viewBox="0 0 160 140">(.*?)</svg>', dumped, re.S)
    assert len(boards) == 6 and all(board.count("<circle") >= 42 for board in boards)
    shot = tmp_path / "report.png"
    subprocess.run([*common, f"--screenshot={shot}", "--window-size=1200,2400", url], timeout=240, check=True,
                   capture_output=True)
    assert shot.read_bytes().startswith(b"\x89PNG") and shot.stat().st_size > 50_000

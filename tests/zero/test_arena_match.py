"""Matches: schedule, counting, openings, failures of engines, resuming, and no process left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import pytest
from arena_run import INLINE

from mcts_ext.games import make
from zero.arena.clock import Clock, TimeControl
from zero.arena.engines import GtpLink
from zero.arena.fixtures import PlayedGame, schedule
from zero.arena.match import play_match
from zero.arena.match_result import MatchResult
from zero.arena.openings import canonical_key, file_openings, make_openings, random_openings
from zero.arena.players import parse_player
from zero.arena.seats import Limits
from zero.arena.sprt import Sprt
from zero.arena.workers import Workers
from zero.errors import UserError
from zero.protocols.engine import find_program

DUMMY = f"{sys.executable} {Path(__file__).parent / 'dummy_engine.py'}"
CONNECT4, GO5 = make("connect4"), make("go5")


def play(a, b, game=CONNECT4, games=4, pool=None, **options):
    return play_match(parse_player(a), parse_player(b), game, games, pool=pool or INLINE, **options)


# openings


def after(state, action):
    child = state.copy()
    child.play(action)
    return child


def wins_at_once(state):
    return any(after(state, action).terminal for action in state.legal_actions())


def test_random_openings_are_distinct_and_undecided():
    keys = set()
    for opening in islice(random_openings(CONNECT4, 4, seed=3), 150):
        state = CONNECT4.new_state()
        for action in opening.moves:
            state.play(action)
        assert not state.terminal and len(opening.moves) == 4
        assert not wins_at_once(state)
        assert not all(wins_at_once(after(state, action)) for action in state.legal_actions())
        keys.add(canonical_key(state))
    assert len(keys) == 150
    mirrored = [CONNECT4.new_state() for _ in range(2)]
    for state, moves in zip(mirrored, ((0, 1, 1), (6, 5, 5)), strict=True):
        for action in moves:
            state.play(action)
    assert canonical_key(mirrored[0]) == canonical_key(mirrored[1])


def test_short_openings_grow_when_they_run_out():
    """Of the twelve second moves in Tic-tac-toe that no symmetry makes equal, five do not lose."""
    lengths = [len(opening.moves) for opening in islice(random_openings(make("tictactoe"), 1, seed=1), 10)]
    assert lengths == [1] * 3 + [2] * 5 + [3] * 2


def test_openings_from_files(tmp_path):
    path = tmp_path / "o.jsonl"
    path.write_text('{"moves": ["4", "4"]}\n\n["1"]\n')
    assert [opening.moves for opening in file_openings(CONNECT4, path)] == [(3, 3), (0,)]
    assert len(make_openings(str(path), CONNECT4, 1, 5)) == 5
    path.write_text('{"moves": ["4"]}\n{"moves": ["9"]}\n')
    with pytest.raises(UserError, match=r"o.jsonl: line 2: .*'9' is not a move"):
        list(file_openings(CONNECT4, path))
    game = tmp_path / "o.sgf"
    game.write_text("(;GM[1]SZ[5];B[cc];W[bb])(;GM[1]SZ[5];B[cb])")
    assert [opening.moves for opening in file_openings(GO5, game)] == [(12, 6), (7,)]
    game.write_text("(;GM[1]SZ[9];B[cc])")
    with pytest.raises(UserError, match="game 1 is go9, the match is go5"):
        list(file_openings(GO5, game))
    with pytest.raises(UserError, match="write random:4"):
        make_openings("nothing", CONNECT4, 1, 1)


# counting


def result_of(points, **options):
    result = MatchResult("a", "b", CONNECT4, **options)
    for number, value in points:
        result.add(PlayedGame(number, "", number % 2, (number,), value))
    return result


def test_only_whole_pairs_in_schedule_order_count():
    result = result_of([(2, 1), (1, 0.5), (5, 1), (3, 1)])
    assert result.games == []
    result.add(PlayedGame(0, "", 0, (), 0))
    assert [game.number for game in result.games] == [0, 1, 2, 3]
    assert result.pairs == [0, 1, 0, 0, 1] and result.wins_draws_losses == (2, 1, 1)


def test_sprt_ends_the_count_and_knows_its_direction():
    win = result_of([(number, 1.0) for number in range(400)], sprt=Sprt())
    loss = result_of([(number, 0.0) for number in range(400)], sprt=Sprt())
    assert (win.decision, loss.decision) == ("H1", "H0")
    assert len(win.games) < 400 and len(loss.games) < 400


def test_every_opening_is_played_with_both_colours():
    openings = make_openings("random:3", CONNECT4, 1, 3)
    fixtures = schedule(openings)
    assert [fixture.first for fixture in fixtures] == [0, 1] * 3
    assert all(fixtures[2 * k].opening is fixtures[2 * k + 1].opening is openings[k] for k in range(3))
    result = play("random", "random", games=6, openings=openings)
    for k in range(3):
        assert all(game.moves[:3] == openings[k].moves for game in result.games[2 * k : 2 * k + 2])


def test_points_belong_to_player_a():
    for a, b, better in (("mcts:300", "random", 1), ("random", "mcts:300", 0)):
        result = play(a, b, games=16)
        assert abs(result.points / 16 - better) < 0.15
        for game in result.games:
            state = CONNECT4.new_state()
            for action in game.moves:
                state.play(action)
            assert state.terminal
            winner = None if state.outcome() == 0 else 1 - (state.to_move ^ game.first)  # the last mover won
            assert game.points == {None: 0.5, 0: 1, 1: 0}[winner]


def test_a_match_is_repeatable_and_independent_of_the_batch():
    one = play("mcts:30", "mcts:20", games=8, workers=2)
    two = play("mcts:30", "mcts:20", games=8, workers=2)
    alone = play("mcts:30", "mcts:20", games=8, workers=1)
    assert [game.moves for game in one.games] == [game.moves for game in two.games]
    assert [game.moves for game in one.games] == [game.moves for game in alone.games]
    assert one.games[0].moves != play("mcts:30", "mcts:20", games=8, seed=2).games[0].moves


def test_duplicates_are_counted():
    openings = make_openings("random:2", CONNECT4, 1, 1) * 2
    result = play("uniform:20", "uniform:20", games=4, openings=openings)
    assert result.duplicates == 2


# clocks


def test_clocks():
    with pytest.raises(UserError, match="--time soon"):
        TimeControl.parse("soon")
    clock = Clock(TimeControl.parse("10+1"))
    assert clock.allowed() == 11 and 0.5 < clock.budget() < 2
    clock.spend(5)
    assert clock.left == 6
    result = play("mcts:9", "mcts:9", games=2, limits=Limits(time=TimeControl.parse("0.02")), workers=1)
    assert not result.broken  # 0.25 s of grace: a busy machine must not lose games
    plies = sum(len(game.moves) - 4 for game in result.games)
    assert 0.01 < sum(map(sum, (game.seconds for game in result.games))) / plies < 0.2


# engines that break


@pytest.mark.parametrize(
    ("mode", "kind", "detail"),
    [
        ("hang", "stall", "no answer to 'genmove"),
        ("flood", "protocol error", "answered 'xxx"),
        ("crash", "crash", "exit status 7"),
        ("signal", "crash", "by signal 9"),
        ("garbage", "protocol error", "no answer of any kind"),
        ("nonsense", "protocol error", "answered 'Q99'"),
        ("illegal", "illegal move", "played E1"),
    ],
)
def test_failures_are_classified_and_lost(mode, kind, detail, tmp_path):
    opening = tmp_path / "o.sgf"
    opening.write_text("(;GM[1]SZ[5];B[ee])")  # E1 is taken
    openings = make_openings(str(opening), GO5, 1, 1)
    result = play(f"gtp:{DUMMY} {mode}", "random", GO5, games=2, openings=openings, workers=1,
                  limits=Limits(watchdog=2.5))
    assert result.points == 0 and len(result.broken) == 2
    for game in result.games:
        assert (game.ending, game.culprit) == (kind, 0)
        assert detail in game.detail
        assert "dummy engine in mode" in game.detail  # the tail of its stderr
        assert game.result == ("W+F" if game.first == 0 else "B+F")


def test_the_flag_of_an_engine_falls():
    limits = Limits(time=TimeControl.parse("0.3"))
    result = play(f"gtp:{DUMMY} slow", "random", GO5, games=2, limits=limits, workers=2)
    assert {game.ending for game in result.games} == {"timeout"} and result.points == 0


def test_resignation_is_no_failure():
    result = play(f"gtp:{DUMMY} resign", "random", GO5, games=2)
    assert result.points == 0 and not result.broken and result.games[0].ending == "resignation"


def test_an_engine_that_cannot_start_is_the_users_error():
    with pytest.raises(UserError, match="no program 'gnogo'"):
        play("gtp:gnogo", "random", GO5)
    with pytest.raises(UserError, match="does not start.*exit status 3"):
        play(f"gtp:{DUMMY} dead", "random", GO5)


def test_our_own_crash_is_a_loss_with_its_traceback(monkeypatch):
    from zero.arena import seats

    monkeypatch.setattr(seats.SearchSeat, "_choice", lambda self, slot: 1 / 0)
    result = play("mcts:5", "random", games=2)
    assert result.points == 0
    assert result.games[0].ending == "crash" and "ZeroDivisionError" in result.games[0].detail


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"


def gone(pids, seconds=5):
    """Whether all of them end; the kernel takes a moment."""
    deadline = time.monotonic() + seconds
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not any(map(is_running, pids))


def test_no_process_outlives_its_engine(tmp_path):
    note = tmp_path / "pid"
    play(f"gtp:{DUMMY} child {note}", "random", GO5, games=2, workers=1)
    assert gone([int(note.read_text())])


def test_a_killed_owner_takes_its_engine_and_what_that_started_with_it(tmp_path):
    note = tmp_path / "pid"
    code = ("import os, signal, sys, time; from zero.protocols.engine import LineEngine; "
            "engine = LineEngine(sys.argv[1]); engine.send('list_commands'); "
            "engine.read_line(time.monotonic() + 30, 'start'); os.kill(os.getpid(), signal.SIGKILL)")
    owner = subprocess.run([sys.executable, "-c", code, f"{DUMMY} child {note}"], timeout=60)
    assert owner.returncode == -signal.SIGKILL
    assert gone([int(note.read_text())])


# the directory of a match


ZERO = [sys.executable, "-c", "import sys; from zero.cli import main; sys.exit(main())"]


def zero(*words):
    return subprocess.run([*ZERO, *words], capture_output=True, text=True, timeout=60)


def test_a_killed_match_goes_on(tmp_path):
    words = ["match", "mcts:3000", "mcts:2000", "--game", "connect4", "--games", "40", "--workers", "1"]
    words += ["--out", str(tmp_path / "m")]
    process = subprocess.Popen([*ZERO, *words], stderr=subprocess.DEVNULL)
    games = tmp_path / "m" / "games.jsonl"
    deadline = time.monotonic() + 60
    while not (games.exists() and games.read_bytes().count(b"\n") >= 3) and time.monotonic() < deadline:
        time.sleep(0.01)
    workers = [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert workers and gone(workers)
    before = games.read_text().splitlines()
    assert 3 <= len(before) < 40
    with open(games, "a") as file:
        file.write('{"number": 39, "mov')  # what a kill in the middle of a write leaves
    assert "holds a match already" in zero(*words).stderr
    assert "its seed differ: 1 there, 5 now" in zero(*words, "--resume", "--seed", "5").stderr
    whole = zero(*words, "--resume", "--json")
    assert whole.returncode == 0, whole.stderr
    summary = json.loads(whole.stdout.splitlines()[-1])
    after = games.read_text().splitlines()
    assert summary["games"] == 40 and len(after) == 40 and after[: len(before)] == before
    fresh = play("mcts:3000", "mcts:2000", games=40, workers=2)
    assert summary["points"] == fresh.points


def test_ctrl_c_ends_engines_and_says_how_to_go_on(tmp_path):
    note, out = tmp_path / "pid", tmp_path / "m"
    words = ["match", f"gtp:{DUMMY} child {note}", "random", "--game", "go5", "--games", "4000", "--workers", "1"]
    process = subprocess.Popen([*ZERO, *words, "--out", str(out)], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (out / "games.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "to go on: zero match" in err and err.rstrip().endswith("--resume"), err
    assert gone([int(note.read_text())])


def test_match_writes_sgf_that_reads_back(tmp_path):
    from zero.protocols import game_sgf, sgf

    done = zero("match", "random", "random", "--game", "go5", "--games", "4", "--out", str(tmp_path / "m"))
    assert done.returncode == 0, done.stderr
    trees = sgf.parse((tmp_path / "m" / "games.sgf").read_bytes())
    lines = [json.loads(line) for line in (tmp_path / "m" / "games.jsonl").read_text().splitlines()]
    lines.sort(key=lambda line: line["number"])
    for tree, line in zip(trees, lines, strict=True):
        _, actions = game_sgf.read_game(tree, GO5)
        assert [GO5.action_to_text(action) for action in actions] == line["moves"]
        assert tree.number("KM") == GO5.komi and tree.text("RE")[0] in "BW0"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["random", "random"], "which game?"),
        (["random", "random", "--game", "conect4"], "did you mean 'connect4'"),
        (["random?game=go9", "random", "--game", "connect4"], "plays go9, not connect4"),
        (["random", "random", "--game", "connect4", "--sprt", "5"], "--sprt 5"),
        (["random", "random", "--game", "connect4", "--games", "0"], "--games 0"),
        (["random", "random", "--game", "connect4", "--resume"], "--resume needs --out"),
    ],
)
def test_bad_input_is_one_line(words, message):
    done = zero("match", *words)
    assert done.returncode == 2 and message in done.stderr and len(done.stderr.strip().splitlines()) == 1


# real opponents

# Dead stones are played out, so that the board as it stands is the count.
GNUGO = "gtp:gnugo --mode gtp --level 1 --chinese-rules --capture-all-dead --never-resign --positional-superko"

needs_gnugo = pytest.mark.skipif(not find_program("gnugo"), reason="gnugo is not installed")
needs_grhino = pytest.mark.skipif(not find_program("gtp-rhino"), reason="grhino is not installed")


@needs_gnugo
def test_gnugo_plays_a_match():
    result = play(GNUGO, "random", make("go7"), games=2)
    assert result.points == 2 and not result.broken


@needs_grhino
def test_rhino_plays_a_match():
    result = play("gtp:gtp-rhino", "random", make("othello8"), games=2)
    assert result.points == 2 and not result.broken


@pytest.mark.slow
@needs_gnugo
def test_a_hundred_games_against_gnugo():
    """Nobody watches; no game breaks, GNU Go counts every one as we do, and no process of its is left."""
    go9 = make("go9")
    result = play("mcts:100", f"{GNUGO} --seed 27182818", go9, games=100, pool=Workers())
    assert len(result.games) == 100 and result.duplicates == 0
    assert {game.ending for game in result.games} == {"rules"}, [game.detail for game in result.broken]
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not [command for command in commands if b"27182818" in command]
    referee = GtpLink(GNUGO.removeprefix("gtp:"), go9)
    try:
        for game in result.games:
            referee.new_game()
            state = go9.new_state()
            for action in game.moves:
                referee.play(state, action)
                state.play(action)
            margin = state.score() * (1 if state.to_move == 0 else -1)
            assert referee.ask("final_score") == f"{'B' if margin > 0 else 'W'}+{abs(margin):.1f}"
            assert (game.points == 1) == ((margin > 0) == (game.first == 0))
            assert referee.ask("final_status_list dead") == ""
    finally:
        referee.close()

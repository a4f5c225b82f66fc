"""GTP: transcripts in GNU Go's regression idiom, fuzz, positions against our board, and other programs."""

import random
import re
import subprocess
import sys
import time

import numpy as np
import pytest
from arena_run import INLINE
from hypothesis import given, settings
from hypothesis import strategies as st

from mcts_ext.games import make, names
from zero.arena.engines import GtpLink
from zero.arena.match import play_match
from zero.arena.players import parse_player
from zero.config import NetworkConfig
from zero.network import Network, save_network
from zero.protocols.engine import find_program
from zero.protocols.gtp import Connection
from zero.protocols.gtp_session import Session
from zero.protocols.vertices import to_action, to_vertex

ZERO = f'{sys.executable} -c "import sys; from zero.cli import main; sys.exit(main())"'
GNUGO = "gnugo --mode gtp --level 1 --chinese-rules --capture-all-dead --never-resign --positional-superko"


def connect(game="go9", player="mcts:4"):
    output = []
    return Connection(Session(parse_player(player), game), output.append), output


def talk(text, game="go9", player="mcts:4"):
    """Answers to a script, one for each command that deserves one."""
    connection, output = connect(game, player)
    connection.serve(text.splitlines())
    return re.findall(r"(?:[=?].*?)(?=\n\n)", "".join(output), re.S)


def test_a_network_with_planes_of_its_own_plays_the_usual_game(tmp_path):
    game = make("go5?history=2&liberties=true")
    net = tmp_path / "net.safetensors"
    save_network(net, Network(game, NetworkConfig(blocks=1, channels=8), np.random.default_rng(0)), game.full_name)
    script = "komi 0.5\nplay black C3\nclear_board\ngenmove black\nkata-get-rules\nboardsize 5\ngenmove black"
    assert all(answer.startswith("=") for answer in talk(script, "go5", f"{net}?sims=4"))


# A line of input, and behind #? the answer as a regular expression (as GNU Go's regression tests write it).
TRANSCRIPTS = {
    "administration": ("go9", """
        1 protocol_version          #? =1 2
        name                        #? = Zero
        2 version                   #? =2 .+ mcts:4
        NAME                        #? \\? unknown command
        known_command genmove       #? = true
        known_command Genmove       #? = false
        known_command               #? = false
        42                          #?
        # a comment                 #?
        \t 7\tname \t               #? =7 Zero
        na\x07me                    #? = Zero
        list_commands               #? = [\\s\\S]*\\nboardsize\\n[\\s\\S]*\\nquit\\n[\\s\\S]*
        cputime                     #? = \\d+\\.\\d+
    """),
    "moves": ("go9", """
        play black E5               #? =
        play W e5                   #? \\? illegal move
        play w i5                   #? \\? invalid color or coordinate
        play x d4                   #? \\? invalid color or coordinate
        play w                      #? \\? invalid color or coordinate
        play w K9                   #? \\? invalid color or coordinate
        play w D10                  #? \\? invalid color or coordinate
        play black D4               #? =
        play b PASS                 #? =
        play b pass                 #? =
        play b pass                 #? =
        play white C3               #? =
        move_history                #? = white C3\\nblack pass\\nblack pass\\nblack pass\\nblack D4\\nblack E5
        gg-undo 4                   #? =
        move_history                #? = black D4\\nblack E5
        genmove w                   #? = (?!D4|E5)([A-HJ]\\d|pass)
        genmove w                   #? = (?!D4|E5)([A-HJ]\\d|pass)
        undo                        #? =
        undo                        #? =
        undo                        #? =
        undo                        #? =
        undo                        #? \\? cannot undo
        gg-undo 3                   #? \\? cannot undo
    """),
    "capture, ko and suicide": ("go9", """
        play b A2                   #? =
        play w A1                   #? =
        play b B1                   #? =
        play w A1                   #? \\? illegal move
        play b J9                   #? =
        play w C1                   #? =
        play b H9                   #? =
        play w B2                   #? =
        play w A3                   #? =
        play w A1                   #? =
        play b A2                   #? \\? illegal move
        kata-set-rules tromp-taylor #? =
        kata-get-rules              #? = .*"suicide": true.*
        kata-set-rules japanese     #? \\? unsupported rules.*
    """),
    "sizes and settings": ("go9", """
        boardsize 13                #? =
        boardsize 0                 #? \\? unacceptable size
        boardsize 26                #? \\? unacceptable size
        boardsize                   #? \\? boardsize not an integer
        boardsize x                 #? \\? boardsize not an integer
        komi 5.5                    #? =
        komi x                      #? \\? komi not a float
        komi nan                    #? \\? komi not a float
        play b N13                  #? =
        clear_board                 #? =
        get_komi                    #? = 5.5
        boardsize 7                 #? =
        get_komi                    #? = 5.5
        play b H1                   #? \\? invalid color or coordinate
        time_settings 0 0.5 1       #? =
        time_settings 10.5 0 0      #? =
        time_settings 0 5 0         #? =
        time_settings a b c         #? \\? time not a float
        time_left b 12.5 0          #? =
        kgs-time_settings byoyomi 30 5 3   #? =
        kata-time_settings fischer 60 1.5  #? =
        kata-time_settings none     #? =
        kgs-time_settings magic     #? \\? unknown time system.*
    """),
    "handicap": ("go9", """
        fixed_handicap 3            #? = C3 G7 C7
        fixed_handicap 2            #? \\? board not empty
        final_status_list alive     #? = (C3|G7|C7)\\n(C3|G7|C7)\\n(C3|G7|C7)
        clear_board                 #? =
        fixed_handicap 1            #? \\? invalid number of stones
        fixed_handicap 10           #? \\? invalid number of stones
        place_free_handicap 9       #? = .*
        clear_board                 #? =
        set_free_handicap A1 A1     #? \\? bad vertex list
        set_free_handicap A1        #? \\? bad vertex list
        set_free_handicap A1 pass   #? \\? bad vertex list
        set_free_handicap A1 B2     #? =
        genmove white               #? = (?!A1$|B2$)([A-HJ]\\d|pass)
        play w A1                   #? \\? illegal move
    """),
    "rules of its own": ("go5?komi=0.5&ko=simple", """
        get_komi                    #? = 0.5
        kata-get-rules              #? = .*"ko": "SIMPLE".*"suicide": false.*
        boardsize 7                 #? =
        get_komi                    #? = 0.5
        komi 6.5                    #? =
        get_komi                    #? = 6.5
        kata-get-rules              #? = .*"ko": "SIMPLE".*
    """),
    "the end": ("go5", """
        komi 0.5                    #? =
        play b C1                   #? =
        play b C2                   #? =
        play b C3                   #? =
        play b C4                   #? =
        play b C5                   #? =
        play w D1                   #? =
        play w D2                   #? =
        play w D3                   #? =
        play w D4                   #? =
        play w D5                   #? =
        play b pass                 #? =
        play w pass                 #? =
        final_score                 #? = B\\+4.5
        final_status_list dead      #? =
        genmove b                   #? = ([A-E]\\d|pass)
        final_status_list lame      #? \\? invalid status.*
    """),
    "analysis": ("go9", """
        lz-genmove_analyze b 10     #? =\\n(info move \\S+ visits \\d+ winrate \\d+ prior \\d+ lcb.*\\n)+play \\S+
        kata-genmove_analyze w rootInfo true #? =\\ninfo move \\S+ .*utility -?\\d\\.\\d+ .* rootInfo .*\\nplay .*
        genmove_analyze b 10        #? =\\ninfo move [\\s\\S]*
        lz-analyze b 10 nonsense 3  #? \\? unknown option nonsense
        kata-raw-nn 0               #? = symmetry 0\\nwhiteWin \\d\\.\\d+\\npolicy\\n[\\s\\S]*policyPass .*
        kata-get-param maxVisits    #? = 4
        kata-set-param maxVisits 7  #? =
        kata-get-param maxVisits    #? = 7
        gomill-describe_engine      #? = Zero: .*
    """),
    "othello in GoGui": ("othello8", """
        gogui-rules_game_id         #? = Othello
        gogui-rules_board_size      #? = 8
        gogui-rules_side_to_move    #? = black
        gogui-rules_legal_moves     #? = D3 C4 F5 E6
        gogui-rules_board           #? = \\n(.*\\n){3}(\\. ){3}X O( \\.){3}\\n(\\. ){3}O X( \\.){3}\\n[\\s\\S]*
        play b D3                   #? =
        play b C4                   #? \\? illegal move
        gogui-rules_legal_moves     #? = C3 E3 C5
        genmove w                   #? = (C3|E3|C5)
        gogui-rules_final_result    #? =
        fixed_handicap 2            #? \\? othello8 has no handicap stones
        gogui-play_sequence b e6 b f4  #? \\? illegal move
    """),
    "connect four drops into columns": ("connect4", """
        boardsize 7                 #? =
        boardsize 6                 #? \\? unacceptable size
        rectangular_boardsize 7 6   #? =
        rectangular_boardsize 6 7   #? \\? unacceptable size
        play b D1                   #? =
        play w d6                   #? =
        play b H1                   #? \\? invalid color or coordinate
        play b 4                    #? \\? invalid color or coordinate
        play w A1                   #? \\? illegal move
        move_history                #? = white D1\\nblack D1
        gogui-rules_legal_moves     #? = A1 B1 C1 D1 E1 F1 G1
        genmove b                   #? = [A-G]1
        zero-policy                 #? \\? moves of connect4 are not points
        kata-raw-nn 0               #? \\? moves of connect4 are not points
        final_status_list alive     #? \\? moves of connect4 are not points
    """),
    "breakthrough moves from point to point": ("breakthrough8", """
        play b A2A3                 #? =
        play w h7g6                 #? =
        play b A3A5                 #? \\? invalid color or coordinate
        play b A4                   #? \\? invalid color or coordinate
        move_history                #? = white H7G6\\nblack A2A3
    """),
    "oblong boards": ("go9", """
        rectangular_boardsize 7 5   #? =
        play b G5                   #? =
        play w A6                   #? \\? invalid color or coordinate
        boardsize 9                 #? =
        rectangular_boardsize 30 5  #? \\? unacceptable size
    """),
    "hex and its letters": ("hex11", """
        gogui-rules_game_id         #? = Hex
        play b J1                   #? =
        gogui-rules_board           #? = \\n[\\s\\S]*\\n\\. \\. \\. \\. \\. \\. \\. \\. X \\. \\.
        play w K11                  #? =
        play b I2                   #? \\? invalid color or coordinate
        move_history                #? = white K11\\nblack J1
    """),
}


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_transcripts(name):
    game, text = TRANSCRIPTS[name]
    connection, output = connect(game)
    for line in text.strip().splitlines():
        command, _, expected = line.strip().partition("#?")
        output.clear()
        connection.handle(command.rstrip(" ") + "\n")
        answer = "".join(output)
        if not expected.strip():
            assert answer == "", line
            continue
        assert answer.endswith("\n\n") and "\n\n" not in answer[:-1], line
        assert re.fullmatch(expected.strip(), answer[:-2]), f"{line}\n{answer}"


def test_files(tmp_path):
    path = tmp_path / "game.sgf"
    answers = talk(f"fixed_handicap 2\nplay w E5\nplay b E6\nkomi 0.5\nprintsgf {path}\nprintsgf")
    assert answers[-1].startswith("= (;FF[4]") and path.read_text().strip() == answers[-1][2:]
    history = "= black E6\nwhite E5"
    assert talk(f"loadsgf {path}\nmove_history\nget_komi\nundo\nundo\nundo")[:3] == ["= white", history, "= 0.5"]
    assert talk(f"loadsgf {path} 2\nmove_history") == ["= black", "= white E5"]
    path.write_text("(;GM[1]SZ[9];B[ee]")
    assert talk(f"loadsgf {path}\nloadsgf /nothing\nloadsgf")[0].startswith("? cannot load file: SGF line 1, column 1")


def test_analysis_reports_until_any_input():
    connection, output = connect("go9", "mcts:10")

    def lines():
        yield "3 lz-analyze b 5"
        time.sleep(0.8)
        yield "name"

    connection.serve(lines())
    text = "".join(output)
    body, _, rest = text.partition("\n\n")
    reports = body.splitlines()
    assert reports[0] == "=3" and rest == "= Zero\n\n"
    assert 2 <= len(reports) - 1 <= 20 and all(line.startswith("info move ") for line in reports[1:])
    visits = [sum(map(int, re.findall(r"visits (\d+)", line))) for line in reports[1:]]
    assert visits == sorted(visits) and visits[-1] > visits[0]


def test_ownership_and_colours():
    wall = "".join(f"play b {letter}{row}\n" for row in (2, 4) for letter in "ABCDE")
    script = "komi -10\n" + wall + "kata-genmove_analyze {} ownership true maxmoves 1"
    for colour, sign in (("b", 1), ("w", -1)):
        answer = talk(script.format(colour), "go5", "mcts:50")[-1]
        owned = [float(v) for v in answer.splitlines()[-2].partition("ownership ")[2].split()]
        assert len(owned) == 25 and sign * sum(owned) > 8
        rate = float(re.search(r"winrate (\d\.\d+)", answer)[1])
        assert (rate > 0.5) == (colour == "b")


def test_clock_is_kept():
    connection, output = connect("go9", "mcts:1000000")
    connection.handle("time_settings 0 1 5\n")
    began = time.monotonic()
    connection.handle("genmove b\n")
    assert 0.05 < time.monotonic() - began < 2
    connection.handle("time_left w 2 10\n")
    began = time.monotonic()
    connection.handle("genmove w\n")
    assert 0.05 < time.monotonic() - began < 2


def test_resignation():
    output = []
    connection = Connection(Session(parse_player("mcts:200"), "go5"), output.append, resign_below=-0.5)
    connection.handle("komi -30\n")  # White gets a point for every stone that Black has set up
    for k in range(25):
        connection.handle(f"play b {'ABCDE'[k % 5]}{k // 5 + 1}\n" if k not in (0, 12) else "")
    output.clear()
    connection.handle("genmove w\n")
    assert output == ["= resign\n\n"]
    connection.handle("name\n")
    assert output[-1] == "= Zero\n\n"


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**9))
def test_random_play_and_undo_follow_our_board(seed):
    """A game with moves taken back is the game without them."""
    rng = random.Random(seed)
    connection, output = connect("go5", "random")
    kept = []
    for _ in range(rng.randrange(40)):
        if kept and rng.random() < 0.3:
            connection.handle("undo\n")
            kept.pop()
        else:
            state = make("go5").new_state()
            for action in kept:
                state.play(action)
            if state.terminal:
                break
            action = rng.choice(state.legal_actions())
            connection.handle(f"play {'bw'[state.to_move]} {state.game.action_to_text(action)}\n")
            kept.append(action)
        assert output.pop().startswith("=")
    state = make("go5").new_state()
    for action in kept:
        state.play(action)
    assert (connection.session.state.stones() == state.stones()).all()
    assert connection.session.state.legal_actions() == state.legal_actions()


words = st.sampled_from("boardsize clear_board komi play genmove undo b w black A1 e5 J9 pass -1 0 9 19 1e9 nan "
                        "fixed_handicap set_free_handicap final_score final_status_list dead loadsgf printsgf "
                        "time_settings time_left lz-genmove_analyze kata-raw-nn kata-set-rules gogui-play_sequence "
                        "gg-undo known_command reg_genmove all_legal gogui-rules_board showboard x # \x00 é".split(" "))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(words, max_size=5).map(" ".join) | st.text(max_size=20), max_size=8))
def test_fuzz_always_answers(lines):
    connection, output = connect("go5", "random")
    for line in lines:
        if "sgf" in line:
            line = line.split()[0]
        before = len(output)
        connection.handle(line)
        answer = "".join(output[before:])
        assert answer == "" or (answer[0] in "=?" and answer.endswith("\n\n") and "internal error" not in answer), line
    connection.handle("name")
    assert output[-1] == "= Zero\n\n"


def test_the_command_ends_with_its_input():
    command = [sys.executable, "-c", "import sys; from zero.cli import main; sys.exit(main())", "gtp", "random"]
    long_line = "play b " + "A1 " * 350_000
    done = subprocess.run([*command, "--game", "go9"], input=f"name\r\n{long_line}\nversion", text=True,
                          capture_output=True, timeout=60)
    assert done.returncode == 0 and done.stdout.startswith("= Zero\n\n=\n\n= ") and not done.stderr
    wrong = subprocess.run(command, input="", text=True, capture_output=True, timeout=60)
    assert wrong.returncode == 2 and "add --game go9" in wrong.stderr


@pytest.mark.parametrize("name", [*names(), "connect4-5x8", "hex9x10", "breakthrough5x12", "gomoku9x11"])
def test_every_move_has_a_vertex(name):
    game = make(name)
    vertices = [to_vertex(game, action) for action in range(game.num_actions)]
    assert len({vertex.lower() for vertex in vertices}) == game.num_actions
    for action, vertex in enumerate(vertices):
        assert re.fullmatch(r"([A-HJ-Z]\d+){1,2}|pass|swap|black|white|two", vertex)
        assert to_action(game, vertex) == to_action(game, vertex.lower()) == action
    if name in ("go9", "hex11"):
        with pytest.raises(ValueError):
            to_action(game, "I1")


@pytest.mark.parametrize("name", ["go5", "othello8", "gomoku9", "hex11"])
def test_gogui_gets_what_its_manual_asks_for(name):
    """A random game in its own words: GoGui 1.6, doc/manual/xml/rules.xml. (The program itself is not in Debian.)"""
    rng = random.Random(2)
    connection, output = connect(name, "random")

    def ask(command):
        output.clear()
        connection.handle(command)
        (answer,) = output
        assert answer.startswith("=") and answer.endswith("\n\n"), answer
        return answer[1:].strip()

    assert re.fullmatch("[A-Z][a-z]+", ask("gogui-rules_game_id"))
    size = int(ask("gogui-rules_board_size"))
    required = {"game_id", "board", "captured_count", "board_size", "legal_moves", "side_to_move", "final_result"}
    assert {f"gogui-rules_{name}" for name in required} <= set(ask("list_commands").split())
    stones = 0
    while moves := ask("gogui-rules_legal_moves").split():
        assert all(re.fullmatch(r"[A-HJ-T][1-9]\d?|pass", move) for move in moves)
        assert ask("gogui-rules_final_result") == ""
        move = rng.choice([move for move in moves if move != "pass"] or moves)
        side = ask("gogui-rules_side_to_move")
        assert side in ("black", "white")
        assert ask(f"play {side} {move}") == ""
        stones += move != "pass"
        board = ask("gogui-rules_board")
        rows = [row.split() for row in board.splitlines()]
        assert len(rows) == size and all(len(row) == size and set(row) <= set(".XO") for row in rows)
        if move != "pass":  # GoGui draws the first row on top, as size; ours may be numbered from there
            column, row = "ABCDEFGHJKLMNOPQRST".index(move[0]), size - int(move[1:])
            assert rows[row][column] == {"black": "X", "white": "O"}[side]
        captured = sum(map(int, ask("gogui-rules_captured_count").split()))
        assert captured == (stones - board.count("X") - board.count("O") if name.startswith("go5") else 0)
    assert ask("gogui-rules_final_result")
    kinds = {line.split("/")[0] for line in ask("gogui-analyze_commands").splitlines()}
    assert kinds <= {"gfx", "string", "plist", "none"}
    clear = ask("clear_board")
    assert clear == "" and re.fullmatch(r"INFLUENCE( [A-T]\d+ \d\.\d+)+", ask("zero-policy"))


def play_by_gtp(name, games=2):
    players = (parse_player(f"gtp:{ZERO} gtp mcts:{sims} --game {name}") for sims in (30, 10))
    result = play_match(*players, make(name), games, workers=1, pool=INLINE)
    assert [game.ending for game in result.games] == ["rules"] * games, [game.detail for game in result.broken]


def test_two_of_us_play_connect4_by_gtp():
    play_by_gtp("connect4")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tictactoe", "othello8", "gomoku9", "hex11", "breakthrough8", "go9x7", "hex5x7"])
def test_two_of_us_play_any_game_by_gtp(name):
    play_by_gtp(name)


@pytest.mark.skipif(not find_program("gnugo"), reason="gnugo is not installed")
def test_gnugo_agrees_on_legal_moves_and_score():
    link = GtpLink(GNUGO, make("go7"))
    connection, output = connect("go7", "random")
    rng = random.Random(5)

    def ours(command):
        output.clear()
        connection.handle(command)
        return "".join(output)[1:].strip()

    try:
        for _ in range(3):
            for command in ("boardsize 7", "clear_board", "komi 6.5"):
                ours(command), link.ask(command)
            for ply in range(60):
                colour = ("black", "white")[ply % 2]
                mine = set(ours(f"all_legal {colour}").split()) - {"pass"}
                theirs = set(link.ask(f"all_legal {colour}").split())
                assert mine <= theirs  # GNU Go's list ignores superko
                for vertex in theirs - mine:
                    with pytest.raises(Exception, match="illegal move"):
                        link.ask(f"play {colour} {vertex}")
                if not mine:
                    break
                move = rng.choice(sorted(mine))
                ours(f"play {colour} {move}"), link.ask(f"play {colour} {move}")
    finally:
        link.close()


@pytest.mark.skipif(not find_program("gnugo"), reason="gnugo is not installed")
def test_a_match_with_gnugo_on_the_other_side():
    """Both are separate programs that speak GTP; the match is the referee."""
    zero = parse_player(f"gtp:{ZERO} gtp mcts:30 --game go7")
    result = play_match(zero, parse_player(f"gtp:{GNUGO}"), make("go7"), games=2, workers=2)
    assert len(result.games) == 2 and not result.broken, [game.detail for game in result.broken]

"""Go against GNU Go: every legal move of random games, and the count of games that GNU Go played to the end."""
import random
import shutil
import subprocess

import pytest

from mcts_ext import games

PROGRAM = shutil.which("gnugo") or shutil.which("gnugo", path="/usr/games")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="GNU Go is not installed")


class GnuGo:
    def __init__(self, *options):
        self.process = subprocess.Popen([PROGRAM, "--mode", "gtp", *options], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.stdin.close()
        self.process.wait()

    def __call__(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        lines = []
        while (line := self.process.stdout.readline()).strip():
            lines.append(line)
        answer = "".join(lines)
        assert answer.startswith("="), f"{command}: {answer}"
        return answer[1:].strip()


def compare_legal_moves(gnugo, game, plies, seed):
    rng = random.Random(seed)
    while plies > 0:
        gnugo(f"boardsize {game.rows}")
        gnugo("clear_board")
        state = game.new_state()
        boards = []
        while not state.terminal and plies > 0:
            boards.append(state.stones().tobytes())
            colour = "black" if state.to_move == 0 else "white"
            ours = {game.action_to_text(a) for a in state.legal_actions()} - {"pass"}
            theirs = set(gnugo(f"all_legal {colour}").split())
            assert ours <= theirs, f"{colour}\n{state}"
            for move in theirs - ours:
                assert suicide_repeats(state, move, boards), f"{colour} {move}\n{state}"
            move = rng.choice(sorted(ours)) if ours and rng.random() < 0.98 else "pass"
            state.play(game.text_to_action(move))
            gnugo(f"play {colour} {move}")
            plies -= 1


def suicide_repeats(state, move, boards):
    """GNU Go does not test superko for suicide: it allows one that brings back a board."""
    free = games.make(state.game.name, rules="tromp-taylor", ko="simple")
    stones = state.stones().ravel()
    after = free.position((stones == 1).nonzero()[0], (stones == 2).nonzero()[0], state.to_move)
    action = free.text_to_action(move)
    after.play(action)
    return after.stones().ravel()[action] == 0 and after.stones().tobytes() in boards


RULES = [({"ko": "positional"}, ["--positional-superko", "--forbid-suicide"]),
         ({"ko": "simple"}, ["--simple-ko", "--forbid-suicide"]),
         ({"rules": "tromp-taylor"}, ["--positional-superko", "--allow-suicide"])]


@pytest.mark.parametrize("settings, options", RULES)
@pytest.mark.parametrize("size", [5, 9])
def test_legal_moves_agree(size, settings, options):
    with GnuGo(*options) as gnugo:
        compare_legal_moves(gnugo, games.make(f"go{size}", **settings), 1000, seed=size)


@pytest.mark.slow
@pytest.mark.parametrize("settings, options", RULES)
@pytest.mark.parametrize("size", [5, 9, 13, 19])
def test_legal_moves_agree_at_length(size, settings, options):
    with GnuGo(*options) as gnugo:
        compare_legal_moves(gnugo, games.make(f"go{size}", **settings), 10_000, seed=size)


def test_fixed_handicap_stones_agree():
    with GnuGo() as gnugo:
        for size in (7, 8, 9, 11, 12, 13, 14, 19):
            game = games.make(f"go{size}")
            for stones in range(2, 10 if size % 2 and size > 7 else 5):
                gnugo(f"boardsize {size}")
                gnugo("clear_board")
                theirs = gnugo(f"fixed_handicap {stones}").split()
                assert {game.action_to_text(a) for a in game.handicap_points(stones)} == set(theirs)


@pytest.mark.parametrize("size, count", [(5, 3), (7, 2), (9, 1)])
def test_counts_agree_when_dead_stones_are_played_out(size, count):
    """GNU Go plays itself until no dead stone is left, and counts area; the boards then need no judgement."""
    game = games.make(f"go{size}", komi=6.5)
    options = ["--chinese-rules", "--capture-all-dead", "--play-out-aftermath", "--never-resign", "--level", "1",
               "--forbid-suicide"]
    for seed in range(count):
        with GnuGo(*options, "--seed", str(seed + 1)) as gnugo:
            gnugo(f"boardsize {size}")
            gnugo("komi 6.5")
            state = game.new_state()
            while not state.terminal:
                colour = "black" if state.to_move == 0 else "white"
                state.play(game.text_to_action(gnugo(f"genmove {colour}")))
            winner, _, margin = gnugo("final_score").partition("+")
        black = float(margin) if winner == "B" else -float(margin)
        assert state.score() == (black if state.to_move == 0 else -black), f"\n{state}"

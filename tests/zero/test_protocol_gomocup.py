"""The Gomocup protocol from both sides: transcripts for our brain, and a match under our manager."""

import re
import sys
import time

import pytest

from mcts_ext.games import make
from zero.arena.match import play_match
from zero.arena.players import parse_player
from zero.errors import UserError
from zero.protocols.gomocup import Brain

ZERO = f'{sys.executable} -c "import sys; from zero.cli import main; sys.exit(main())"'


def talk(*lines, player="mcts:10"):
    answers = []
    Brain(parse_player(player), answers.append).serve(lines)
    return answers


def test_a_game():
    answers = []
    brain = Brain(parse_player("mcts:10"), answers.append)
    for line in ("START 9", "INFO unknown_thing 1", "BEGIN"):
        brain.handle(line)
    taken = [answers[-1]]
    for _ in range(3):
        taken.append(next(f"{x},8" for x in range(9) if f"{x},8" not in taken))
        brain.handle(f"TURN {taken[-1]}")
        taken.append(answers[-1])
    assert answers[0] == "OK" and len(answers) == 5
    assert all(re.fullmatch(r"[0-8],[0-8]", move) for move in taken) and len(set(taken)) == 7
    rest = talk("START 9", "BEGIN", "ABOUT", "RESTART", "BEGIN", "END", "BEGIN")
    assert len(rest) == 5 and rest[2].startswith('name="Zero"') and rest[3] == "OK"


def test_board_and_takeback():
    # We have four in a row and are to move; the opponent's stones came first.
    board = ["0,0,1", "1,0,1", "2,0,1", "3,0,1", "0,2,2", "2,2,2", "4,4,2", "6,2,2", "8,8,2"]
    answers = talk("START 9", "BOARD", *board, "DONE", player="mcts:2000")
    assert answers == ["OK", "4,0"]
    assert talk("START 9", "TURN 4,4", "TAKEBACK 4,4")[-1].startswith("ERROR only the last move")
    first = talk("START 9", "BEGIN")[1]
    assert talk("START 9", "BEGIN", f"TAKEBACK {first}")[-1] == "OK"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["START 9", "TURN 9,0"], "ERROR 9,0 is not on the board"),
        (["START 9", "TURN x,0"], "ERROR"),
        (["START 9", "TURN"], "ERROR"),
        (["START 9", "TURN 1,1", "TURN 1,1"], "ERROR illegal move"),
        (["START 2000"], "ERROR unsupported size"),
        (["START nine"], "ERROR"),
        (["RECTSTART 9,10"], "ERROR rectangular"),
        (["SWAP2BOARD"], "UNKNOWN"),
        (["START 9", "BOARD", "1,1,1", "2,2,1", "DONE"], "ERROR BOARD: it is not my turn"),
        (["START 9", "BEGIN", "BEGIN"], "ERROR BEGIN on a board"),
    ],
)
def test_what_cannot_be_done(lines, words):
    assert talk(*lines)[-1].startswith(words)
    assert re.fullmatch(r"\d,\d", talk(*lines, "START 9", "BEGIN")[-1])


def test_clocks():
    began = time.monotonic()
    answers = talk("START 9", "INFO timeout_turn 300", "INFO time_left 100000", "BEGIN", player="mcts:100000000")
    assert len(answers) == 2 and 0.1 < time.monotonic() - began < 2


def test_only_gomoku():
    with pytest.raises(UserError, match="the protocol is for gomoku"):
        Brain(parse_player("mcts:9?game=go9"), print)


def test_a_match_under_our_manager():
    brain = parse_player(f"gomocup:{ZERO} gomocup mcts:40")
    result = play_match(brain, parse_player("random"), make("gomoku9"), games=2, workers=1)
    assert len(result.games) == 2 and not result.broken, [game.detail for game in result.broken]
    with pytest.raises(UserError, match="gomocup engines play gomoku"):
        play_match(brain, parse_player("random"), make("go9"), games=2, workers=1)

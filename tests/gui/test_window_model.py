"""The view-model: tree, undo, clocks, scores, reasons. No pixels."""

import pytest

from gui.analysis import Analysis, Candidate, first_player_value, from_answer
from gui.clock import Clock, show
from gui.model import Illegal, Match, Setup, Side, is_suicide
from gui.review import curve, mistakes
from gui.score import go_score
from mcts_ext.games import make


def play(game: str, moves: str, **setup) -> Match:
    match = Match(Setup(game, **setup))
    for move in moves.split():
        match.play_text(move)
    return match


def test_playing_elsewhere_makes_a_variation_and_the_same_move_does_not():
    match = play("connect4", "4 4 3")
    match.undo()
    match.play_text("5")
    branch = match.node.parent
    assert [child.text for child in branch.children] == ["3", "5"]
    match.undo()
    match.play_text("3")
    assert len(branch.children) == 2 and match.node.moves() == ["4", "4", "3"]


def test_redo_follows_the_variation_last_visited():
    match = play("connect4", "4 4 3")
    match.undo()
    match.play_text("5")
    match.step(-3)
    assert match.node is match.root
    match.step(3)
    assert match.node.moves() == ["4", "4", "5"]
    match.switch_variation(1)
    assert match.node.text == "3"


def test_undo_against_an_engine_takes_back_two_plies_and_the_engine_rests():
    match = play("connect4", "4 4 3 2", sides=(Side(), Side("mcts:10")))
    match.undo()
    assert match.node.moves() == ["4", "4"] and not match.engine_to_move
    match.redo()
    assert match.node.moves() == ["4", "4", "3", "2"]
    match.step(-1)
    assert not match.engine_to_move
    match.resume()
    assert match.engine_to_move


def test_a_line_names_its_strength():
    assert Side.of("mcts:1000").sims == 1000 and Side.of("runs/c4").sims == 200
    side = Side.of("runs/c4@12?sims=50&temperature=0.3")
    assert (side.player, side.sims, side.temperature) == ("runs/c4@12?sims=50&temperature=0.3", 50, 0.3)


def test_every_change_of_position_makes_older_answers_stale():
    match = play("connect4", "4")
    before = match.generation
    match.step(-1)
    match.step(1)
    assert match.generation == before + 2


def test_deleting_a_variation_returns_to_its_parent():
    match = play("connect4", "4 4")
    match.delete_variation()
    assert match.node.moves() == ["4"] and not match.node.children


@pytest.mark.parametrize("moves, winner", [("1 2 1 2 1 2 1", 0), ("7 1 2 1 2 1 2 1", 1)])
def test_connect_four_winner(moves, winner):
    match = play("connect4", moves)
    assert match.over and match.winner() == winner
    with pytest.raises(Illegal, match="why.over"):
        match.play_text("5")


def test_resigning_loses_for_the_side_to_move_and_can_be_taken_back():
    match = play("connect4", "4")
    match.resign()
    assert match.over and match.winner() == 0
    match.undo()
    assert not match.over and match.node.moves() == ["4"]


def test_reasons_in_connect_four_and_othello():
    match = play("connect4", "4 4 4 4 4 4")
    assert match.why_illegal((0, 3)) == "why.column_full" and match.why_illegal((0, 0)) == ""
    othello = Match(Setup("othello8"))
    assert othello.why_illegal((0, 0)) == "why.flips_nothing" and othello.why_illegal((3, 3)) == "why.occupied"


def test_ko_and_suicide_are_told_apart():
    # Black takes a ko at D3; White may not take back at once.
    match = play("go9", "C4 D4 C2 D2 B3 E3 F9 C3 D3")
    assert match.state.stones()[6, 2] == 0
    assert match.why_illegal((6, 2)) == "why.ko"
    corner = play("go9", "A2 G7 B1")
    assert corner.why_illegal((8, 0)) == "why.suicide"
    assert corner.why_illegal((7, 0)) == "why.occupied"


def test_is_suicide_sees_captures():
    stones = make("go5").new_state().stones()
    stones[0, 1] = stones[1, 0] = 1
    assert is_suicide(stones, (0, 0), 2) and not is_suicide(stones, (0, 0), 1)
    stones[0, 2] = stones[1, 1] = stones[2, 0] = 2  # Black's stones have no other liberty
    assert not is_suicide(stones, (0, 0), 2)


def test_area_score_by_hand():
    stones = make("go5").new_state().stones()
    assert go_score(stones, 0.5).lead == -0.5
    stones[:, 1], stones[:, 3] = 1, 2
    score = go_score(stones, 0.5)
    assert (score.black, score.white, score.lead) == (10, 10.5, -0.5)
    assert set(score.owner[:, 2]) == {0}


def test_area_score_agrees_with_sgfmill():
    boards = pytest.importorskip("sgfmill.boards")
    import random

    for seed in range(20):
        rng, state = random.Random(seed), make("go9").new_state()
        for _ in range(60):
            legal = state.legal_actions()
            state.play(rng.choice(legal[:-1] or legal))
        stones, board = state.stones(), boards.Board(9)
        points = [(r, c) for r in range(9) for c in range(9)]
        board.apply_setup([p for p in points if stones[p] == 1], [p for p in points if stones[p] == 2], [])
        assert go_score(stones, 0).lead == board.area_score()


def test_handicap_is_played_as_moves():
    match = Match(Setup("go9", handicap=3, komi=0.5))
    assert (match.state.stones() == 1).sum() == 3 and match.state.to_move == 1


def test_clock_counts_only_the_running_side_and_adds_the_increment():
    clock = Clock(60, 2)
    clock.run(0, 100.0)
    clock.run(1, 110.0)
    assert clock.remaining(0, 150.0) == 52 and clock.remaining(1, 130.0) == 40
    assert clock.flag(169.0) is None and clock.flag(170.0) == 1
    clock.run(None, 130.0)
    assert clock.remaining(1, 1000.0) == 40 and clock.flag(1000.0) is None


@pytest.mark.parametrize("seconds, text", [(187, "3:07"), (9.96, "10.0"), (5.04, "5.0"), (3725, "1:02:05")])
def test_clock_text(seconds, text):
    assert show(seconds) == text


def test_values_turn_with_the_player():
    assert first_player_value(0.3, 0) == 0.3 and first_player_value(0.3, 1) == -0.3


def test_curve_and_mistakes():
    match = play("connect4", "4 1 7")
    root, first, second, third = match.node.path()
    root.analysis = Analysis(0.2, best="4", done=True)
    first.analysis = Analysis(-0.2, best="4", done=True)  # Yellow sees it as Red did: nothing lost
    second.analysis = Analysis(0.8, best="4", done=True)  # Yellow's 1 gave Red 0.8
    third.analysis = Analysis(-0.8, best="2", done=True)
    assert curve(match.node.path()) == pytest.approx([0.6, 0.6, 0.9, 0.9])
    found = mistakes(match.node.path())
    assert [(m.node.text, m.better) for m in found] == [("1", "4")] and found[0].loss == pytest.approx(0.3)


def test_a_finished_game_counts_as_its_outcome():
    match = play("connect4", "1 2 1 2 1 2 1")
    assert curve(match.node.path())[-1] == 1.0


def test_answers_of_an_engine_are_read_strictly():
    analysis = from_answer({"done": True, "best": "4", "value": 0.5, "visits": 9, "moves": [
        {"move": "4", "visits": 3}, {"move": "3", "visits": 6, "prior": 0.5, "value": 0.1, "pv": ["3", "4"]}]})
    assert analysis.moves[0] == Candidate("3", 6, 0.5, 0.1, ("3", "4"))
    for broken in ({"moves": 5}, {"moves": [{}]}, {"value": "x"}, {"policy": [1]}):
        with pytest.raises(ValueError):
            from_answer(broken)

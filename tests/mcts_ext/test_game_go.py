"""Go: a plain implementation word by word, the ko and suicide rules, counting, handicap, planes."""
import random

import numpy as np
import pytest

from mcts_ext import games


class PlainGo:
    """Tromp-Taylor rules on a dictionary {(row, col): 0 | 1 | 2}; every board of the game is remembered."""

    def __init__(self, rows, cols, suicide, superko=True):
        self.rows, self.cols, self.suicide, self.superko = rows, cols, suicide, superko
        self.board = {(row, col): 0 for row in range(rows) for col in range(cols)}
        self.mover, self.passes, self.plies = 1, 0, 0
        self.seen = [dict(self.board)]

    def neighbours(self, point):
        row, col = point
        return [p for p in ((row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)) if p in self.board]

    def region(self, board, start):
        """The points of one colour connected with start, and the colours around them."""
        inside, around, todo = {start}, set(), [start]
        while todo:
            for point in self.neighbours(todo.pop()):
                if board[point] != board[start]:
                    around.add(board[point])
                elif point not in inside:
                    inside.add(point)
                    todo.append(point)
        return inside, around

    def clear(self, board, colour):
        """Removes the chains of a colour that touch no empty point."""
        for point in [p for p in board if board[p] == colour]:
            if board[point] == colour:
                chain, around = self.region(board, point)
                if 0 not in around:
                    board.update(dict.fromkeys(chain, 0))

    def after(self, point):
        """The board after the mover's stone, or None where the rules forbid it."""
        if self.board[point]:
            return None
        board = dict(self.board)
        board[point] = self.mover
        self.clear(board, 3 - self.mover)
        self.clear(board, self.mover)
        if board[point] == 0 and (not self.suicide or board == self.board):
            return None
        repeated = board in self.seen if self.superko else board in self.seen[-2:-1]
        return None if repeated else board

    def legal(self):
        return [i for i, point in enumerate(self.board) if self.after(point)] + [self.rows * self.cols]

    def play(self, action):
        self.plies += 1
        if action == self.rows * self.cols:
            self.passes += 1
        else:
            self.board, self.passes = self.after(list(self.board)[action]), 0
        self.seen.append(self.board)
        self.mover = 3 - self.mover

    def over(self):
        return self.passes == 2 or self.plies == 2 * self.rows * self.cols

    def owners(self):
        owners = dict(self.board)
        for point in self.board:
            if self.board[point] == 0:
                around = self.region(self.board, point)[1]
                owners[point] = around.pop() if len(around) == 1 else 0
        return np.reshape(list(owners.values()), (self.rows, self.cols))

    def copy(self):
        other = PlainGo(self.rows, self.cols, self.suicide, self.superko)
        other.board, other.seen = self.board, list(self.seen)
        other.mover, other.passes, other.plies = self.mover, self.passes, self.plies
        return other


@pytest.mark.parametrize("suicide", [False, True])
@pytest.mark.parametrize("rows, cols", [(2, 2), (2, 3), (3, 3), (4, 5), (9, 3)])
def test_random_games_agree_with_a_plain_implementation(rows, cols, suicide):
    name = f"go{rows}" if rows == cols else f"go{rows}x{cols}"
    game = games.make(name, suicide=suicide, komi=0)
    rng = random.Random(10 * rows + cols)
    for _ in range(120 // (rows * cols)):
        plain, state = PlainGo(rows, cols, suicide), game.new_state()
        while not plain.over():
            assert not state.terminal
            assert state.legal_actions() == plain.legal(), f"\n{state}"
            np.testing.assert_array_equal(state.stones().ravel(), list(plain.board.values()))
            # Few passes, so that captures, kos and suicides come about.
            actions = plain.legal()
            action = rng.choice(actions[:-1]) if actions[:-1] and rng.random() < 0.95 else actions[-1]
            plain.play(action)
            state.play(action)
        assert state.terminal
        owners = plain.owners()
        np.testing.assert_array_equal(state.ownership(), owners)
        black = int((owners == 1).sum()) - int((owners == 2).sum())
        assert state.score() == (black if state.to_move == 0 else -black)
        assert state.outcome() == np.sign(state.score())


@pytest.mark.parametrize("rules", ["chinese", "tromp-taylor"])
@pytest.mark.parametrize("rows, cols, depth", [(2, 2, 7), (2, 3, 5), (3, 3, 4)])
def test_perft_agrees_with_a_plain_implementation(rows, cols, depth, rules):
    def perft(position, depth, legal, over):
        if depth == 0 or over(position):
            return 1
        count = 0
        for action in legal(position):
            child = position.copy()
            child.play(action)
            count += perft(child, depth - 1, legal, over)
        return count

    game = games.make(f"go{rows}" if rows == cols else f"go{rows}x{cols}", rules=rules)
    ours = perft(game.new_state(), depth, lambda state: state.legal_actions(), lambda state: state.terminal)
    theirs = perft(PlainGo(rows, cols, rules == "tromp-taylor"), depth, PlainGo.legal, PlainGo.over)
    assert ours == theirs


@pytest.mark.parametrize("name", ["go5", "go9", "go13", "go19"])
def test_the_count_agrees_with_sgfmill(name):
    boards = pytest.importorskip("sgfmill.boards")
    game = games.make(name, komi=0)
    margins = set()
    for seed in range(20):
        state, board = game.new_state(), boards.Board(game.rows)
        state.playout(seed)
        points = [np.argwhere(state.stones()[::-1] == colour).tolist() for colour in (1, 2)]
        board.apply_setup(*points, [])
        assert state.score() == (board.area_score() if state.to_move == 0 else -board.area_score())
        margins.add(state.score())
    assert len(margins) > 3


def play_all(game, moves, state=None):
    state = state or game.new_state()
    for move in moves.split():
        state.play(game.text_to_action(move))
    return state


def diagram(game, text, to_move=0):
    """A position from rows of . X O, the top one first."""
    stones = "".join(text.split())
    return game.position([i for i, s in enumerate(stones) if s == "X"],
                         [i for i, s in enumerate(stones) if s == "O"], to_move)


def may_play(state, move):
    return bool(state.legal()[state.game.text_to_action(move)])


KO = """. X O . .
        X O . O .
        . X O . .
        . . . . .
        . . . . ."""


@pytest.mark.parametrize("ko", ["positional", "simple"])
def test_a_ko_may_not_be_taken_back_at_once(ko):
    game = games.make("go5", ko=ko)
    state = play_all(game, "C4", diagram(game, KO))
    assert state.stones()[1].tolist() == [1, 0, 1, 2, 0]
    assert not may_play(state, "B4")
    play_all(game, "E1 D1", state)
    assert may_play(state, "B4")


def test_sending_two_returning_one_is_a_repetition_under_superko_only():
    board = """. O . O .
               X X O . .
               . . . . .
               . . . . .
               . . . . ."""
    for ko, allowed in [("positional", False), ("simple", True)]:
        game = games.make("go5", ko=ko)
        state = play_all(game, "A5 C5", diagram(game, board, to_move=1))
        assert state.stones()[0].tolist() == [0, 0, 1, 2, 0]         # two stones taken
        assert may_play(state, "B5") == allowed                      # taking one back makes the first board again


def test_boards_come_back_under_simple_ko_and_never_under_superko():
    repeated = {}
    for ko in ["simple", "positional"]:
        game, rng = games.make("go3", ko=ko), random.Random(4)
        repeated[ko] = 0
        for _ in range(200):
            state, boards = game.new_state(), []
            while not state.terminal:
                boards.append(state.stones().tobytes())
                actions = state.legal_actions()
                action = rng.choice(actions[:-1] or actions)
                state.play(action)
                repeated[ko] += action < 9 and state.stones().tobytes() in boards
    assert repeated["positional"] == 0 < repeated["simple"]


def test_suicide():
    board = """. X O . .
               X O O . .
               . O . . .
               O O . . .
               . . . . ."""
    one, two = ". X . . .  X . . . .  . . . . .  . . . . .  . . . . .", board
    for rules, several in [("chinese", False), ("tromp-taylor", True)]:
        game = games.make("go5", rules=rules)
        assert not may_play(diagram(game, one, to_move=1), "A5")
        state = diagram(game, two)
        assert may_play(state, "A5") and may_play(state, "A3")
        play_all(game, "A3 pass", state)
        assert may_play(state, "A5") == several
        if several:
            play_all(game, "A5", state)
            assert state.stones()[:3, 0].tolist() == [0, 0, 0] and state.stones()[0, 1] == 0


def test_set_up_stones_and_handicap():
    game = games.make("go9", komi=0.5)
    assert [game.action_to_text(a) for a in game.handicap_points(5)] == ["C3", "G7", "C7", "G3", "E5"]
    large = games.make("go19")
    assert " ".join(large.action_to_text(a) for a in large.handicap_points(9)) == "D4 Q16 D16 Q4 D10 Q10 K4 K16 K10"
    state = game.position(black=game.handicap_points(4), to_move=1)
    assert state.to_move == 1 and (state.stones() == 1).sum() == 4
    assert state.encode()[..., 1].sum() == 4 and state.encode()[..., 0].sum() == 0
    play_all(game, "pass pass", state)
    assert state.score() == -(81 - 0.5 - 4)         # Chinese: White gets a point for each handicap stone
    state = games.make("go9", komi=0.5, rules="tromp-taylor").position(black=game.handicap_points(4), to_move=1)
    assert play_all(game, "pass pass", state).score() == -(81 - 0.5)
    for black, white, why in [([0, 0], [], "taken"), ([81], [], "off the board"), ([0], [1, 9], "no liberty")]:
        with pytest.raises(ValueError, match=why):
            game.position(black, white)
    with pytest.raises(ValueError, match="2 to 9"):
        game.handicap_points(10)
    with pytest.raises(ValueError, match="no handicap points"):
        games.make("go5").handicap_points(2)


def test_handicap_as_a_setting():
    for rules, margin in (("chinese", 81 - 0.5 - 4), ("tromp-taylor", 81 - 0.5)):
        game = games.make(f"go9?komi=0.5&rules={rules}&handicap=4&history=2")
        plain = games.make("go9", komi=0.5, rules=rules, history=2)
        state, expected = game.new_state(), plain.position(black=game.handicap_points(4), to_move=1)
        rng = random.Random(1)
        while not state.terminal:
            assert state.to_move == expected.to_move and state.hash() == expected.hash()
            assert state.legal_actions() == expected.legal_actions()
            np.testing.assert_array_equal(state.encode(), expected.encode())
            action = rng.choice(state.legal_actions())
            state.play(action)
            expected.play(action)
        assert state.score() == expected.score()
        assert play_all(game, "pass pass").score() == -margin
        assert game.position().stones().sum() == 0 and game.position().to_move == 0
    for wrong in ("go9?handicap=1", "go9?handicap=10", "go5?handicap=2", "go9x13?handicap=2"):
        with pytest.raises(ValueError, match="handicap"):
            games.make(wrong)


def test_history_planes_are_the_boards_before_seen_by_the_player_to_move_now():
    game = games.make("go4x6", history=4)
    rng = random.Random(1)
    state, boards = game.new_state(), []
    while not state.terminal:
        boards.insert(0, state.stones())
        planes = state.encode()
        for step in range(4):
            board = boards[step] if step < len(boards) else np.zeros((4, 6))
            np.testing.assert_array_equal(planes[..., 2 * step], board == 1 + state.to_move)
            np.testing.assert_array_equal(planes[..., 2 * step + 1], board == 2 - state.to_move)
        assert (planes[..., 8] == (state.to_move == 0)).all() and (planes[..., 9] == (state.to_move == 1)).all()
        state.play(rng.choice(state.legal_actions()))


def test_liberty_planes_count_different_empty_points():
    game = games.make("go5x6", history=1, liberties=True)
    rng = random.Random(3)
    for _ in range(10):
        plain, state = PlainGo(5, 6, suicide=False), game.new_state()
        while not plain.over():
            planes = state.encode()[..., 2:5]
            for point, colour in plain.board.items():
                chain = plain.region(plain.board, point)[0] if colour else []
                liberties = {p for stone in chain for p in plain.neighbours(stone) if plain.board[p] == 0}
                expected = [len(liberties) == 1, len(liberties) == 2, len(liberties) > 2] if colour else [0, 0, 0]
                assert planes[point].tolist() == expected
            action = rng.choice(plain.legal())
            plain.play(action)
            state.play(action)


def test_wrong_settings_are_refused():
    for settings, why in [({"rules": "japanese"}, "must be chinese or tromp-taylor"), ({"ko": "none"}, "positional"),
                          ({"history": 9}, "must be 1 to 8"), ({"komi": float("nan")}, "from -361 to 361")]:
        with pytest.raises(ValueError, match=why):
            games.make("go9", **settings)

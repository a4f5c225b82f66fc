"""Games written in Python: the worked example, the same search as a compiled game, and clear errors."""
import importlib.util
import pathlib
import pickle
import random
import subprocess
import sys
import tomllib
import weakref

import numpy as np
import pytest

from mcts_ext import games
from mcts_ext.games.python_game import PythonGame
from mcts_ext.search import Search

EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "domineering"


@pytest.fixture(scope="module")
def domineering():
    spec = importlib.util.spec_from_file_location("domineering", EXAMPLE / "domineering.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["domineering"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["domineering"]


class PlainTicTacToe:
    """Tic-tac-toe on tuples, with the planes of the compiled one."""
    name, rows, cols, planes, num_actions, max_length = "plain", 3, 3, 3, 9, 9
    lines = [(0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6)]

    def start(self):
        return (0,) * 9

    def to_move(self, state):
        return (9 - state.count(0)) % 2

    def legal(self, state):
        return [cell for cell in range(9) if not state[cell]]

    def play(self, state, action):
        return (*state[:action], 1 + self.to_move(state), *state[action + 1:])

    def outcome(self, state):
        if any(state[a] and state[a] == state[b] == state[c] for a, b, c in self.lines):
            return -1
        return None if 0 in state else 0

    def encode(self, state):
        own = 1 + self.to_move(state)
        return np.reshape([[cell == own, cell == 3 - own, 1] for cell in state], (3, 3, 3))


def test_it_plays_as_the_compiled_game_does():
    compiled, plain = games.make("tictactoe"), PythonGame(PlainTicTacToe())
    rng = random.Random(1)
    for seed in range(30):
        ours, theirs = compiled.new_state(), plain.new_state()
        while True:
            assert ours.to_move == theirs.to_move and ours.terminal == theirs.terminal
            assert ours.legal_actions() == theirs.legal_actions()
            np.testing.assert_array_equal(ours.encode(), theirs.encode())
            np.testing.assert_array_equal(ours.stones(), theirs.stones())
            assert str(ours) == str(theirs)
            assert ours.copy().playout(seed) == theirs.copy().playout(seed)
            if ours.terminal:
                break
            action = rng.choice(ours.legal_actions())
            ours.play(action)
            theirs.play(action)
        assert ours.outcome() == theirs.outcome()
    assert [plain.action_to_text(a) for a in range(9)] == [compiled.action_to_text(a) for a in range(9)]
    assert plain.text_to_action("B2") == 4


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("evaluator", ["uniform", "rollout"])
def test_a_search_finds_the_same_as_with_the_compiled_game(evaluator, threads):
    results = []
    for game in (games.make("tictactoe"), PythonGame(PlainTicTacToe())):
        search = Search(game, 3, seed=5, threads=threads)
        for slot in range(3):
            search.reset(slot)
            search.play(slot, slot)
            search.start(slot, 200)
        search.run(evaluator)
        results.append([search.result(slot).visits.tolist() for slot in range(3)])
    assert results[0] == results[1] and sum(results[0][0]) > 100


def test_states_are_let_go():
    class Value:                         # tuples take no weak references
        def __init__(self, cells):
            self.cells = cells
            values.append(weakref.ref(self))

    def unwrapped(name):
        return lambda self, state: getattr(plain, name)(state.cells)

    methods = {name: unwrapped(name) for name in ("to_move", "legal", "outcome", "encode")}
    methods["start"] = lambda self: Value((0,) * 9)
    methods["play"] = lambda self, state, action: Value(plain.play(state.cells, action))
    plain, values = PlainTicTacToe(), []
    search = Search(PythonGame(type("Tracked", (PlainTicTacToe,), methods)()), 2, seed=1)
    for slot in range(2):
        search.reset(slot)
        search.start(slot, 100)
    search.run("uniform")
    assert len(values) > 200 and sum(value() is not None for value in values) < 20
    del search
    assert not any(value() is not None for value in values)


def test_what_the_rules_raise_reaches_the_caller():
    class Faulty(PlainTicTacToe):
        def play(self, state, action):
            if state.count(0) == 7:
                raise RuntimeError("a fault in the rules")
            return super().play(state, action)

    game = PythonGame(Faulty())
    state = game.new_state()
    state.play(0)
    state.play(1)
    with pytest.raises(RuntimeError, match="a fault in the rules"):
        state.play(2)
    with pytest.raises(RuntimeError, match="a fault in the rules"):
        game.new_state().playout(1)
    search = Search(game, 1, seed=1)
    search.reset(0)
    search.start(0, 1000)
    with pytest.raises(RuntimeError, match="a fault in the rules"):
        search.run("uniform")
    assert game.new_state().legal_actions() == list(range(9))        # raised once, then forgotten


@pytest.mark.parametrize("attribute, value, why", [
    ("name", "", "name = '': must be a text"), ("rows", 0, "rows = 0: must be a whole number"),
    ("max_length", None, "max_length = None"), ("encode", 3, "no method encode"),
    ("geometry", "torus", "must be one of points"), ("symmetries", [([0] * 9, range(9))], "permutation"),
    ("start", lambda self: [0] * 9, "not hashable"), ("encode", lambda self, state: np.zeros((3, 3)), r"\[3, 3, 3\]"),
    ("legal", lambda self, state: [], "legal.. has no action")])
def test_a_wrong_definition_is_refused(attribute, value, why):
    definition = type("Wrong", (PlainTicTacToe,), {attribute: value})()
    with pytest.raises((TypeError, ValueError), match=why):
        PythonGame(definition)


@pytest.mark.parametrize("method, value, why", [
    ("to_move", 2, "must be 0 or 1"), ("outcome", 5, "must be None, -1, 0 or 1"), ("legal", [9], "action 9 is not in")])
def test_a_wrong_answer_is_named(method, value, why):
    def answer(self, state):
        return value if any(state) else getattr(PlainTicTacToe, method)(self, state)

    state = PythonGame(type("Wrong", (PlainTicTacToe,), {method: answer})()).new_state()
    with pytest.raises(ValueError, match=why):
        state.play(0)
        assert state.to_move == 1 and not state.terminal and state.legal_actions()


@pytest.mark.parametrize("size, first_wins", [(2, True), (3, True), (4, True), (5, False)])
def test_the_example_has_the_known_winners(domineering, size, first_wins):
    """D. Breuker, J. Uiterwijk, H. van den Herik, "Solving 8x8 Domineering" (2000)."""
    definition = domineering.Domineering(size, size)
    known = {}

    def wins(state):
        if state not in known:
            known[state] = any(not wins(definition.play(state, action)) for action in definition.legal(state))
        return known[state]

    assert wins(definition.start()) == first_wins


def test_the_examples_symmetries_commute_with_play(domineering):
    game = domineering.create("4x5")
    assert game.name == "domineering4x5" and len(game.symmetries) == 4
    rng = random.Random(1)
    for actions, points in game.symmetries:
        state, image = game.new_state(), game.new_state()
        while not state.terminal:
            planes = np.empty((20, 4), np.float32)
            planes[points] = state.encode().reshape(20, 4)
            np.testing.assert_array_equal(image.encode().reshape(20, 4), planes)
            action = rng.choice(state.legal_actions())
            state.play(action)
            image.play(int(actions[action]))
        assert image.terminal and image.outcome() == state.outcome() == -1


def test_the_example_pickles_and_names_its_moves(domineering):
    game = pickle.loads(pickle.dumps(domineering.create("")))
    assert game.name == "domineering6"
    texts = [game.action_to_text(action) for action in range(game.num_actions)]
    assert texts[0] == "a1a2" and texts[-1] == "e6f6" and len(set(texts)) == 60
    assert [game.text_to_action(text) for text in texts] == list(range(60))
    with pytest.raises(ValueError, match="'a1c1' is not a move"):
        game.text_to_action("a1c1")
    with pytest.raises(ValueError, match="write domineering6"):
        domineering.create("1x3")


def test_an_installed_package_registers_its_game(tmp_path):
    """As pip leaves it behind: a metadata folder with the entry points that the example declares."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    metadata = tmp_path / "zero_domineering-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    points = [f"{name} = {value}" for name, value in project["entry-points"]["zero.games"].items()]
    (metadata / "entry_points.txt").write_text("\n".join(["[zero.games]", *points]))
    code = (f"import sys; sys.path[:0] = {[str(tmp_path), str(EXAMPLE)]}; from mcts_ext import games; "
            "print(games.make('domineering4x5'), 'domineering' in games.names(), games.make('domineering').name)")
    result = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True)
    assert result.stdout.strip() == "Game('domineering4x5') True domineering6", result.stderr

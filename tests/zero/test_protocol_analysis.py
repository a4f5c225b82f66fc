"""The analysis protocol: many positions at once, and input of every kind."""

import json
import queue
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcts_ext.games import make
from zero.arena.players import parse_player
from zero.protocols import analysis
from zero.protocols.analysis import AnalysisServer, RequestError, parse_request


class Talk:
    """A server on a thread of the test: `ask` requests, read `answers` until `done`."""

    def __init__(self, player="mcts:50", game="connect4", **options):
        self.answers = []
        self.server = AnalysisServer(parse_player(player), self.answers.append, game, **options)

    def ask(self, *requests):
        self.answers.clear()
        self.server.serve([r if isinstance(r, str) else json.dumps(r) for r in requests])
        return self.answers

    def one(self, **request):
        (answer,) = self.ask({"id": "x", **request})
        return answer


def test_an_answer_has_everything():
    answer = Talk().one(moves=["4", "4", "3"], sims=100)
    assert answer["id"] == "x" and answer["done"] is True and answer["to_move"] == 2
    assert answer["visits"] == 100 == sum(move["visits"] for move in answer["moves"])
    assert answer["best"] == answer["moves"][0]["move"]
    assert set(answer["policy"]) == set("1234567") and sum(answer["policy"].values()) == pytest.approx(1, abs=1e-3)
    game = make("connect4")
    for move in answer["moves"]:
        assert move["pv"][0] == move["move"] and -1 <= move["value"] <= 1
        state = game.new_state()
        for text in ["4", "4", "3", *move["pv"]]:
            state.play(game.text_to_action(text))
    assert len(Talk().one(moves=[], sims=20, top=2)["moves"]) == 2


def test_values_are_the_movers():
    # The player to move wins at 4 (three in column 4), whoever that is.
    for moves in (["4", "1", "4", "1", "4", "2"], ["1", "4", "1", "4", "2", "4", "2"]):
        answer = Talk().one(moves=moves, sims=300)
        assert answer["best"] == "4" and answer["value"] > 0.8 and answer["moves"][0]["value"] == 1
    lost = Talk().one(moves=["4", "1", "4", "1", "4"], sims=600)  # the mover must stop column 4
    assert lost["best"] == "4"


def test_a_request_may_name_a_game_with_rules_of_its_own():
    # Both pass on an empty board: the komi decides.
    answers = [Talk().one(game=game, moves=["pass", "pass"]) for game in ("go5", "go5?komi=-0.5")]
    assert [answer["value"] for answer in answers] == [-1, 1]
    assert "no setting 'comi'" in Talk().one(game="go5?comi=1", moves=[])["error"]


def test_network_alone_and_finished_games():
    raw = Talk("uniform:50").one(moves=["4"], sims=0)
    assert raw["visits"] == 0 and raw["value"] == 0 and raw["policy"]["1"] == pytest.approx(1 / 7, abs=1e-4)
    over = Talk().one(moves=["4", "1"] * 3 + ["4"])
    assert over["over"] is True and over["value"] == -1 and over["done"] is True  # the mover has lost


def test_many_requests_share_the_slots():
    requests = [{"id": str(k), "moves": ["4"] * (k % 6), "sims": 20 + k} for k in range(50)]
    answers = Talk(slots=4).ask(*requests)
    assert {a["id"]: a["visits"] for a in answers} == {str(k): 20 + k for k in range(50)}
    alone = Talk(slots=4).one(moves=["4"] * 3, sims=29)
    together = next(a for a in answers if a["id"] == "9")
    assert [m["move"] for m in alone["moves"]] and together["policy"] == alone["policy"]


def test_one_batch_for_all():
    """Thirty searches in flight ask the network in batches of thirty."""
    talk = Talk("uniform:50", slots=30)
    sizes = []

    def evaluate(planes, legal):
        sizes.append(len(planes))
        return legal * 0.0, legal[:, 0] * 0.0

    talk.server.desks["connect4"].evaluate = evaluate
    talk.ask(*({"id": str(k), "moves": [], "sims": 40} for k in range(30)))
    assert max(sizes) == 30 and sum(size == 30 for size in sizes) > 0.9 * len(sizes)


def test_several_games_and_set_up_positions():
    answers = Talk(game=None).ask(
        {"id": "a", "moves": ["b2"], "game": "tictactoe", "sims": 10},
        {"id": "b", "moves": ["D4"], "game": "go7", "sims": 10, "ownership": True},
        {"id": "c", "moves": ["C3"], "game": "go5", "sims": 5,
         "stones": {"black": ["A1", "B1"], "white": ["D4"], "to_move": "white"}},
        {"id": "d", "moves": []},
        {"id": "e", "moves": [], "game": "tictactoe", "stones": {"black": ["a1"]}, "sims": 5},
    )
    by_id = {answer["id"]: answer for answer in answers}
    assert len(by_id["a"]["policy"]) == 8
    assert len(by_id["b"]["ownership"]) == 49 and all(-1 <= v <= 1 for v in by_id["b"]["ownership"])
    assert by_id["c"]["to_move"] == 1 and not {"A1", "B1", "D4", "C3"} & set(by_id["c"]["policy"])
    assert "which game?" in by_id["d"]["error"] and "set up" in by_id["e"]["error"]


def test_sizes_and_many_kinds_of_rules():
    talk = Talk(game="go9")
    assert len(talk.one(moves=["G7"], size=7, sims=5)["policy"]) == 49
    assert "move 1" in talk.one(moves=["H7"], size=7)["error"]
    answers = talk.ask(*({"id": str(k), "moves": [], "size": 5, "komi": k, "sims": 3} for k in range(20)))
    assert {a["id"] for a in answers if a["done"]} == {str(k) for k in range(20)}
    talk.one(moves=[], size=5, komi=0.5, sims=1)
    assert len(talk.server.desks) <= analysis.MOST_DESKS


def test_ownership_is_the_movers():
    wall = [f"{letter}{row}" for row in (2, 4) for letter in "ABCDE"]
    for colour, to_move, sign in (("black", "black", 1), ("black", "white", -1), ("white", "white", 1)):
        stones = {colour: wall, "to_move": to_move}
        answer = Talk(game="go5").one(stones=stones, sims=20, ownership=True)
        assert sign * sum(answer["ownership"]) > 8


def test_time_limits_reports_and_cancel():
    lines = queue.Queue()
    answers = []
    server = AnalysisServer(parse_player("mcts:50"), lambda a: answers.append((time.monotonic(), a)), "connect4")
    began = time.monotonic()
    lines.put('{"id": "t", "moves": [], "time": 0.3, "report_every": 0.05}')
    lines.put('{"id": "long", "moves": [], "sims": 1000000000}')
    lines.put('{"id": "slow", "moves": [], "sims": 1000000000}')

    def feed():
        yield lines.get()
        yield lines.get()
        yield lines.get()
        time.sleep(0.5)
        yield '{"id": "c", "cancel": "long"}'
        yield '{"id": "d", "cancel": "nobody"}'
        yield '{"id": "e", "cancel": "slow"}'

    server.serve(feed())
    timed = [(at - began, a) for at, a in answers if a["id"] == "t"]
    assert 2 <= len(timed) <= 8 and [a["done"] for _, a in timed] == [False] * (len(timed) - 1) + [True]
    assert 0.28 < timed[-1][0] < 2
    assert [a["visits"] for _, a in timed] == sorted(a["visits"] for _, a in timed)
    rest = [a for _, a in answers if a["id"] != "t"]
    assert [a["id"] for a in rest] == ["long", "c", "d", "slow", "e"]
    assert rest[0]["cancelled"] and rest[0]["visits"] > 0 and "nobody" in rest[2]["error"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("not json", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[1]", "a request is an object"),
        ('{"moves": []}', 'needs an "id"'),
        ('{"id": 7}', 'needs an "id"'),
        ('{"id": "a", "moves": "4"}', "moves must be a list"),
        ('{"id": "a", "moves": [4]}', "moves must be a list"),
        ('{"id": "a", "sims": -1}', "sims must be a whole number"),
        ('{"id": "a", "sims": true}', "sims must be a whole number"),
        ('{"id": "a", "sims": 1e400}', "sims must be a whole number"),
        ('{"id": "a", "time": NaN}', "time must be seconds"),
        ('{"id": "a", "mvoes": []}', "unknown field 'mvoes'"),
        ('{"id": "a", "size": 1}', "size must be"),
        ('{"id": "a", "size": 9}', "unknown game 'connect49'"),
        ('{"id": "a", "moves": ["8"]}', "move 1: connect4: '8' is not a move"),
        ('{"id": "a", "moves": ["4","4","4","4","4","4","4"]}', "move 7: connect4: illegal move"),
        ('{"id": "a", "game": "chess"}', "unknown game 'chess'"),
        ('{"id": "a", "stones": {"black": "x"}}', "stones must be"),
    ],
)
def test_bad_requests_are_answered(line, words):
    error, after = Talk().ask(line, {"id": "after", "moves": [], "sims": 1})
    assert words in error["error"] and after["done"]


def test_an_id_may_be_used_again_but_not_twice_at_once():
    answers = Talk().ask(*[{"id": "a", "moves": [], "sims": 5}] * 2)
    assert sorted("error" in answer for answer in answers) == [False, True]


def test_a_broken_evaluator_is_an_error_answer():
    talk = Talk("uniform:50")
    talk.server.desks["connect4"].evaluate = lambda planes, legal: (legal * float("nan"), legal[:, 0] * 1.0)
    assert "the search broke down" in talk.one(moves=[])["error"]
    talk.server.desks["connect4"].evaluate = "uniform"
    assert talk.one(moves=[])["done"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=5)
names = st.sampled_from(["id", "moves", "sims", "time", "stones", "top", "cancel", "game", "about", "report_every"])


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=30) | st.dictionaries(names, json_values, max_size=5).map(json.dumps))
def test_fuzz_parses_or_refuses(line):
    try:
        parse_request(line)
    except RequestError as error:
        assert str(error)


def test_the_command():
    start = [sys.executable, "-c", "import sys; from zero.cli import main; sys.exit(main())", "analysis"]
    lines = b'{"id": "a", "moves": ["4"], "sims": 10}\n\xff\xfe\n\n{"id": "q", "about": true}\n'
    done = subprocess.run([*start, "mcts:10", "--game", "connect4"], input=lines, capture_output=True, timeout=60)
    answers = {a["id"]: a for a in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 0 and not done.stderr
    assert answers["a"]["visits"] == 10 and answers["q"]["game"] == "connect4" and "error" in answers[None]
    wrong = subprocess.run([*start, "gtp:gnugo", "--game", "go9"], input=b"", capture_output=True, timeout=60)
    assert wrong.returncode == 2 and len(wrong.stderr.splitlines()) == 1


def test_rules_of_a_request_decide_what_may_be_played():
    talk = Talk("mcts:20", "gomoku9")
    opening = ["E5", "E6", "D5"]
    swap = talk.one(moves=opening, rules={"opening": "swap2"}, sims=20)
    assert {"black", "white", "two"} <= set(swap["policy"])
    assert "black" not in talk.one(moves=opening, sims=20)["policy"]
    over = ["A1", "A2", "B1", "B2", "C1", "C2", "E1", "E2", "F1", "F2", "D1"]  # six in a row
    assert talk.one(moves=over, sims=20).get("over")
    assert not talk.one(moves=over, rules={"exact": True}, sims=20).get("over")
    suicide = ["C1", "A1", "B2", "pass", "A3", "A2", "E5", "B1"]  # White fills the last liberty of three stones
    go = Talk("mcts:20", "go5")
    assert "move 8" in go.one(moves=suicide, sims=1)["error"]
    assert go.one(moves=suicide, rules="tromp-taylor", sims=1)["done"]


def test_wrong_rules_are_told():
    talk = Talk("mcts:20", "go5")
    assert "rules must be settings" in talk.one(rules=["chinese"])["error"]
    assert "no setting 'swap'" in talk.one(rules={"swap": True})["error"]
    assert "must be chinese or tromp-taylor" in talk.one(rules="japanese")["error"]
    assert talk.one(sims=5)["done"]


def test_a_network_says_that_it_does_not_know_the_rules(tmp_path):
    import numpy as np

    from zero.config import NetworkConfig
    from zero.network import Network, save_network

    net = tmp_path / "net.safetensors"
    game = make("gomoku9")
    save_network(net, Network(game, NetworkConfig(blocks=1, channels=8), np.random.default_rng(0)), game.name)
    talk = Talk(str(net), None)
    assert "not gomoku9?opening=swap2" in talk.one(rules={"opening": "swap2"}, sims=1)["error"]
    assert talk.one(rules={"exact": True}, sims=1)["done"]


def test_a_network_with_planes_of_its_own_answers_about_the_usual_game(tmp_path):
    import numpy as np

    from zero.config import NetworkConfig
    from zero.network import Network, save_network

    net = tmp_path / "net.safetensors"
    game = make("go5?history=2&liberties=true")
    save_network(net, Network(game, NetworkConfig(blocks=1, channels=8), np.random.default_rng(0)), game.full_name)
    talk = Talk(str(net), "go5")
    assert talk.one(sims=3)["done"] and talk.one(sims=3, komi=0.5, moves=["C3"])["done"]

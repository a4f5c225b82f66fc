"""SGF reading and writing, with sgfmill as the oracle."""

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcts_ext.games import make
from zero.errors import UserError
from zero.games import make_game
from zero.protocols import game_sgf, sgf

VARIATIONS = "(;FF[4]GM[1]SZ[9]C[root](;B[aa];W[bb](;B[cc])(;B[dd];W[ee]))(;B[hh]))"


def shape(node):
    return node.properties, [shape(child) for child in node.children]


def test_reads_variations_and_the_main_line():
    (root,) = sgf.parse(VARIATIONS)
    assert [node.move() for node in root.main_line()] == [None, ("B", "aa"), ("W", "bb"), ("B", "cc")]
    assert len(list(root.walk())) == 7
    assert root.children[0].children[0].children[1].move() == ("B", "dd")
    assert root.children[1].parent is root and root.parent is None
    assert shape(sgf.parse(sgf.serialise(root))[0]) == shape(root)


def test_escapes_and_line_breaks():
    (root,) = sgf.parse("(;C[a\\]b\\\\c\\\nd\r\ne\tf]KM[6,5]AB[aa:bc][ii])")
    assert root.text("C") == "a]b\\cd\ne f"
    assert root.number("KM") == 6.5
    assert root.points("AB") == ["aa", "ba", "ab", "bb", "ac", "bc", "ii"]


@pytest.mark.parametrize(
    ("size", "expected"),
    [("SZ[9]", (9, 9)), ("SZ[9:13]", (9, 13)), ("", (19, 19)), ("GM[2]", (8, 8)), ("GM[11]", (11, 11))],
)
def test_board_size(size, expected):
    assert sgf.parse(f"(;{size or 'FF[4]'})")[0].board_size() == expected


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("", 1, 1, "no game tree"),
        ("(;B[aa]\n;W[bb", 2, 3, "never closed with ']'"),
        ("(;B[aa]\n;W[bb]", 1, 1, "never closed with ')'"),
        ("(;B[aa]\r\n ;W;B[cc])", 2, 4, "without a value"),
        ("(;B[aa]()) ", 1, 9, "empty tree"),
        ("(;B[aa]([bb]))", 1, 9, "without a property"),
        ("(;[aa])", 1, 3, "without a property"),
        ("(;B[aa]\n\n  #)", 3, 3, "unexpected '#'"),
        ("(;b[aa])", 1, 3, "no property"),
    ],
)
def test_errors_have_line_and_column(text, line, column, words):
    with pytest.raises(sgf.SgfError, match=f"line {line}, column {column}: ") as error:
        sgf.parse(text)
    assert words in str(error.value)


@pytest.mark.parametrize("charset", ["UTF-8", "Shift_JIS", "GB18030", "Big5", "EUC-KR", "ISO-8859-1", "ISO-2022-JP"])
def test_charsets(charset):
    name = {"EUC-KR": "이창호", "ISO-8859-1": "Jérôme", "Big5": "功夫許"}.get(charset, "本因坊表")
    data = f"(;CA[{charset}]PB[{name}];B[aa])".encode(charset)
    assert sgf.parse(data)[0].text("PB") == name


def test_charset_fallback():
    assert sgf.parse("(;PB[本因坊])".encode())[0].text("PB") == "本因坊"
    assert sgf.parse("(;CA[nonsense]PB[Jérôme])".encode("latin-1"))[0].text("PB") == "Jérôme"
    assert sgf.parse("(;CA[unicode_escape]PB[Jérôme])".encode("latin-1"))[0].text("PB") == "Jérôme"
    assert sgf.parse("\ufeff(;PB[é])".encode("utf-16-le"))[0].text("PB") == "é"


def test_mail_around_the_trees_is_skipped():
    roots = sgf.parse("From: me; (look)\n(;GM[1];B[aa])\n-- \nbye; (ok)\n( ;GM[2])!")
    assert [root.text("GM") for root in roots] == ["1", "2"]


def test_old_identifiers_and_repeated_properties():
    (root,) = sgf.parse("(;GaMe[1]AddBlack[aa]AB[bb])")
    assert root.properties == {"GM": ["1"], "AB": ["aa", "bb"]}


def test_new_root_round_trip():
    root = sgf.new_root(11, 11, 9, PB="a]b\\c", PW="é")
    root.add(B="a1").add(W="swap")
    again = sgf.parse(sgf.serialise(root).encode())[0]
    assert again.board_size() == (11, 9)
    assert again.text("PB") == "a]b\\c" and again.text("PW") == "é"
    assert [node.move() for node in again.main_line()][1:] == [("B", "a1"), ("W", "swap")]


def test_long_and_deep_files():
    began = time.process_time()
    deep = "(;GM[1]" + "(;B[aa]" * 50_000 + ")" * 50_001
    assert sum(1 for _ in sgf.parse(deep)[0].walk()) == 50_001
    line = "(;GM[1]" + ";B[aa];W[bb]" * 100_000 + ")"
    (root,) = sgf.parse(line)
    assert sgf.serialise(root).strip() == line
    assert len(sgf.parse("(;C[" + "x\\]" * 500_000 + "])")[0].text("C")) == 1_000_000
    for broken in ("(;C[" + "x\\]" * 500_000, "(;" * 300_000, "(;C[a]" + "[" * 1_000_000, "(" * 1_000_000):
        with pytest.raises(sgf.SgfError):
            sgf.parse(broken)
    assert time.process_time() - began < 10


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="();[]\\:ABCWabcz \n19é") | st.binary())
def test_fuzz_never_crashes(data):
    try:
        roots = sgf.parse(data)
    except sgf.SgfError as error:
        assert error.line >= 1 and error.column >= 1
    else:
        again = sgf.parse(sgf.serialise(roots))
        assert [shape(root) for root in again] == [shape(root) for root in roots]


points = st.builds(lambda row, col: sgf.point_to_sgf(row, col), st.integers(0, 8), st.integers(0, 8))


@st.composite
def trees(draw):
    root = sgf.new_root(1, 9, 9, PB=draw(st.text("ab]\\:é ", max_size=8)))
    nodes = [root]
    for _ in range(draw(st.integers(0, 12))):
        node = draw(st.sampled_from(nodes)).add(**{draw(st.sampled_from("BW")): draw(points)})
        if draw(st.booleans()):
            node.set_text("C", draw(st.text("xyz]\\\n: é本", max_size=20)))
        nodes.append(node)
    return root


@settings(max_examples=100, deadline=None)
@given(trees())
def test_sgfmill_reads_what_we_write(root):
    oracle = pytest.importorskip("sgfmill.sgf")
    theirs = oracle.Sgf_game.from_bytes(sgf.serialise(root).encode())
    ours = sgf.parse(sgf.serialise(root))[0]

    def compare(node, other):
        colour, point = other.get_move()
        if node.move() is None:
            assert colour is None
        else:
            row, col = sgf.sgf_to_point(node.move()[1])
            assert (colour.upper(), point) == (node.move()[0], (8 - row, col))  # sgfmill counts rows from below
        for name in ("C", "PB"):
            assert node.text(name) == (other.get(name) if other.has_property(name) else "")
        assert len(node.children) == len(other)
        for child, other_child in zip(node.children, other, strict=True):
            compare(child, other_child)

    compare(ours, theirs.get_root())


@settings(max_examples=100, deadline=None)
@given(trees())
def test_we_read_what_sgfmill_writes(root):
    oracle = pytest.importorskip("sgfmill.sgf")
    written = oracle.Sgf_game.from_bytes(sgf.serialise(root).encode()).serialise()
    assert shape(sgf.parse(written)[0]) == shape(sgf.parse(sgf.serialise(root))[0])


@pytest.mark.parametrize("name", ["go9x7", "go7x9", "go19", "gomoku9x11", "hex5x7", "hex11", "othello8", "othello10"])
def test_games_come_back(name):
    """Random games through bytes: oblong boards, passes, both notations of rows."""
    game, rng = make(name), random.Random(3)
    for _ in range(3):
        state, actions = game.new_state(), []
        while not state.terminal and len(actions) < 120:
            actions.append(rng.choice(state.legal_actions()))
            state.play(actions[-1])
        (root,) = sgf.parse(sgf.serialise(game_sgf.game_tree(game, actions, PB="x")).encode())
        assert game_sgf.game_name(root) == name and root.board_size() == (game.cols, game.rows)
        start, again = game_sgf.read_game(root, game)
        assert again == actions and start.hash() == game.new_state().hash()


def test_an_oblong_board_has_its_columns_first():
    (root,) = sgf.parse("(;GM[1]SZ[9:7];B[ia];W[ag])")  # SGF counts from the top left: J7, then A1
    game = make(game_sgf.game_name(root))
    _, actions = game_sgf.read_game(root, game)
    assert (game.rows, game.cols) == (7, 9) and [game.action_to_text(action) for action in actions] == ["J7", "A1"]


values = st.sampled_from(
    ["aa", "ee", "tt", "", "zz", "a1", "i9", "swap", "aa:cc", "9", "5:7", "0", "-1", "99", "1e9", "1e999", "nan", "é"])
names = st.sampled_from("GM SZ B W AB AW PL KM C RU HA".split())


@settings(max_examples=200, deadline=None)
@given(st.lists(st.dictionaries(names, st.lists(values, min_size=1, max_size=3), max_size=4), min_size=1, max_size=6))
def test_fuzzed_games_are_read_or_refused(nodes):
    text = "(" + "".join(";" + "".join(name + "".join(f"[{value}]" for value in node[name]) for name in node)
                         for node in nodes) + ")"
    (root,) = sgf.parse(text)
    try:
        game = make_game(game_sgf.game_name(root))
        start, actions = game_sgf.read_game(root, game)
    except UserError as error:
        assert str(error)
    else:
        for action in actions:
            start.play(action)

"""Games in files: SGF for the games that have it, JSONL for the others, with variations and comments in both.

JSONL: one game per line, an object with `game`, `moves` (the main line) and optionally `komi`, `rules` (other settings
of the game), `stones` (set up, as in the analysis protocol), `result`, `clock` (minutes a side, seconds a move),
`sides` (for each: player, simulations, seconds, temperature), and `tree`: all nodes but the root, parents first, each
`[index of its parent, move, comment]` (the root is 0). Gomoku with the opening swap2 is JSONL too: SGF has no word for
taking a colour.
"""

import json
from dataclasses import replace
from pathlib import Path

from gui.looks import family
from gui.model import Illegal, Match, Node, Setup, Side
from gui.settings import write_whole
from mcts_ext.games import make
from mcts_ext.state import Game
from zero.protocols import sgf

SGF_GAMES = {"go": 1, "othello": 2, "gomoku": 4, "hex": 11}
Rules = tuple[tuple[str, object], ...]
_RULES: dict[str, tuple[tuple[str, Rules], ...]] = {  # family: (how RU names them, settings), the first is written
    "go": (("Chinese", ()), ("Tromp-Taylor", (("rules", "tromp-taylor"),)), ("NZ", (("rules", "tromp-taylor"),)),
           ("Simple ko", (("ko", "simple"),)), ("Japanese", (("ko", "simple"),)), ("Korean", (("ko", "simple"),))),
    "gomoku": (("Freestyle", ()), ("Exactly five", (("exact", True),))),
    "hex": (("No swap", ()), ("Swap", (("swap", True),)))}
LENIENT = (("rules", "tromp-taylor"), ("ko", "simple"))  # for Go whose file says nothing, or the wrong thing


class Unreadable(ValueError):
    """A file that holds no game we can show."""


def suffix(setup: Setup) -> str:
    return ".sgf" if family(setup.game) in SGF_GAMES and "opening" not in dict(setup.rules) else ".jsonl"


def save(match: Match, path: Path) -> bool:
    """Writes by the path's ending (`.sgf` only where the game has it); returns whether it worked."""
    text = to_sgf(match) if path.suffix.lower() == ".sgf" and suffix(match.setup) == ".sgf" else to_jsonl(match)
    return write_whole(path, text)


def load(path: Path) -> Match:
    """The first game of a file, at its last position. Raises Unreadable or OSError."""
    data = path.read_bytes()
    try:
        match = from_sgf(data) if data.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"(") else from_jsonl(data.decode())
    except Unreadable:
        raise
    except Exception as error:  # whatever the reader or the rules object to, the window must live on
        raise Unreadable(str(error)) from error
    match.go(match.root.main_line()[-1])
    match.live = False
    return match


def nodes(root: Node) -> list[Node]:
    """All nodes, parents first, main lines before variations."""
    found, todo = [], [root]
    while todo:
        node = todo.pop()
        found.append(node)
        todo.extend(reversed(node.children))
    return found


# -- JSONL ---------------------------------------------------------------------------------------------------------

def to_jsonl(match: Match) -> str:
    all_nodes = nodes(match.root)
    index = {node: i for i, node in enumerate(all_nodes)}
    line = match.root.main_line()
    record = {"game": match.setup.game, "moves": [node.text for node in line[1:]]}
    if match.setup.komi is not None:
        record["komi"] = match.setup.komi
    if match.setup.rules:
        record["rules"] = dict(match.setup.rules)
    if match.setup.stones:
        record["stones"] = match.setup.stones
    record["sides"] = [[side.player, side.sims, side.seconds, side.temperature] for side in match.setup.sides]
    record["clock"] = [match.setup.minutes, match.setup.increment]
    record["result"] = result_text(match, line[-1])
    record["tree"] = [[index[node.parent], node.text, node.comment] for node in all_nodes[1:]]
    record["comment"] = match.root.comment
    return json.dumps(record, ensure_ascii=False) + "\n"


def from_jsonl(text: str) -> Match:
    record = json.loads(text.strip().split("\n")[0])
    if not isinstance(record, dict) or not isinstance(record.get("game"), str):
        raise Unreadable("no object with \"game\" and \"moves\"")
    sides = tuple(Side(str(s[0]), int(s[1]), float(s[2]), float(s[3])) for s in record.get("sides", ()))
    minutes, increment = record.get("clock", (0.0, 0.0))
    stones = record.get("stones", {})
    match = Match(Setup(record["game"], sides if len(sides) == 2 else (Side(), Side()), komi=record.get("komi"),
                        minutes=float(minutes), increment=float(increment),
                        rules=tuple((str(name), value) for name, value in record.get("rules", {}).items()),
                        black=tuple(stones.get("black", ())), white=tuple(stones.get("white", ())),
                        white_first=stones.get("to_move") == "white"))
    match.root.comment = str(record.get("comment", ""))
    rows = record.get("tree") or [[i, move, ""] for i, move in enumerate(record["moves"])]
    known = [match.root]
    for parent, move, comment in rows:
        node = _add(match, known[parent], match.game.text_to_action(move))
        node.comment = comment
        known.append(node)
    return match


# -- SGF -----------------------------------------------------------------------------------------------------------

def to_sgf(match: Match) -> str:
    game, kind = match.game, family(match.setup.game)
    root = sgf.new_root(SGF_GAMES[kind], game.cols, game.rows, PB=match.setup.sides[0].player,
                        PW=match.setup.sides[1].player)
    if match.komi() is not None:
        root.set_text("KM", f"{match.komi():g}")
    if name := next((name for name, rules in _RULES.get(kind, ()) if dict(rules) == dict(match.setup.rules)), ""):
        root.set_text("RU", name)
    if result := result_text(match, match.root.main_line()[-1]):
        root.set_text("RE", result)
    for name, side in (("AB", match.setup.black), ("AW", match.setup.white)):
        if side:
            root.properties[name] = [_sgf_move(match, kind, game.text_to_action(text)) for text in side]
    if match.setup.stones:
        root.set_text("PL", "BW"[match.setup.white_first])
    made = {match.root: root}
    for node in nodes(match.root):
        if node.parent:
            colour = "BW"[node.parent.state.to_move]
            made[node] = made[node.parent].add(**{colour: _sgf_move(match, kind, node.action)})
        if node.comment:
            made[node].set_text("C", node.comment)
    return sgf.serialise(root)


def _sgf_move(match: Match, kind: str, action: int) -> str:
    squares = match.actions.squares(action)
    if kind == "hex":
        return match.game.action_to_text(action)
    return sgf.point_to_sgf(*squares[0]) if squares else ""


def from_sgf(data: bytes) -> Match:
    tree = sgf.parse(data)[0]
    kind = sgf.GAME_NUMBERS.get(int(tree.number("GM", 1)))
    cols, rows = tree.board_size()
    if kind is None:
        raise Unreadable(f"no game we know: GM {tree.text('GM')}")
    komi = tree.number("KM") if kind == "go" and "KM" in tree.properties else None
    name = f"{kind}{rows}" if rows == cols else f"{kind}{rows}x{cols}"
    black, white = (_stones(make(name), tree.points(side)) for side in ("AB", "AW"))
    setup = Setup(name, komi=komi, rules=_rules(tree, kind), black=black, white=white, white_first=_white_first(tree))
    try:
        return _grown(tree, kind, setup)
    except Illegal:
        if kind != "go":
            raise
        return _grown(tree, kind, replace(setup, rules=LENIENT))


def _rules(tree: sgf.Node, kind: str) -> Rules:
    """The settings that RU names, as far as we know them; a swap among the moves of a game of Hex tells too."""
    if kind == "hex" and any((move := node.move()) and move[1].startswith("swap") for node in tree.walk()):
        return (("swap", True),)
    named = tree.text("RU").strip().lower()
    return next((rules for name, rules in _RULES.get(kind, ()) if name.lower() == named), ())


def _grown(tree: sgf.Node, kind: str, setup: Setup) -> Match:
    """The match with all nodes of the tree. Raises ValueError, Illegal for a move that the rules forbid."""
    match, made = Match(setup), {}
    for node in tree.walk():
        here = made.get(node.parent, match.root)
        if node.parent and {"AB", "AW", "AE"} & node.properties.keys():
            raise Unreadable("stones are set up in the middle of the game (AB, AW, AE after the first node)")
        move = node.move()
        if move:
            here = _add(match, _turn_to(match, here, move[0]), _action(match, kind, move[1]))
        here.comment = node.text("C") or here.comment
        made[node] = here
    return match


def _stones(game: Game, points: list[str]) -> tuple[str, ...]:
    """Points of SGF as the game writes moves."""
    squares = [sgf.sgf_to_point(point) for point in points]
    return tuple(game.action_to_text(row * game.cols + col) for row, col in squares)


def _white_first(tree: sgf.Node) -> bool:
    """Who begins: as PL says, else as the first move does, else White where only Black has stones set up."""
    first = next((move[0] for node in tree.main_line() if (move := node.move())), "")
    named = tree.text("PL")[:1].upper() or first
    return named == "W" if named in ("B", "W") else not tree.points("AW")


def _turn_to(match: Match, here: Node, colour: str) -> Node:
    """Passes for the other side if it is to move: SGF leaves such passes out."""
    skip = match.actions.named.get("pass")
    if "BW"[here.state.to_move] == colour or skip is None or not here.state.legal()[skip]:
        return here
    return _add(match, here, skip)


def _action(match: Match, kind: str, text: str) -> int:
    if text == "" or (text == "tt" and match.game.rows <= 19):
        return match.actions.named["pass"]
    if kind == "hex":
        return match.game.text_to_action("swap" if text.startswith("swap") else text)
    return match.actions.place[sgf.sgf_to_point(text)]


def _add(match: Match, parent: Node, action: int) -> Node:
    for child in parent.children:
        if child.action == action:
            return child
    match.node = parent
    return match.play(action)


def result_text(match: Match, node: Node) -> str:
    """`B+R`, `W+T`, `B+3.5`, `B+`, `0`, or '' while the game is not over."""
    if not (node.ending or node.state.terminal):
        return ""
    mover = node.state.to_move
    if node.ending:
        return f"{'WB'[mover]}+{node.ending[0].upper()}"
    outcome = node.state.outcome()
    if outcome == 0:
        return "0"
    return f"{'BW'[mover] if outcome > 0 else 'WB'[mover]}+"


def default_name(match: Match) -> str:
    """A file name for a game: the game and its number of moves."""
    return f"{match.setup.game}-{match.node.ply}{suffix(match.setup)}"

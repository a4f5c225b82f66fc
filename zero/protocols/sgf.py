"""SGF, the Smart Game Format FF[4] (https://www.red-bean.com/sgf/): reading and writing game trees.

A file is a collection of game trees. A tree is here a `Node` (the root) with children; the first child is the
main line. Property values stay as written between the brackets, with their escapes, so that what we do not
understand survives a round trip; `text`, `points`, `number` and their setters translate. Nothing recurses: a
variation a million moves deep is only long.
"""

import codecs
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from zero.errors import UserError

GAME_NUMBERS = {1: "go", 2: "othello", 4: "gomoku", 11: "hex"}  # GM[]; 4 is "Gomoku and Renju"

_CHARSET = re.compile(rb"CA\s*\[\s*([A-Za-z0-9_.:\-]+)\s*\]")
_NOT_CHARSETS = {"punycode", "idna", "unicode_escape", "raw_unicode_escape", "undefined"}  # codecs Python also knows
_TREE_START = re.compile(r"\(\s*;")
_TOKEN = re.compile(r"\s+|([();])|([A-Za-z]++)|\[((?:[^\\\]]++|\\.)*+)\]", re.S)
_ESCAPE = re.compile(r"\\(\r\n|\n\r|.)", re.S)
_LINE_BREAK = re.compile(r"\r\n|\n\r|\r|\n")
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


class SgfError(UserError):
    """What cannot be read, with `line` and `column` (from 1) in the file."""

    def __init__(self, message: str, text: str, offset: int):
        breaks = list(_LINE_BREAK.finditer(text, 0, offset))
        self.line = len(breaks) + 1
        self.column = offset - (breaks[-1].end() if breaks else 0) + 1
        super().__init__(f"SGF line {self.line}, column {self.column}: {message}")


@dataclass(slots=True, eq=False)
class Node:
    """One position of a game tree: `properties` maps an identifier to its raw values, in file order."""

    properties: dict[str, list[str]] = field(default_factory=dict)
    children: list["Node"] = field(default_factory=list, repr=False)
    parent: "Node | None" = field(default=None, repr=False)

    def add(self, **properties: str) -> "Node":
        """Appends a child with these simple-text properties and returns it."""
        child = Node(parent=self)
        for name, value in properties.items():
            child.set_text(name, value)
        self.children.append(child)
        return child

    def main_line(self) -> Iterator["Node"]:
        """This node and its first descendants, down to a leaf."""
        node: Node | None = self
        while node is not None:
            yield node
            node = node.children[0] if node.children else None

    def walk(self) -> Iterator["Node"]:
        """This node and all below it, parents first."""
        stack = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(node.children))

    def text(self, name: str, default: str = "") -> str:
        """A Text value, escapes and soft line breaks resolved."""
        values = self.properties.get(name)
        return unescape(values[0]) if values else default

    def set_text(self, name: str, value: str) -> None:
        self.properties[name] = [escape(value)]

    def number(self, name: str, default: float = 0.0) -> float:
        """A Number or Real value; a broken one counts as absent, as readers of the wild must."""
        try:
            value = float(self.text(name).strip().replace(",", "."))
        except ValueError:
            return default
        return value if math.isfinite(value) else default

    def move(self) -> tuple[str, str] | None:
        """`("B" | "W", raw point)` of a move node, None elsewhere."""
        for colour in "BW":
            if colour in self.properties:
                return colour, unescape(self.properties[colour][0]).strip()
        return None

    def points(self, name: str) -> list[str]:
        """A list of points such as AB, with compressed rectangles (`aa:cc`) spelt out."""
        return [point for value in self.properties.get(name, []) for point in _rectangle(value.strip())]

    def board_size(self) -> tuple[int, int]:
        """`(columns, rows)` from SZ, `SZ[9]` or `SZ[9:13]`; the default of the game when absent."""
        value = self.text("SZ").strip()
        match = re.fullmatch(r"(\d{1,3})(?:\s*:\s*(\d{1,3}))?", value)
        if match:
            return int(match[1]), int(match[2] or match[1])
        if value:
            raise UserError(f"SGF: SZ[{value[:20]}] is no board size; write SZ[9] or SZ[9:13]")
        side = {1: 19, 2: 8, 4: 15, 11: 11}.get(int(self.number("GM", 1)), 19)
        return side, side


def escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("]", "\\]")


def unescape(raw: str) -> str:
    """Text as FF[4] means it: `\\` before a line break joins lines, before anything else quotes it."""
    text = _ESCAPE.sub(lambda m: "" if m[1][0] in "\r\n" else m[1], raw)
    return _LINE_BREAK.sub("\n", text).replace("\t", " ").replace("\v", " ")


def _rectangle(value: str) -> Iterable[str]:
    corner = re.fullmatch(r"([a-zA-Z])([a-zA-Z]):([a-zA-Z])([a-zA-Z])", value)
    if not corner:
        return [value]
    left, top, right, bottom = (_LETTERS.index(letter) for letter in corner.groups())
    return [
        _LETTERS[col] + _LETTERS[row]
        for row in range(min(top, bottom), max(top, bottom) + 1)
        for col in range(min(left, right), max(left, right) + 1)
    ]


def point_to_sgf(row: int, col: int) -> str:
    """Row and column, 0 at the top left, as two letters; boards up to 52 x 52."""
    return _LETTERS[col] + _LETTERS[row]


def sgf_to_point(text: str) -> tuple[int, int]:
    """`(row, col)`, 0 at the top left. Raises ValueError when it is no point."""
    if len(text) != 2 or text[0] not in _LETTERS or text[1] not in _LETTERS:
        raise ValueError(f"'{text[:20]}' is no SGF point")
    return _LETTERS.index(text[1]), _LETTERS.index(text[0])


def decode(data: bytes) -> str:
    """Bytes to text: byte order mark, then UTF-8, then the charset that CA names, then Latin-1 (the FF[4] default).

    UTF-8 goes before CA because many programs write UTF-8 whatever CA says, and text in another charset is
    practically never valid UTF-8; a stateful charset (ISO-2022) is ASCII to the eye, so there CA goes first.
    """
    if data.startswith(codecs.BOM_UTF8):
        return data.decode("utf-8-sig", errors="replace")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace")
    named = _CHARSET.search(data[:4096])
    declared = named[1].decode("ascii").lower() if named else "latin-1"
    order = [declared, "utf-8"] if "2022" in declared else ["utf-8", declared]
    for charset in order:
        try:
            if charset not in _NOT_CHARSETS:
                return data.decode(charset)
        except (UnicodeError, LookupError, ValueError):
            continue
    return data.decode("latin-1")


def parse(data: bytes | str) -> list[Node]:
    """The roots of all game trees in a file.

    Text around the trees is skipped (mail headers), lower-case letters in identifiers are dropped (FF[3]), a
    property given twice in a node has its values joined. Raises `SgfError` for anything else.
    """
    text = decode(data) if isinstance(data, bytes) else data
    roots: list[Node] = []
    end = 0
    while start := _TREE_START.search(text, end):
        root, end = _parse_tree(text, start.start())
        roots.append(root)
    if not roots:
        raise SgfError("no game tree: one begins with '(;'", text, 0)
    return roots


def _parse_tree(text: str, start: int) -> tuple[Node, int]:
    """The tree whose "(" stands at `start`, and the offset behind its ")"."""
    above = Node()  # the root becomes its only child
    node = above
    open_trees: list[tuple[int, Node]] = []  # where each "(" stands, and the node it hangs on
    values: list[str] | None = None  # of the property being read
    at = start
    while match := _TOKEN.match(text, at):
        mark, name, value = match.groups()
        if values == [] and value is None and (mark or name):
            raise SgfError("a property without a value before this", text, at)
        if mark == "(":
            if open_trees and open_trees[-1][1] is node:
                raise SgfError("a tree must begin with a node, '(;'", text, at)
            open_trees.append((at, node))
        elif mark == ")":
            _, parent = open_trees.pop()
            if node is parent:
                raise SgfError("an empty tree", text, at)
            node = parent
            if not open_trees:
                root = above.children[0]
                root.parent = None
                return root, match.end()
        elif mark == ";":
            node.children.append(Node(parent=node))
            node = node.children[-1]
        elif name:
            identifier = "".join(filter(str.isupper, name))
            if not identifier or node is open_trees[-1][1]:
                raise SgfError(f"'{name[:20]}' is no property of a node", text, at)
            values = node.properties.setdefault(identifier, [])
        elif value is not None:
            if values is None:
                raise SgfError("a value without a property", text, at)
            values.append(value)
        if mark:
            values = None
        at = match.end()
    if at == len(text):
        raise SgfError("this tree is never closed with ')'", text, open_trees[-1][0])
    what = "this value is never closed with ']'" if text[at] == "[" else f"unexpected {text[at]!r}"
    raise SgfError(what, text, at)


def serialise(roots: Node | Iterable[Node]) -> str:
    """Game trees as FF[4] text; write it in UTF-8 (say CA[UTF-8] in the root, as `new_root` does)."""
    parts: list[str] = []
    for root in [roots] if isinstance(roots, Node) else roots:
        stack: list[Node | str] = [")\n", root]
        parts.append("(")
        while stack:
            item = stack.pop()
            if isinstance(item, str):
                parts.append(item)
                continue
            parts.append(";" + "".join(name + "".join(f"[{value}]" for value in values)
                                       for name, values in item.properties.items() if values))
            if len(item.children) == 1:
                stack.append(item.children[0])
            else:
                for child in reversed(item.children):
                    stack.extend((")", child, "\n("))
    return "".join(parts)


def new_root(game_number: int, cols: int, rows: int, **texts: str) -> Node:
    """A root node for a game: `new_root(1, 9, 9, PB="Zero", KM="7.5")`."""
    size = str(cols) if cols == rows else f"{cols}:{rows}"
    root = Node()
    head = {"FF": "4", "CA": "UTF-8", "GM": str(game_number), "SZ": size, "AP": "Zero"}
    for name, value in {**head, **texts}.items():
        root.set_text(name, value)
    return root

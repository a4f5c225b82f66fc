"""The game as the window knows it: a tree of positions with variations, and the place in it. No pixels here."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from gui.analysis import Analysis
from gui.geometry import Square, action_map
from gui.looks import family
from gui.score import Score, go_score
from mcts_ext.games import make
from mcts_ext.state import State
from zero.protocols.game_sgf import set_up

HUMAN = "human"
_STRENGTH = re.compile(r"[?&](sims|temperature)=(\d+(?:\.\d+)?)")
_COUNTED = re.compile(r"(?:mcts|uniform):(\d+)")


@dataclass(frozen=True)
class Side:
    """Who plays a colour: `human` or a player's line of text, with its strength."""

    player: str = HUMAN
    sims: int = 200
    seconds: float = 0.0  # per move; 0: strength by simulations
    temperature: float = 0.0  # 0: the best move; above: moves drawn by visits ** (1 / temperature)

    @classmethod
    def of(cls, line: str) -> "Side":
        """The side of a player's line, with the strength that the line names: `mcts:1000`, `runs/c4?sims=50`."""
        named = dict(_STRENGTH.findall(line))
        counted = _COUNTED.match(line)
        sims = named.get("sims") or (counted[1] if counted else cls.sims)
        return cls(line, int(sims), temperature=float(named.get("temperature", 0)))

    @property
    def human(self) -> bool:
        return self.player == HUMAN


@dataclass(frozen=True)
class Setup:
    """Everything that is agreed before the first move."""

    game: str = "connect4"
    sides: tuple[Side, Side] = (Side(), Side())
    komi: float | None = None  # None: the game's own
    handicap: int = 0
    minutes: float = 0.0  # per side; 0: no clock
    increment: float = 0.0  # seconds added per move
    rules: tuple[tuple[str, object], ...] = ()  # settings of the game besides komi, (name, value)
    black: tuple[str, ...] = ()  # stones set up before the first move (Go)
    white: tuple[str, ...] = ()
    white_first: bool = False

    @property
    def settings(self) -> dict[str, object]:
        """What makes the game from its name, and what a request of the analysis protocol says besides."""
        return dict(self.rules) | ({} if self.komi is None else {"komi": self.komi})

    @property
    def stones(self) -> dict[str, object]:
        """The stones set up, as a request of the analysis protocol tells them; {} where there are none."""
        if not (self.black or self.white):
            return {}
        return {"black": list(self.black), "white": list(self.white), "to_move": ("black", "white")[self.white_first]}


@dataclass(eq=False)
class Node:
    """A position and the move that led to it."""

    state: State
    action: int | None = None
    text: str = ""
    parent: "Node | None" = None
    children: list["Node"] = field(default_factory=list)
    comment: str = ""
    analysis: Analysis | None = None
    ending: str = ""  # "resign" or "time": the side to move here lost so
    swapped: bool = False  # the first player plays the second colour (Gomoku's swap2)

    def colour(self, side: int) -> int:
        """1 or 2: which colour a side plays here."""
        return 2 - side if self.swapped else side + 1

    def colours(self) -> np.ndarray:
        """[rows, cols]: 0 empty, 1 the first colour, 2 the second, as they are drawn."""
        stones = self.state.stones()
        return np.choose(stones, (0, 2, 1)) if self.swapped else stones

    @property
    def ply(self) -> int:
        return sum(1 for _ in self.line()) - 1

    def line(self) -> Iterator["Node"]:
        """This node and those above it, up to the root."""
        node = self
        while node is not None:
            yield node
            node = node.parent

    def path(self) -> list["Node"]:
        """From the root to this node."""
        return list(self.line())[::-1]

    def main_line(self) -> list["Node"]:
        """From the root through this node to the end of its first variation."""
        nodes = self.path()
        while nodes[-1].children:
            nodes.append(nodes[-1].children[0])
        return nodes

    def moves(self) -> list[str]:
        return [node.text for node in self.path()[1:]]


class Illegal(ValueError):
    """A move that cannot be played; the argument is the key of the reason in the string table."""


class Match:
    """A game under way. `generation` rises whenever the present position changes: answers from before are stale."""

    def __init__(self, setup: Setup):
        self.setup = setup
        self.game = make(setup.game, **setup.settings)
        self.actions = action_map(self.game)
        self.root = Node(self._start())
        self.node = self.root
        self.generation = 0
        self.live = True  # engines answer; off while looking around in the tree
        self.preferred: dict[Node, Node] = {}  # the variation last visited below a node
        self.sounds: list[str] = []
        self._place_handicap()

    # -- reading ---------------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        return self.node.state

    @property
    def over(self) -> bool:
        return self.state.terminal or bool(self.node.ending)

    @property
    def side(self) -> Side:
        """Who is to move."""
        return self.setup.sides[self.state.to_move]

    @property
    def engine_to_move(self) -> bool:
        return self.live and not self.over and not self.side.human

    def winner(self) -> int | None:
        """0 or 1, or None for a draw. Only when `over`."""
        mover = self.state.to_move
        if self.node.ending:
            return 1 - mover
        outcome = self.state.outcome()
        return None if outcome == 0 else mover if outcome > 0 else 1 - mover

    def komi(self) -> float | None:
        """Points that White gets, None where the game has no such thing."""
        return float(self.game.komi) if family(self.setup.game) == "go" else None

    def score(self) -> Score | None:
        """Area score as if both passed now (Go), None elsewhere. White's points include those that the rules give him
        for handicap stones."""
        komi, state = self.komi(), self.state.copy()
        if komi is None:
            return None
        while not state.terminal:
            state.play(self.actions.named["pass"])
        score = go_score(state.stones(), komi)
        lead = state.score() if state.to_move == 0 else -state.score()
        return replace(score, white=score.white + score.lead - lead, lead=lead)

    def discs(self) -> tuple[int, int] | None:
        """How many each side has, where the majority wins (Othello)."""
        stones = self.state.stones()
        return (int((stones == 1).sum()), int((stones == 2).sum())) if family(self.setup.game) == "othello" else None

    def why_illegal(self, square: Square, origin: Square | None = None) -> str:
        """The key of the reason why a move there is impossible, '' if it is possible."""
        action = self.action_at(square, origin)
        if action is not None and self.state.legal()[action]:
            return ""
        if self.over:
            return "why.over"
        stones = self.state.stones()
        if self.actions.steps:
            if family(self.setup.game) != "breakthrough":
                return "why.rules"
            own = stones[square] == self.state.to_move + 1
            return "why.step" if origin else "why.stuck" if own else "why.not_yours"
        if self.game.geometry == "drop":
            return "why.column_full"
        if stones[square]:
            return "why.occupied"
        kind = family(self.setup.game)
        if kind == "go":
            return "why.suicide" if is_suicide(stones, square, self.state.to_move + 1) else "why.ko"
        return "why.flips_nothing" if kind == "othello" else "why.rules"

    def action_at(self, square: Square, origin: Square | None = None) -> int | None:
        """The action that a square stands for, or that two squares do (in either order where only one is legal)."""
        if origin is None:
            return self.actions.place.get(square)
        forth, back = (self.actions.steps.get(pair) for pair in ((origin, square), (square, origin)))
        return back if back is not None and self.state.legal()[back] else forth

    def stone_colour(self, before: Node, action: int) -> int:
        """1 or 2: the colour of the piece that an action brings. In swap2's opening both come from one hand."""
        squares = self.actions.squares(action)
        if not (squares and self.takes_colours):
            return before.colour(before.state.to_move)
        after = before.state.copy()
        after.play(action)
        return Node(after, swapped=before.swapped).colours()[squares[0]]

    @property
    def takes_colours(self) -> bool:
        """Whether the players agree during the opening who has which colour."""
        return dict(self.setup.rules).get("opening") == "swap2"

    def choices(self) -> list[str]:
        """The legal moves that are no place on the board, in their order."""
        legal = self.state.legal()
        return [text for text, action in self.actions.named.items() if legal[action]]

    # -- playing ---------------------------------------------------------------------------------------------------

    def play(self, action: int) -> Node:
        """Plays at the present position: on into an existing variation, or a new one. Raises Illegal."""
        if self.over:
            raise Illegal("why.over")
        if not self.state.legal()[action]:
            squares = self.actions.squares(action)
            raise Illegal(self.why_illegal(squares[-1], squares[0] if len(squares) > 1 else None) if squares
                          else "why.rules")
        node = next((child for child in self.node.children if child.action == action), None)
        if node is None:
            node = self._grow(action)
        self._moved(node)
        self.live = True
        before, after = node.parent.state.stones(), node.state.stones()
        captured = ((before != 0) & (after == 0)).sum() > (1 if self.actions.steps else 0)
        self.sounds.append("end" if node.state.terminal else "capture" if captured else "stone")
        return node

    def play_text(self, text: str) -> Node:
        """Plays a typed move. Raises Illegal, or ValueError where the text is no move."""
        return self.play(self.game.text_to_action(text.strip()))

    def resign(self, ending: str = "resign") -> None:
        """The side to move gives up (`time`: its flag fell)."""
        if not self.over:
            self.node.ending = ending
            self.generation += 1
            self.sounds.append("end")

    # -- moving about ----------------------------------------------------------------------------------------------

    def undo(self) -> None:
        """Takes back to the last decision of a human: one ply, or two against an engine."""
        node = self.node
        if node.ending:
            node.ending = ""
            self._moved(node)
            return
        node = node.parent or node
        while node.parent and not self.setup.sides[node.state.to_move].human and self._any_human():
            node = node.parent
        self.go(node)

    def redo(self) -> None:
        """The opposite of `undo`, along the variation last visited."""
        node = self._next(self.node)
        while node and self._next(node) and not self.setup.sides[node.state.to_move].human and self._any_human():
            node = self._next(node)
        if node:
            self.go(node)

    def go(self, node: Node) -> None:
        """Looks at another position; engines rest until a move is played."""
        if node is not self.node:
            self._moved(node)
            self.live = False

    def step(self, plies: int) -> None:
        """Forward or back along the present line."""
        node = self.node
        for _ in range(abs(plies)):
            node = (self._next(node) if plies > 0 else node.parent) or node
        self.go(node)

    def switch_variation(self, by: int) -> None:
        """To a sibling of the present move."""
        if self.node.parent:
            siblings = self.node.parent.children
            self.go(siblings[(siblings.index(self.node) + by) % len(siblings)])

    def resume(self) -> None:
        """Lets the engines go on from here."""
        self.live = True
        self.generation += 1

    def delete_variation(self) -> None:
        """Removes the present move and all that follows."""
        node, parent = self.node, self.node.parent
        if parent:
            parent.children.remove(node)
            self.preferred.pop(parent, None)
            self.go(parent)

    def with_sides(self, sides: tuple[Side, Side]) -> None:
        """Other players from here on."""
        self.setup = Setup(**{**vars(self.setup), "sides": sides})
        self.generation += 1

    # -- inside ----------------------------------------------------------------------------------------------------

    def _any_human(self) -> bool:
        return any(side.human for side in self.setup.sides)

    def _next(self, node: Node) -> Node | None:
        preferred = self.preferred.get(node)
        return preferred if preferred in node.children else node.children[0] if node.children else None

    def _grow(self, action: int) -> Node:
        state = self.state.copy()
        state.play(action)
        text = self.game.action_to_text(action)
        node = Node(state, action, text, self.node, swapped=self.node.swapped)
        if self.takes_colours and text in ("black", "white"):
            node.swapped = (text == "black") == (self.state.to_move == 1)
        self.node.children.append(node)
        return node

    def _moved(self, node: Node) -> None:
        self.node = node
        self.generation += 1
        for below in node.line():
            if below.parent:
                self.preferred[below.parent] = below

    def _start(self) -> State:
        """The position before the first move. Raises ValueError for stones that cannot be set up."""
        setup, game = self.setup, self.game
        if not setup.stones:
            return game.new_state()
        sides = [[game.text_to_action(text) for text in side] for side in (setup.black, setup.white)]
        return set_up(game, *sides, to_move=int(setup.white_first))

    def _place_handicap(self) -> None:
        """Black's handicap stones, White passing between them: the protocol knows moves only."""
        if not self.setup.handicap:
            return
        for number, action in enumerate(self.game.handicap_points(self.setup.handicap)):
            if number:
                self.play(self.actions.named["pass"])
            self.play(action)
        self.sounds.clear()


def is_suicide(stones, square: Square, mover: int) -> bool:
    """Whether a stone of `mover` (1 or 2) at an empty point would be left without a liberty and capture nothing."""
    board = stones.copy()
    board[square] = mover
    return not _liberties(board, square) and all(
        board[n] != 3 - mover or _liberties(board, n) for n in _neighbours(board, square))


def _neighbours(board, square: Square) -> list[Square]:
    row, col = square
    return [(r, c) for r, c in ((row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1))
            if 0 <= r < board.shape[0] and 0 <= c < board.shape[1]]


def _liberties(board, square: Square) -> bool:
    """Whether the chain at a square touches an empty point."""
    seen, todo = {square}, [square]
    while todo:
        for n in _neighbours(board, todo.pop()):
            if not board[n]:
                return True
            if board[n] == board[square] and n not in seen:
                seen.add(n)
                todo.append(n)
    return False

"""One simulation of the tree search in slow motion, for teaching.

A small PUCT search whose every prior and value is the engine's own answer for that position (`sims` 0), so the tree is
a real one; only its pace is ours. Silver et al., "Mastering the game of Go without human knowledge" (2017), Methods.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from gui.analysis import Analysis
from mcts_ext.state import State

C_PUCT = 1.5
PHASES = ("selection", "expansion", "evaluation", "backpropagation")

Evaluate = Callable[[list[str], Callable[[Analysis], None]], None]


@dataclass(eq=False)
class TreeNode:
    """`total` sums the values of the simulations through here, seen by the player who moved here."""

    state: State
    move: str = ""
    prior: float = 1.0
    parent: "TreeNode | None" = None
    children: list["TreeNode"] = field(default_factory=list)
    visits: int = 0
    total: float = 0.0

    @property
    def q(self) -> float:
        """Mean value as the parent reads it; 0 before the first visit."""
        return self.total / self.visits if self.visits else 0.0

    @property
    def u(self) -> float:
        """The exploration bonus of equation U(s, a) = c P(s, a) sqrt(N(s)) / (1 + N(s, a))."""
        return C_PUCT * self.prior * math.sqrt(max(1, self.parent.visits)) / (1 + self.visits)

    def moves(self) -> list[str]:
        """From the root of this search, which has no move."""
        return self.parent.moves() + [self.move] if self.parent else []


@dataclass(frozen=True)
class Step:
    """What one step did: its phase, the node it happened at, a key of the string table and its arguments."""

    phase: str
    node: TreeNode
    key: str
    args: dict


class Simulation:
    """Advances step by step. While `waiting`, the engine is being asked and `advance` does nothing."""

    def __init__(self, state: State, evaluate: Evaluate):
        self.root = TreeNode(state.copy())
        self.evaluate = evaluate
        self.count = 0
        self.step: Step | None = None
        self.waiting = False
        self._answer: Analysis | None = None
        self._steps = self._run()

    def advance(self) -> Step | None:
        """The next step, or None while the engine is being asked or the game is over at the root."""
        if self.waiting or self.root.state.terminal:
            return None
        step = next(self._steps)
        self.step = step or self.step
        return step

    def _run(self) -> Iterator[Step | None]:
        """Endless; yields None where the engine must answer first."""
        yield from self._ask(self.root)
        self._expand(self.root, self._answer)
        self.root.visits = 1
        while True:
            self.count += 1
            node = self.root
            while node.children:
                node = max(node.children, key=lambda child: (child.q + child.u, child.prior))
                yield Step("selection", node, "sim.select_text", {"move": node.move, "q": node.q, "u": node.u})
            if node.state.terminal:
                value = float(node.state.outcome())
                yield Step("expansion", node, "sim.terminal_text", {"move": node.move})
                yield Step("evaluation", node, "sim.exact_text", {"value": value})
            else:
                yield from self._ask(node)
                value = self._answer.value
                self._expand(node, self._answer)
                yield Step("expansion", node, "sim.expand_text", {"move": node.move, "n": len(node.children)})
                yield Step("evaluation", node, "sim.evaluate_text", {"value": value})
            yield from self._back_up(node, value)

    def _ask(self, node: TreeNode) -> Iterator[None]:
        self.waiting = True
        self.evaluate(node.moves(), self._answered)
        while self.waiting:
            yield None

    def _answered(self, analysis: Analysis) -> None:
        self._answer, self.waiting = analysis, False

    def _expand(self, node: TreeNode, analysis: Analysis) -> None:
        game = node.state.game
        for action in node.state.legal_actions():
            text = game.action_to_text(action)
            state = node.state.copy()
            state.play(action)
            node.children.append(TreeNode(state, text, analysis.policy.get(text, 0.0), node))

    def _back_up(self, node: TreeNode, value: float) -> Iterator[Step]:
        """`value` is seen by the player to move at the leaf; each node keeps it as its parent's mover sees it."""
        leaf_mover = node.state.to_move
        while node is not None:
            node.visits += 1
            if node.parent:
                node.total += value if node.parent.state.to_move == leaf_mover else -value
                yield Step("backpropagation", node, "sim.backup_text",
                           {"move": node.move, "visits": node.visits, "q": node.q})
            node = node.parent

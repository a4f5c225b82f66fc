"""A game judged move by move: what the position was worth, what the move lost, what would have been better."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mcts_ext.options import SearchOptions
from mcts_ext.search import Search
from mcts_ext.state import State
from zero.protocols.thinking import read_thoughts

MISTAKE = 0.1  # of the win rate (0..1), from here on a move is marked
BLUNDER = 0.25
_MOST_SLOTS = 64  # positions searched in one batch


@dataclass(frozen=True)
class MoveReview:
    """Move `number` (from 1). Win rates in [0, 1] are the mover's, before the move and after it.

    `loss` is what the move cost against `best`, 0 for the best itself; `line` begins with `best`.
    """

    number: int
    mover: int
    action: int
    win_rate: float
    win_rate_after: float
    best: int
    line: tuple[int, ...]
    visits: int

    @property
    def loss(self) -> float:
        return 0.0 if self.action == self.best else max(0.0, self.win_rate - self.win_rate_after)

    @property
    def kind(self) -> str:
        return "blunder" if self.loss >= BLUNDER else "mistake" if self.loss >= MISTAKE else ""


def review_game(start: State, actions: Sequence[int], options: SearchOptions, evaluate: Callable | str, sims: int,
                threads: int = 1) -> list[MoveReview]:
    """Judges every move by a search of `sims` simulations before it and after it; all positions share batches.

    Raises ValueError when a move is illegal.
    """
    states = [start.copy()]
    for action in actions:
        after = states[-1].copy()
        after.play(action)
        states.append(after)
    search = Search(start.game, min(_MOST_SLOTS, len(states)), options, seed=1, threads=threads)
    thoughts = []
    for first in range(0, len(states), search.n):
        part = states[first:first + search.n]
        for slot, state in enumerate(part):
            search.reset(slot, state, seed=first + slot)
            search.start(slot, sims, noise=False)
        search.run(evaluate)
        thoughts += [None if state.terminal else read_thoughts(search, slot) for slot, state in enumerate(part)]

    def value(k: int) -> float:
        """Of position k, the mover's: what its best move is worth."""
        return states[k].outcome() if thoughts[k] is None else thoughts[k].moves[0].value

    reviews = []
    for k, action in enumerate(actions):
        same_mover = not states[k + 1].terminal and states[k + 1].to_move == states[k].to_move
        after = value(k + 1) if same_mover else -value(k + 1)
        best = thoughts[k]
        reviews.append(MoveReview(k + 1, states[k].to_move, action, (1 + value(k)) / 2, (1 + after) / 2, best.best,
                                  best.moves[0].pv, best.visits))
    return reviews


def worst_first(reviews: Sequence[MoveReview]) -> list[MoveReview]:
    """The marked moves, the costliest first."""
    return sorted((review for review in reviews if review.kind), key=lambda review: -review.loss)

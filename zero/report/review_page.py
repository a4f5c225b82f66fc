"""A reviewed game as SGF comments and as an HTML page."""

from collections.abc import Sequence

from mcts_ext.state import State
from zero.arena.review import MoveReview, worst_first
from zero.protocols.game_sgf import move_to_sgf
from zero.protocols.sgf import Node
from zero.report.boards import SCRIPT, frames, viewer
from zero.report.page import Series, chart, escape, page, table

_SHOWN = 6  # boards of the worst moves


def _text(state: State, review: MoveReview) -> str:
    """One line about a move."""
    words = state.game.action_to_text
    line = f"win rate {100 * review.win_rate:.1f} %"
    if review.action == review.best:
        return f"{line}, the best move"
    better = " ".join(words(action) for action in review.line[:6])
    mark = f"{review.kind}: " if review.kind else ""
    return f"{mark}{line}, the move lost {100 * review.loss:.1f} points; better {better}"


def annotate(root: Node, start: State, reviews: Sequence[MoveReview]) -> None:
    """Adds comments, V (value) and bad-move marks to the main line, and the better line as a variation."""
    nodes = [node for node in root.main_line() if node.move() is not None]
    state = start.copy()
    shown = iter(nodes)
    node = next(shown, None)
    for review in reviews:
        value = move_to_sgf(state.game, review.action)
        if node is not None and node.move() == ("BW"[review.mover], node.move()[1]) and _same(node, value):
            _comment(node, state, review)
            node = next(shown, None)
        state.play(review.action)


def _same(node: Node, value: str) -> bool:
    """Whether the node's move is this one; passes may be written `tt`, Othello's moves as `d3`."""
    written = node.move()[1]
    return written == value or {written, value} == {"", "tt"} or len(written) == 2 and written[1:].isdigit()


def _comment(node: Node, state: State, review: MoveReview) -> None:
    old = node.text("C")
    node.set_text("C", (old + "\n\n" if old else "") + _text(state, review))
    black = review.win_rate_after if review.mover == 0 else 1 - review.win_rate_after
    node.set_text("V", f"{2 * black - 1:.3f}")
    if not review.kind or node.parent is None:
        return
    node.set_text("BM", "2" if review.kind == "blunder" else "1")
    at, here = node.parent, state.copy()
    for action in review.line[:8]:
        at = at.add(**{"BW"[here.to_move]: move_to_sgf(here.game, action)})
        here.play(action)


def review_html(title: str, start: State, reviews: Sequence[MoveReview]) -> str:
    """The page: win-rate curve, ranking of mistakes, boards of the worst, the game to step through."""
    game, state = start.game, start.copy()
    notes, before = [], []
    for review in reviews:
        notes.append(_text(state, review))
        before.append(state.copy())
        state.play(review.action)
    numbers = [review.number for review in reviews]
    first = [100 * (review.win_rate_after if review.mover == 0 else 1 - review.win_rate_after) for review in reviews]
    worst = worst_first(reviews)
    rows = [(review.number, ("first", "second")[review.mover], game.action_to_text(review.action),
             f"{100 * review.loss:.1f}", review.kind, " ".join(map(game.action_to_text, review.line[:6])))
            for review in worst]
    actions = [review.action for review in reviews]
    whole = frames(start, actions, notes)
    boards = [viewer(game, whole[:review.number + 1] + _better(before[review.number - 1], review),
                     f"move {review.number}: {review.kind}, then what was better", start=review.number)
              for review in worst[:_SHOWN]]
    ranking = table(("move", "player", "played", "lost (points of %)", "", "better"), rows)
    curve = chart("Win rate of the first player (%)", [Series("", numbers, first)], "move", (0, 100))
    body = (f"<h1>{escape(title)}</h1><p>{len(reviews)} moves, {len(worst)} marked.</p>"
            f'<div class="grid">{curve}{viewer(game, whole, "the game")}</div><h2>Mistakes</h2>'
            + (ranking if rows else "<p>none</p>") + f'<div class="grid">{"".join(boards)}</div>')
    return page(title, body, SCRIPT)


def _better(state: State, review: MoveReview):
    """The positions of the better line, from the position before the move."""
    return [frame for frame in frames(state, review.line[:8]) if frame.note != "start"]

"""Moves as GTP writes them, for every game: what both ends of a GTP connection agree on.

A point is a vertex: a column letter without I, and the game's own row number. A move over two points is two vertices
(`A2B3`), a drop into a column the vertex of its lowest point (`D1`; any row of the column is understood), and words
(`pass`, `swap`, `black`) and numbers are themselves.
"""

import re

from mcts_ext.notation import CELL_LETTERS, GTP_LETTERS, parse_gtp_vertex
from mcts_ext.state import Game

_CELLS = re.compile(r"(?:[a-z]\d+)+")
_POINT = re.compile(r"[A-Z]\d+")


def to_vertex(game: Game, action: int) -> str:
    if game.geometry == "drop":
        return f"{GTP_LETTERS[action]}1"
    text = game.action_to_text(action)
    if game.geometry == "points" or not _CELLS.fullmatch(text):
        return text
    return re.sub("[a-z]", lambda letter: GTP_LETTERS[CELL_LETTERS.index(letter[0])], text)


def to_action(game: Game, vertex: str) -> int:
    """The inverse, in upper or lower case. Raises ValueError if it is no move of the game."""
    if game.geometry == "drop":
        point = parse_gtp_vertex(vertex, game.rows, game.cols)
        if point is None:
            raise ValueError(f"{game.name}: {vertex!r} is not a move; moves are A1 to {GTP_LETTERS[game.cols - 1]}1")
        return point % game.cols
    text = vertex.strip().lower()
    if game.geometry != "points" and _CELLS.fullmatch(text):
        if "i" in text:
            raise ValueError(f"{game.name}: {vertex!r}: there is no column I")
        text = re.sub("[a-z]", lambda letter: CELL_LETTERS[GTP_LETTERS.index(letter[0].upper())], text)
    return game.text_to_action(text)


def moves_are_points(game: Game) -> bool:
    """Whether action `row * cols + col` plays on that point, as in Go; further actions are words."""
    return game.num_actions >= game.rows * game.cols and bool(_POINT.fullmatch(to_vertex(game, 0)))

"""Games by name, with an answer for people when there is none."""

import difflib

from mcts_ext import games
from mcts_ext.state import Game
from zero.errors import UserError


def make_game(name: str, **settings) -> Game:
    """The game of that name, with settings such as `komi`. Raises `UserError` with the nearest name there is."""
    try:
        return games.make(name, **settings)
    except (KeyError, ValueError) as error:
        known = list(games.names())
        close = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(known)}"
        detail = f" ({error.args[0]})" if isinstance(error, ValueError) and error.args else ""
        raise UserError(f"unknown game '{name}'{detail}; {hint}") from None


def counts_points(game: Game) -> bool:
    """Whether the end of a game is counted point by point, so that there is something to own."""
    state = game.new_state()
    state.playout(1)
    try:
        state.ownership()
    except ValueError:
        return False
    return True

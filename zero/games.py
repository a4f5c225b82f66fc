"""Games by name, with an answer for people when there is none."""

from mcts_ext import games
from mcts_ext.state import Game
from zero.errors import UserError


def make_game(text: str, **settings) -> Game:
    """The game of a line such as `go9` or `go9?komi=6.5`. Raises `UserError` with what there is instead."""
    try:
        return games.make(text, **settings)
    except ValueError as error:
        raise UserError(str(error)) from None


def counts_points(game: Game) -> bool:
    """Whether the end of a game is counted point by point, so that there is something to own."""
    state = game.new_state()
    state.playout(1)
    try:
        state.ownership()
    except ValueError:
        return False
    return True


def other_actions(game: Game) -> int:
    """Actions besides one for each point, such as a pass; they are numbered last."""
    return game.num_actions - game.rows * game.cols

"""The games of a run: its own, and other sizes of it that the same network plays (`selfplay.sizes`)."""

import numpy as np

from mcts_ext import games
from mcts_ext.state import Game
from zero.config import Config
from zero.errors import UserError
from zero.games import make_game, other_actions


class Sizes:
    """`own`, the game of a run, and `others`, the sizes of it that are played besides.

    A game's seed says which of them it is, so that nothing needs to be stored. Raises `UserError` if there is no such
    size, or if its positions are not those of the run's own game on another board.
    """

    def __init__(self, config: Config):
        self.own = make_game(config.game)
        shares = {resized(self.own, size): share for size, share in config.selfplay.sizes.items() if share}
        self.others, self._shares = tuple(shares), tuple(shares.values())

    @property
    def games(self) -> tuple[Game, ...]:
        return (self.own, *self.others)

    def game(self, seed: int) -> Game:
        """The one that the game of that seed is."""
        if not self.others:
            return self.own
        drawn = np.random.default_rng([seed, 2]).random()
        for game, share in zip(self.others, self._shares, strict=True):
            drawn -= share
            if drawn < 0:
                return game
        return self.own


def resized(game: Game, size: str) -> Game:
    """`game` on a board of another size: "7", "9x13", or with other rules "7?komi=9". Raises `UserError`."""
    family = games.family(game.name)
    size, _, rules = size.partition("?")
    settings = "&".join(filter(None, (game.full_name.partition("?")[2], rules)))
    try:
        other = games.make(f"{family}{size}?{settings}")
    except ValueError as error:
        raise UserError(f"selfplay.sizes: {error}") from None
    if other is game:
        raise UserError(f"selfplay.sizes: {size} is the size of {game.name} itself")
    same = games.family(other.name) == family and other.planes == game.planes
    if not (same and other_actions(other) == other_actions(game)):
        raise UserError(f"selfplay.sizes: {other.full_name} has other planes or moves than {game.full_name}")
    return other

"""When self-play gives a game up, and how often that would be wrong (Silver et al. 2017, Methods, "Self-play").

A share of the games is played to its end. They say which threshold keeps false resignations rare; the threshold
travels with the network that plays, so that its games can be played again.
"""

from collections import deque

import numpy as np

from mcts_ext.resign import PlayedOut, Resignation, calibrated, false_resignations
from mcts_ext.state import Game
from zero.config import SelfPlayConfig
from zero.record import GameRecord

NEVER = -1.0
REMEMBERED = 1000  # games played to the end that the threshold is calibrated on
ENOUGH = 100  # before so many are there, nobody resigns


def plays_on(seed: int, config: SelfPlayConfig) -> bool:
    """Whether the game of that seed is played to its end whatever its values are."""
    return np.random.default_rng([seed, 1]).random() < config.resign_play_on


class Calibration:
    """The threshold of a run, from the newest of its games that were played to their end."""

    def __init__(self, config: SelfPlayConfig):
        self.config = config
        self._rule = Resignation(NEVER, config.resign_moves)
        self._games: deque[PlayedOut] = deque(maxlen=REMEMBERED)

    def add(self, record: GameRecord, game: Game) -> None:
        """Remembers the record of a game if it was to be played on; games must come in their order."""
        if not self.config.resign_false_rate or not plays_on(record.seed, self.config):
            return
        state, players = game.new_state(), []
        for move in record.moves:
            players.append(state.to_move)
            state.play(int(move))
        searched = np.flatnonzero(~np.isnan(record.values))
        winner = {1: 0, -1: 1}.get(record.result)
        self._games.append(PlayedOut([players[k] for k in searched], record.values[searched].tolist(), winner))

    def threshold(self) -> float:
        """Below which value a player may resign; NEVER while too little is known."""
        if len(self._games) < ENOUGH:
            return NEVER
        return calibrated(self._rule, self._games, self.config.resign_false_rate).threshold

    def measured(self, threshold: float) -> dict[str, float]:
        """How the threshold would have done in the games played on."""
        if not self._games:
            return {}
        wrong, resigned = false_resignations(Resignation(threshold, self.config.resign_moves), self._games)
        return {"resign_threshold": threshold, "resigned_share": resigned / len(self._games),
                "false_resign_rate": wrong / max(1, resigned)}

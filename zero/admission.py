"""Admission: what a worker sends is checked before it becomes a game of the run.

A worker may be broken in ways that do not stop it: a card that computes NaN, memory that flips bits, other rules. Each
record is therefore played again by the rules and compared with what was asked for.
"""

from collections.abc import Container

import numpy as np

from mcts_ext.positions import replay_game
from mcts_ext.state import State
from zero.config import Config
from zero.record import GameRecord
from zero.selfplay import game_seed
from zero.sizes import Sizes


class Refused(ValueError):
    """A record that is no game of this run; the message says why."""


class Admission:
    """Judges the records of one run. Costs about as much as playing the moves, without search or network."""

    def __init__(self, config: Config):
        self.config, self.sizes = config, Sizes(config)

    def admit(self, payload: bytes, version: int, asked: Container[int]) -> GameRecord:
        """The record in `payload`, if it is a game numbered in `asked` and played by network `version`.

        Raises `Refused`.
        """
        try:
            record = GameRecord.from_bytes(payload)
        except ValueError as error:
            raise Refused(str(error)) from None
        if record.index not in asked:
            raise Refused(f"game {record.index + 1} was not asked for")
        try:
            self._check(record, version)
        except ValueError as error:
            raise Refused(f"game {record.index + 1}: {error}") from None
        return record

    def _check(self, record: GameRecord, version: int) -> None:
        """Raises ValueError."""
        if record.version != version:
            raise ValueError(f"played by network {record.version} instead of {version}")
        if record.seed != game_seed(self.config.seed, record.index):
            raise ValueError("played with another seed")
        game = self.sizes.game(record.seed)
        self._check_values(record)
        self._check_policies(record, game.num_actions)
        if not (record.surprises >= 0).all() or np.isinf(record.surprises).any():
            raise ValueError("a surprise is no number of 0 or more")
        moves, counts, actions = (part.astype(np.uint16) for part in (record.moves, record.counts, record.actions))
        movers, end = replay_game(game, moves, counts, actions)
        self._check_result(record, movers, end)

    def _check_values(self, record: GameRecord) -> None:
        """Only the random moves before the first search lack a value."""
        random_plies = int(np.argmin(np.isnan(record.values))) if len(record.values) else 0
        if len(record.values) and np.isnan(record.values[random_plies]):
            random_plies = len(record.values)
        allowed = self.config.selfplay.random_plies
        if random_plies > allowed or record.counts[:random_plies].any():
            raise ValueError(f"ply {min(random_plies, allowed) + 1}: its value is not a number")
        if not (np.abs(record.values[random_plies:]) <= 1).all():  # NaN fails too
            raise ValueError("a value is no number from -1 to 1")
        proven = np.abs(record.values[record.proven :])
        if not ((proven == 0) | (proven == 1)).all():
            raise ValueError("a proven value is not a result")

    def _check_policies(self, record: GameRecord, num_actions: int) -> None:
        """Each adds up to 1, but for what float16 rounds and the record leaves out."""
        probs = record.probs.astype(np.float32)
        if not ((probs >= 0) & (probs <= 1)).all():  # NaN fails too
            raise ValueError("a policy holds what is no probability")
        plies = np.repeat(np.arange(len(record.counts)), record.counts)
        sums = np.bincount(plies, probs, minlength=len(record.counts))
        left_out = 0.002 + 1e-4 * num_actions
        wrong = (record.counts > 0) & (np.abs(sums - 1) > left_out)
        if wrong.any():
            ply = int(np.argmax(wrong))
            raise ValueError(f"ply {ply + 1}: its policy adds up to {sums[ply]:.3f}")
        if (np.diff(record.actions.astype(np.int32))[np.diff(plies) == 0] <= 0).any():
            raise ValueError("a policy names an action twice")

    def _check_result(self, record: GameRecord, movers: np.ndarray, end: State) -> None:
        """The rules' result; of a game that was ended before, the one that its last search announced."""
        if end.terminal:
            outcome = int(end.outcome()) * (1 if end.to_move == 0 else -1)
            if record.result != outcome:
                raise ValueError(f"its result is {record.result:+d}, by the rules it is {outcome:+d}")
            return
        settings = self.config.selfplay
        if not (settings.end_when_proven or settings.resign_false_rate) or not len(record.values):
            raise ValueError("it ends before it is over")
        announced = np.sign(record.values[-1]) * (1 if movers[-1] == 0 else -1)
        if record.result != announced:
            raise ValueError(f"its result is {record.result:+d}, its last search says {announced:+.0f}")

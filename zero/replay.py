"""The replay window: the positions of recent games, held as moves and rebuilt when sampled.

Nothing dense is kept: a position costs about 30 bytes, its planes are replayed from the moves
(`mcts_ext.positions`), so that the window can be rebuilt from the run's game log alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcts_ext.positions import encode_positions, replay_game
from mcts_ext.state import Game, State
from zero.batch import Batch, joined, symmetric
from zero.config import ReplayConfig
from zero.games import counts_points
from zero.record import GameRecord

FORGET = 1 << 14  # so many positions fall out of the window before they are dropped


class Column:
    """A growing array that may forget its beginning; what is left keeps its numbers."""

    def __init__(self, dtype: str):
        self._data = np.empty(1024, dtype)
        self._first = 0  # number of the first item that is still there
        self.size = 0  # of all items, the forgotten ones too

    def extend(self, values: np.ndarray) -> None:
        used = self.size - self._first
        need = used + len(values)
        if need > len(self._data):
            grown = np.empty(max(need, 2 * len(self._data)), self._data.dtype)
            grown[:used] = self.view
            self._data = grown
        self._data[used:need] = values
        self.size += len(values)

    def forget(self, first: int) -> None:
        """Drops the items before number `first`, and their memory."""
        self._data = self._data[first - self._first : self.size - self._first].copy()
        self._first = first

    def __getitem__(self, at: np.ndarray) -> np.ndarray:
        """The items with these numbers."""
        return self._data[at - self._first]

    @property
    def view(self) -> np.ndarray:
        """All that are left."""
        return self._data[: self.size - self._first]


def window_size(total: int, config: ReplayConfig) -> int:
    """How many of the newest positions the learner samples from, of `total` made so far."""
    low = config.window_min
    if total <= low:
        return total
    power = config.window_power
    grown = (total / low) ** power - 1 if power else np.log(total / low)
    size = low + config.window_scale * low * grown / (power or 1)
    return int(min(total, size, config.window_max))


@dataclass(frozen=True)
class Count:
    """The end of a game as the first player sees it: ownership float16 `[points]` and score, NaN if it was not played
    to its end; signs int8 `[p]`: 1 where the first player is to move, -1 where the second."""

    signs: np.ndarray
    ownership: np.ndarray
    score: float


def final_count(end: State, signs: np.ndarray) -> Count:
    """The count at the end of a game."""
    if not end.terminal:
        return Count(signs, np.full(end.game.rows * end.game.cols, np.nan, np.float16), np.nan)
    owners = end.ownership().ravel()
    ownership = ((owners == 1) - 1.0 * (owners == 2)).astype(np.float16)
    return Count(signs, ownership, end.score() if end.to_move == 0 else -end.score())


def sampling_weights(record: GameRecord, surprise_share: float) -> np.ndarray:
    """How often each ply of a game is drawn, float64 `[p]`: 0 where nothing was found out, 1 on average of the others.

    Nothing is known of a position whose move was drawn at random, unless it is proven: what followed a random move is
    no measure of it. `surprise_share` of the game's weight goes to its plies by their surprises, the rest evenly
    (KataGoMethods.md, "Policy Surprise Weighting").
    """
    known = ~np.isnan(record.values)
    known[record.proven :] = True
    surprises = known * record.surprises.astype(np.float64)
    if not surprises.any():
        return known.astype(np.float64)
    return known * (1 - surprise_share + surprise_share * known.sum() * surprises / surprises.sum())


class Replay:
    """The positions of a run in the order of their games' indices; `add` must follow that order. `others`: sizes of
    the game that the run plays besides.

    What fell out of the window is forgotten now and then, so that memory is bounded by the window: it grows more
    slowly than the run, so that its beginning never comes back.
    """

    def __init__(self, game: Game, config: ReplayConfig, others: Sequence[Game] = ()):
        self.sizes, self.config = (game, *others), config
        self.games = 0
        self._first = 0  # the first position that is not forgotten
        self._moves = Column("u2")
        self._sizes = Column("u1")  # per position: its game's place in `sizes`
        self._starts = Column("i8")  # per position: where its game's moves start
        self._ends = Column("i8")  # per position: where they end
        self._values, self._draws = Column("f4"), Column("f4")  # per position: the value target and its drawn share
        self._policy_at = Column("i8")  # per position: where its policy entries start
        self._counts = Column("u2")
        self._actions, self._probs = Column("u2"), Column("f4")
        self._counts_points = counts_points(game)
        self._counted: dict[int, Count] = {}  # of each game
        self._game_of = Column("i8")  # per position: its game's place in `_counted`
        self._mass = Column("f8")  # per position: the sampling weights of all positions up to and with it
        self._forgotten_mass = 0.0

    @property
    def positions(self) -> int:
        return self._moves.size

    @property
    def window(self) -> int:
        return window_size(self.positions, self.config)

    def add(self, record: GameRecord, game: Game | None = None) -> None:
        """The record of a game of that size; None: the first."""
        game, plies = game or self.sizes[0], len(record.moves)
        movers, end = replay_game(game, record.moves.astype(np.uint16))
        signs = 1 - 2 * movers
        ends = self._actions.size + np.cumsum(record.counts, dtype=np.int64)
        self._starts.extend(np.full(plies, self._moves.size))
        self._ends.extend(np.full(plies, self._moves.size + plies))
        self._policy_at.extend(ends - record.counts)
        values, draws = self._value_targets(record, signs)
        self._values.extend(values)
        self._draws.extend(draws)
        self._moves.extend(record.moves)
        self._sizes.extend(np.full(plies, self.sizes.index(game)))
        self._counts.extend(record.counts)
        self._actions.extend(record.actions)
        self._probs.extend(record.probs)
        if self._counts_points:
            self._counted[self.games] = final_count(end, signs)
            self._game_of.extend(np.full(plies, self.games))
        before = self._mass.view[-1] if self._mass.size else 0.0
        self._mass.extend(before + np.cumsum(sampling_weights(record, self.config.surprise_share)))
        self.games += 1
        self._forget()

    def _forget(self) -> None:
        """Drops games before the window, once there are enough of them to be worth the copying."""
        out = self.positions - self.window - self._first
        if out < max(FORGET, self.window // 4):
            return
        first = self._starts[self._first + out]  # games go as a whole
        if self._counts_points:
            for game in range(int(self._game_of[self._first]), int(self._game_of[first])):
                del self._counted[game]
            self._game_of.forget(first)
        entry, self._forgotten_mass = self._policy_at[first], self._mass[first - 1]
        for column in (self._actions, self._probs):
            column.forget(entry)
        for column in (self._moves, self._sizes, self._starts, self._ends, self._values, self._draws, self._policy_at,
                       self._counts, self._mass):
            column.forget(first)
        self._first = first

    def _value_targets(self, record: GameRecord, signs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`Batch.value` and `Batch.draw` of a game: lambda-returns (Sutton & Barto 2018, section 12.1).

        y(t) = (1 - lambda) v(t) + lambda y(t + 1), v the search's value and y(end) the result: what was found later
        counts for earlier positions, but fades. A position without a search has y(t) = y(t + 1), a proven one its
        value. Here, and only here, a record changes perspective.
        """
        fade = self.config.value_lambda
        target, draw = float(record.result), float(record.result == 0)
        targets, draws = np.empty((2, len(signs)), np.float32)
        values = (signs * record.values.astype(np.float32)).tolist()
        for ply in reversed(range(len(signs))):
            value = values[ply]
            if ply >= record.proven:
                target, draw = value, float(value == 0)
            elif not math.isnan(value):
                target, draw = fade * target + (1 - fade) * value, fade * draw
            targets[ply], draws[ply] = target, draw
        return signs * targets, draws

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """`size` positions drawn from the window by their weights, each in a random symmetry of its game; of a run of
        several sizes on boards as large as the largest, see `zero.batch.joined`."""
        at = self.draw(size, rng)
        if len(self.sizes) == 1:
            return self._sample(self.sizes[0], at, rng)
        sizes = self._sizes[at]
        parts = [(game, self._sample(game, at[sizes == k], rng)) for k, game in enumerate(self.sizes) if k in sizes]
        return joined(parts, max(game.rows for game in self.sizes), max(game.cols for game in self.sizes))

    def draw(self, size: int, rng: np.random.Generator) -> np.ndarray:
        """The numbers of `size` positions of the window, drawn by their weights."""
        first, mass = self.positions - self.window, self._mass
        low = mass[first - 1] if first > self._first else self._forgotten_mass
        drawn = rng.uniform(low, mass[self.positions - 1], size)
        at = self._first + np.searchsorted(mass.view, drawn, side="right")
        return np.minimum(at, self.positions - 1)

    def _sample(self, game: Game, at: np.ndarray, rng: np.random.Generator) -> Batch:
        return symmetric(self.batch(at), game, rng.integers(0, len(game.symmetries), len(at)))

    def batch(self, at: np.ndarray) -> Batch:
        """The positions numbered `at` `[n]`, all of one size, as they were played."""
        game = self.sizes[self._sizes[at[0]]]
        starts = self._starts[at]
        plies = (at - starts).astype(np.int32)
        planes, legal = encode_positions(game, self._moves.view, starts - self._first, plies)
        policy, reply = self._policies(game, at), self._replies(game, at)
        counted = self._final_counts(at) if self._counts_points else (None, None)
        return Batch(planes, legal, policy, self._values[at], self._draws[at], reply, self._moves_left(at), *counted)

    def _policies(self, game: Game, at: np.ndarray) -> np.ndarray:
        """The policy targets `[n, actions]` of the positions numbered `at`."""
        counts = self._counts[at].astype(np.int64)
        rows = np.repeat(np.arange(len(at)), counts)
        entry = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        entry += np.repeat(self._policy_at[at], counts)
        policy = np.zeros((len(at), game.num_actions), np.float32)
        policy[rows, self._actions[entry]] = self._probs[entry]
        sums = policy.sum(axis=1, keepdims=True)
        np.divide(policy, sums, out=policy, where=sums > 0)  # float16 probabilities do not sum to 1 exactly
        return policy

    def _replies(self, game: Game, at: np.ndarray) -> np.ndarray:
        """The policy targets of the positions that follow; zeros behind the last move of a game."""
        follows = at + 1 < self._ends[at]
        policy = self._policies(game, np.where(follows, at + 1, at))
        policy[~follows] = 0
        return policy

    def _moves_left(self, at: np.ndarray) -> np.ndarray:
        return (self._ends[at] - at).astype(np.float32)

    def _final_counts(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`Batch.ownership` and `Batch.score`."""
        counts = [self._counted[game] for game in self._game_of[at]]
        ply = at - self._starts[at]
        signs = np.array([count.signs[k] for count, k in zip(counts, ply, strict=True)], np.float32)
        ownership = np.stack([count.ownership for count in counts]).astype(np.float32)
        return signs[:, None] * ownership, signs * np.array([count.score for count in counts], np.float32)

"""Training samples, also of boards of several sizes at once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mcts_ext.state import Game
from nn.backend import array_module
from nn.tensor import Tensor
from zero.games import other_actions


@dataclass(frozen=True)
class Batch:
    """Training samples, everything seen by the player to move.

    planes float32 `[n, rows, cols, planes]`, legal uint8 `[n, actions]`, policy float32 `[n, actions]` (sums to
    1, or to 0 where the search gave no target), value float32 `[n]`, draw float32 `[n]`: the share of the value
    target that is a drawn result (a search's value says nothing of draws and counts as win against loss).
    For auxiliary heads: reply float32 `[n, actions]`, the policy target of the position after the move played, as its
    own mover numbers the actions; moves_left float32 `[n]`, plies to the end of the game as it was played.
    Of games that are counted point by point: ownership float32 `[n, rows * cols]`, at the end 1 the mover's point, -1
    the opponent's, 0 nobody's, and score float32 `[n]`, the mover's margin; both NaN where the game was not counted.
    mask bool `[n, rows, cols]`: the points that exist where boards of several sizes share the batch (`joined`); None:
    all do.
    """

    planes: np.ndarray
    legal: np.ndarray
    policy: np.ndarray
    value: np.ndarray
    draw: np.ndarray
    reply: np.ndarray
    moves_left: np.ndarray
    ownership: np.ndarray | None = None
    score: np.ndarray | None = None
    mask: np.ndarray | None = None

    def on(self, device: str) -> "Batch":
        """The same samples as arrays of "cpu" or "cuda"."""
        if device == "cpu":
            return self
        return Batch(**{name: None if a is None else Tensor(a, device=device).data for name, a in vars(self).items()})

    def part(self, which: slice) -> "Batch":
        """A copy of some of the samples."""
        return Batch(**{name: None if a is None else np.array(a[which]) for name, a in vars(self).items()})

    @property
    def existing(self) -> np.ndarray | None:
        """The actions that exist, bool `[n, actions]`, legal or not; None: all do."""
        if self.mask is None:
            return None
        xp, (n, rows, cols) = array_module(self.mask), self.mask.shape
        others = xp.ones((n, self.legal.shape[1] - rows * cols), bool)
        return xp.concatenate([self.mask.reshape(n, -1), others], axis=1)


def symmetric(batch: Batch, game: Game, symmetry: np.ndarray) -> Batch:
    """Each sample seen in its own symmetry of the game, by number `[n]`."""
    n = len(symmetry)
    actions, points = (np.stack(perms)[symmetry] for perms in zip(*game.symmetries, strict=True))
    rows = np.arange(n)[:, None]

    def mapped(values: np.ndarray, target: np.ndarray) -> np.ndarray:
        out = np.empty_like(values)
        out[rows, target] = values
        return out

    flat = batch.planes.reshape(n, -1, game.planes)
    return replace(
        batch, planes=mapped(flat, points).reshape(batch.planes.shape), legal=mapped(batch.legal, actions),
        policy=mapped(batch.policy, actions), reply=mapped(batch.reply, actions),
        ownership=None if batch.ownership is None else mapped(batch.ownership, points),
    )  # fmt: skip


def joined(parts: Sequence[tuple[Game, Batch]], rows: int, cols: int) -> Batch:
    """Samples of several sizes of a game as one batch: each board in the upper left corner of `rows` x `cols` points,
    with 0 outside."""
    placed = [_placed(game, batch, rows, cols) for game, batch in parts]
    columns = {name: [getattr(batch, name) for batch in placed] for name in vars(placed[0])}
    return Batch(**{name: None if arrays[0] is None else np.concatenate(arrays) for name, arrays in columns.items()})


def _placed(game: Game, batch: Batch, rows: int, cols: int) -> Batch:
    """The samples on larger boards; points and actions have the numbers that the heads of a size-free network give
    them there (`zero.heads.ConvolutionalPolicyHead`)."""
    n, others = len(batch.value), other_actions(game)
    points = (np.arange(game.rows)[:, None] * cols + np.arange(game.cols)).ravel()
    actions = np.append(points, rows * cols + np.arange(others))

    def on_points(values: np.ndarray) -> np.ndarray:
        out = np.zeros((n, rows * cols, *values.shape[2:]), values.dtype)
        out[:, points] = values
        return out

    def on_actions(values: np.ndarray) -> np.ndarray:
        out = np.zeros((n, rows * cols + others), values.dtype)
        out[:, actions] = values
        return out

    flat = batch.planes.reshape(n, -1, game.planes)
    return replace(
        batch, planes=on_points(flat).reshape(n, rows, cols, -1), legal=on_actions(batch.legal),
        policy=on_actions(batch.policy), reply=on_actions(batch.reply),
        ownership=None if batch.ownership is None else on_points(batch.ownership),
        mask=on_points(np.ones((n, len(points)), bool)).reshape(n, rows, cols),
    )  # fmt: skip

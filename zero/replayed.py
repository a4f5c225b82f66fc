"""A stored game played again from its weights and seed: the proof that a run is what its files say."""

from collections.abc import Sequence

import numpy as np

from mcts_ext.state import Game
from zero.config import Config
from zero.record import GameRecord
from zero.selfplay import SelfPlayWorker
from zero.weights import Weights


def play_again(config: Config, weights: Weights, indices: Sequence[int]) -> dict[int, GameRecord]:
    """The games with these numbers, as network `weights` plays them. Raises UserError if the network does not fit."""
    worker, found = SelfPlayWorker(config), {}
    worker.load(weights)
    report = worker.play(1.0, list(indices))
    while True:
        for payload in report.records:
            record = GameRecord.from_bytes(payload)
            found[record.index] = record
        if not report.unfinished:
            return found
        report = worker.play(1.0, [])


def difference(game: Game, stored: GameRecord, again: GameRecord) -> str | None:
    """Where the second game first departs from the first; None if they are equal in every bit."""
    text = game.action_to_text
    ends = np.cumsum(stored.counts)
    for ply, (move, other) in enumerate(zip(stored.moves.tolist(), again.moves.tolist(), strict=False)):
        if move != other:
            return f"ply {ply + 1}: {text(other)} instead of {text(move)}"
        if stored.values[ply : ply + 1].tobytes() != again.values[ply : ply + 1].tobytes():
            return f"ply {ply + 1}: the search's value is {again.values[ply]:+.4f} instead of {stored.values[ply]:+.4f}"
        policy = slice(ends[ply] - stored.counts[ply], ends[ply])
        if stored.counts[ply] != again.counts[ply] or any(
            getattr(stored, part)[policy].tobytes() != getattr(again, part)[policy].tobytes()
            for part in ("actions", "probs")
        ):
            return f"ply {ply + 1}: the search's policy is another"
        if stored.surprises[ply : ply + 1].tobytes() != again.surprises[ply : ply + 1].tobytes():
            return f"ply {ply + 1}: the network's policy is another"
    if len(stored.moves) != len(again.moves):
        return f"{len(again.moves)} plies instead of {len(stored.moves)}"
    return None if stored.to_bytes() == again.to_bytes() else "the result, seed, network or a surprise is another"

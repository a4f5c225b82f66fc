"""Resignation, and how often it would be wrong (Silver et al. 2017, AlphaGo Zero, Methods, "Self-play")."""
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Resignation:
    """A player resigns when its own last `moves` searches all had a value below `threshold`."""

    threshold: float = -0.9
    moves: int = 3

    def __post_init__(self):
        if not -1 <= self.threshold <= 0:
            raise ValueError(f"resign.threshold = {self.threshold}: must be from -1 to 0")
        if self.moves < 1:
            raise ValueError(f"resign.moves = {self.moves}: must be 1 or more")

    def ply(self, players: Sequence[int], values: Sequence[float]) -> int | None:
        """The ply at which the game would have been resigned, by players[ply]; None if it would not.

        players, values: who searched at each ply, and the value found, seen by that player.
        """
        streak = {}
        for ply, (player, value) in enumerate(zip(players, values, strict=True)):
            streak[player] = streak.get(player, 0) + 1 if value < self.threshold else 0
            if streak[player] >= self.moves:
                return ply
        return None


@dataclass(frozen=True)
class PlayedOut:
    """A game in which resignation was switched off, to measure it."""

    players: Sequence[int]
    values: Sequence[float]
    winner: int | None                   # None: draw


def false_resignations(rule: Resignation, games: Iterable[PlayedOut]) -> tuple[int, int]:
    """(games that the rule would have resigned though their player did not lose, games that it would have resigned)."""
    wrong = resigned = 0
    for game in games:
        ply = rule.ply(game.players, game.values)
        if ply is not None:
            resigned += 1
            wrong += game.winner is None or game.winner == game.players[ply]
    return wrong, resigned


def calibrated(rule: Resignation, games: Sequence[PlayedOut], most_wrong: float = 0.05,
               steps: int = 100) -> Resignation:
    """The rule with the highest threshold whose share of false resignations among the resigned games stays at or below
    `most_wrong`; -1, which never resigns, if there is none."""
    for step in range(steps):
        candidate = Resignation(-step / steps, rule.moves)
        wrong, resigned = false_resignations(candidate, games)
        if resigned and wrong <= most_wrong * resigned:
            return candidate
    return Resignation(-1.0, rule.moves)

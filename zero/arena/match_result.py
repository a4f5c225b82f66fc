"""What comes of a match: whole pairs in schedule order, and what they say."""

from dataclasses import dataclass, field

from mcts_ext.state import Game
from zero.arena.fixtures import BROKEN, PlayedGame
from zero.arena.rating import Estimate, estimate
from zero.arena.sprt import Sprt


def percent(p: float) -> str:
    """A probability for people, who should not read 100 % where it is 99.96 %."""
    return "over 99.9 %" if p > 0.999 else "under 0.1 %" if p < 0.001 else f"{100 * p:.1f} %"


@dataclass
class MatchResult:
    """A match as far as it is counted: whole pairs, in schedule order, whoever finished first.

    Short games end first, so totals in order of arrival would be biased.
    """

    a: str
    b: str
    game: Game
    sprt: Sprt | None = None
    games: list[PlayedGame] = field(default_factory=list)  # counted, in schedule order
    _waiting: dict[int, PlayedGame] = field(default_factory=dict, repr=False)

    def add(self, played: PlayedGame) -> None:
        """Takes a finished game in any order; counts it when its pair and all before are there and undecided."""
        self._waiting[played.number] = played
        while {len(self.games), len(self.games) + 1} <= self._waiting.keys() and self.decision is None:
            number = len(self.games)
            self.games += [self._waiting.pop(number), self._waiting.pop(number + 1)]

    @property
    def pairs(self) -> list[int]:
        """Pentanomial counts of A's points in a pair: 0, 1/2, 1, 3/2, 2."""
        counts = [0] * 5
        for first, second in zip(self.games[::2], self.games[1::2], strict=True):
            counts[round(2 * (first.points + second.points))] += 1
        return counts

    @property
    def wins_draws_losses(self) -> tuple[int, int, int]:
        points = [game.points for game in self.games]
        return points.count(1), points.count(0.5), points.count(0)

    @property
    def points(self) -> float:
        return sum(game.points for game in self.games)

    @property
    def estimate(self) -> Estimate:
        return estimate(self.pairs)

    @property
    def decision(self) -> str | None:
        return self.sprt.decision(self.pairs) if self.sprt else None

    @property
    def duplicates(self) -> int:
        """Games that repeat an earlier one move by move, with the same player first: they prove nothing new."""
        return len(self.games) - len({(game.first, game.moves) for game in self.games})

    @property
    def broken(self) -> list[PlayedGame]:
        return [game for game in self.games if game.ending in BROKEN]

    @property
    def first_player_points(self) -> float:
        return sum(game.points if game.first == 0 else 1 - game.points for game in self.games)

    def verdict(self) -> str:
        """One line: who won, and how sure that is."""
        if not self.games:
            return f"{self.a} against {self.b}: no games"
        win, draw, loss = self.wins_draws_losses
        fit = self.estimate
        if fit.low > 0:
            head = f"{self.a} is stronger than {self.b}"
        elif fit.high < 0:
            head = f"{self.a} is weaker than {self.b}"
        else:
            head = f"{self.a} against {self.b} is undecided"
        return (f"{head}: {self.points:g} of {len(self.games)} points (+{win} ={draw} -{loss}), {fit}, "
                f"likelihood of superiority {percent(fit.los)}")

    def to_json(self) -> dict:
        """Everything a machine wants to know; infinite Elo is null."""
        fit = self.estimate
        finite = {name: value if abs(value) < float("inf") else None for name, value in vars(fit).items()}
        win, draw, loss = self.wins_draws_losses
        summary = {
            "a": self.a, "b": self.b, "game": self.game.full_name, "games": len(self.games), "points": self.points,
            "wins": win, "draws": draw, "losses": loss, "pairs": self.pairs, "elo": finite["elo"],
            "elo_low": finite["low"], "elo_high": finite["high"], "nelo": finite["nelo"],
            "nelo_error": finite["nelo_error"], "los": fit.los, "duplicates": self.duplicates,
            "first_player_points": self.first_player_points, "verdict": self.verdict(),
            "broken": [{"game": game.number, "player": (self.a, self.b)[game.culprit], "kind": game.ending,
                        "detail": game.detail} for game in self.broken],
        }
        if self.sprt:
            summary["sprt"] = {"elo0": self.sprt.elo0, "elo1": self.sprt.elo1, "model": self.sprt.model,
                               "llr": self.sprt.llr(self.pairs), "bounds": self.sprt.bounds, "accepted": self.decision}
        return summary

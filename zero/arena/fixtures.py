"""The schedule of a match and its played games."""

from dataclasses import dataclass

from zero.arena.openings import Opening

BROKEN = ("stall", "crash", "timeout", "illegal move", "protocol error")  # how a player loses without the rules


@dataclass(frozen=True)
class Fixture:
    """Game `number` of a match: 2k and 2k+1 share opening k, player A (0) moves first in the even one."""

    number: int
    opening: Opening

    @property
    def first(self) -> int:
        """The player who moves first: 0 is A, 1 is B."""
        return self.number % 2


@dataclass(frozen=True)
class PlayedGame:
    """`moves` from the start position, opening included; `points` of A: 1, 1/2 or 0.

    `ending`: "rules", "resignation", "stopped" (nothing counts) or one of `BROKEN`, then `culprit` (0 A, 1 B) lost
    by it and `detail` says what happened. `values` are the movers' own, None where a player has none; `seconds`
    the time each player took.
    """

    number: int
    opening: str
    first: int
    moves: tuple[int, ...]
    points: float
    ending: str = "rules"
    culprit: int | None = None
    detail: str = ""
    values: tuple[float | None, ...] = ()
    seconds: tuple[float, float] = (0.0, 0.0)

    @property
    def result(self) -> str:
        """As SGF writes it: B+ the player who moved first won, W+ the other, 0 a draw; +R, +T or +F by the way."""
        if self.points == 0.5:
            return "0"
        winner = "B" if (self.points == 1) == (self.first == 0) else "W"
        return f"{winner}+" + {"rules": "", "resignation": "R", "timeout": "T"}.get(self.ending, "F")


def schedule(openings: list[Opening]) -> list[Fixture]:
    """Two games for every opening, colours swapped."""
    return [Fixture(number, openings[number // 2]) for number in range(2 * len(openings))]

"""Time control: seconds a move, or a main time with an increment."""

from dataclasses import dataclass

from zero.errors import UserError

CLOCK_GRACE_SECONDS = 5.0  # how long after its flag fell a player may still answer before it counts as stalled
_MOVES_TO_GO = 25  # a search with a clock spends this share of what is left on a move


@dataclass(frozen=True)
class TimeControl:
    """`main` + `increment` seconds, or `per_move` alone."""

    main: float = 0.0
    increment: float = 0.0
    per_move: float | None = None

    @staticmethod
    def parse(text: str) -> "TimeControl":
        """`2` is two seconds a move, `60+1` a minute and a second a move. Raises UserError."""
        try:
            numbers = [float(part) for part in text.split("+")]
        except ValueError:
            numbers = []
        if len(numbers) not in (1, 2) or not all(0 <= number < 1e6 for number in numbers) or not sum(numbers):
            raise UserError(f"--time {text}: write seconds a move, as in 2, or main time and increment, as in 60+1")
        if len(numbers) == 1:
            return TimeControl(per_move=numbers[0])
        return TimeControl(main=numbers[0], increment=numbers[1])

    def __str__(self) -> str:
        return f"{self.per_move:g}" if self.per_move is not None else f"{self.main:g}+{self.increment:g}"


class Clock:
    """One player's clock in one game."""

    def __init__(self, control: TimeControl):
        self.control = control
        self.left = control.main

    def allowed(self) -> float:
        """Seconds after which the move comes too late."""
        return self.control.per_move if self.control.per_move is not None else self.left + self.control.increment

    def budget(self) -> float:
        """Seconds a search should spend on the next move."""
        if self.control.per_move is not None:
            return self.control.per_move
        return min(self.left / _MOVES_TO_GO + 0.8 * self.control.increment, 0.9 * self.allowed())

    def spend(self, seconds: float) -> None:
        """Takes a move's time off."""
        self.left = max(0.0, self.left + self.control.increment - seconds)

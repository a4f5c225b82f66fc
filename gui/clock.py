"""Chess clock: main time per side and an increment per move. The time is passed in, never read here."""

from dataclasses import dataclass, field


@dataclass
class Clock:
    """`left` seconds per side; `running`: whose clock runs, None while it is stopped."""

    main: float
    increment: float = 0.0
    left: list[float] = field(default_factory=list)
    running: int | None = None
    since: float = 0.0

    def __post_init__(self):
        self.left = self.left or [self.main, self.main]

    @property
    def used(self) -> bool:
        return self.main > 0

    def remaining(self, side: int, now: float) -> float:
        spent = now - self.since if self.running == side else 0.0
        return max(0.0, self.left[side] - spent)

    def run(self, side: int | None, now: float) -> None:
        """Starts `side`'s clock (None: stops both) and books what the other used."""
        if side == self.running:
            return
        if self.running is not None:
            self.left[self.running] = self.remaining(self.running, now)
            if side is not None:
                self.left[self.running] += self.increment
        self.running, self.since = side, now

    def flag(self, now: float) -> int | None:
        """The side whose time is up."""
        if self.used and self.running is not None and self.remaining(self.running, now) <= 0:
            return self.running
        return None


def show(seconds: float) -> str:
    """`3:07`, and tenths below ten seconds."""
    if seconds < 10:
        return f"{seconds:.1f}"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"

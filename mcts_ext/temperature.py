"""Temperature schedules: how freely a move is drawn from the search's policy, by the number of the ply."""
from dataclasses import dataclass


@dataclass(frozen=True)
class Temperature:
    """`initial` at the start of a game, `final` in the end; a temperature of 0 plays the best move.

    With `half_life` (plies) it falls exponentially (KataGo: half-life of a board's side); without, it changes at ply
    `plies` at once (AlphaGo Zero: 1 for 30 plies, then 0).
    """

    initial: float = 1.0
    final: float = 0.0
    plies: int = 30
    half_life: float = 0.0

    def __post_init__(self):
        for name in ("initial", "final", "plies", "half_life"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"temperature.{name} = {getattr(self, name)}: must be 0 or more")

    def __call__(self, ply: int) -> float:
        if self.half_life:
            return self.final + (self.initial - self.final) * 0.5 ** (ply / self.half_life)
        return self.initial if ply < self.plies else self.final

"""Playout-cap randomisation (Wu 2019, "Accelerating self-play learning in Go", section 3.1)."""
import random
from dataclasses import dataclass


@dataclass(frozen=True)
class PlayoutCap:
    """Most moves are searched with `fast` simulations, to get through the game; a share of `full_probability` with
    `full` ones and noise, and only those make policy targets. full_probability 1 is the plain algorithm."""

    full: int
    fast: int = 0
    full_probability: float = 1.0

    def __post_init__(self):
        if not 0 <= self.fast <= self.full:
            raise ValueError(f"playout cap: fast = {self.fast}: must be from 0 to full = {self.full}")
        if not 0 < self.full_probability <= 1:
            raise ValueError(f"playout cap: full_probability = {self.full_probability}: must be above 0, at most 1")

    def draw(self, rng: random.Random) -> tuple[int, bool]:
        """(simulations, whether this is a full search: with noise, and a policy target)."""
        if self.full_probability == 1 or rng.random() < self.full_probability:
            return self.full, True
        return self.fast, False

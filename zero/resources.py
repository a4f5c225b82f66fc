"""What a self-play worker uses of its machine. On a CPU none of it changes a game."""

from dataclasses import dataclass

from zero.config import SelfPlayConfig

LANES = {"cpu": 64, "cuda": 512}
SEARCH_THREADS = 4  # beside a card; a simulation takes about 2 µs of a core, so four feed 10^6 positions/s or more


@dataclass(frozen=True)
class Resources:
    """`groups` of `lanes` games each: the search of one goes on while the network answers another."""

    device: str = "cpu"  # where the network is: "cpu" or "cuda"
    card: int = 0  # which one
    lanes: int = LANES["cpu"]  # games in lockstep in each group: the batch of the network
    groups: int = 1
    threads: int = 1  # of the search

    @classmethod
    def of(cls, settings: SelfPlayConfig, device: str = "cpu") -> "Resources":
        """As the settings say; what they leave open (0) as is usual on that device."""
        on_card = device == "cuda"
        return cls(
            device,
            lanes=settings.lanes or LANES[device],
            groups=settings.groups or (2 if on_card else 1),
            threads=settings.threads or (SEARCH_THREADS if on_card else 1),
        )

    @property
    def games(self) -> int:
        """In progress at once."""
        return self.groups * self.lanes

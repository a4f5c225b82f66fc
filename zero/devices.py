"""Where a training's networks play: on graphics cards where there are some that compute what the processor does."""

from collections.abc import Callable
from typing import Literal

from nn.backend import cards
from zero.config import Config
from zero.errors import UserError
from zero.sizes import Sizes

Wanted = Literal["auto", "cpu", "cuda"]


def local_device(wanted: Wanted, config: Config, warn: Callable[[str], None]) -> str:
    """"cpu" or "cuda" for self-play on this machine. A card is tried first: on positions of the game, with a network of
    the run's shape, against the processor.

    "auto" takes the card if there is one and it is right; a card that is not is named to `warn`. Raises `UserError` if
    "cuda" is asked for and cannot be had.
    """
    if wanted == "cpu" or (wanted == "auto" and not cards()):
        return "cpu"
    if not cards():
        raise UserError("--device cuda: needs an NVIDIA card, its driver and CuPy (pip install 'zero-engine[gpu]')")
    from zero.doctor_evaluation import examine_card

    faults = (examine_card(game, config.network).fault for game in Sizes(config).games)
    fault = next(filter(None, faults), None)
    if fault is None:
        return "cuda"
    if wanted == "cuda":
        raise UserError(f"--device cuda: the card does not compute what the processor does: {fault}")
    warn(f"the card is not used, for it does not compute what the processor does: {fault}")
    return "cpu"


def cluster_device(wanted: Wanted, cluster_cards: int) -> str:
    """"cpu" or "cuda" for self-play on a cluster that gives so many cards. Raises `UserError` if there are none."""
    if wanted == "cuda" and not cluster_cards:
        raise UserError("--device cuda: no node of the cluster gives cards; start nodes with ray start --num-gpus=N")
    return "cuda" if wanted != "cpu" and cluster_cards else "cpu"


def learner_device(wanted: str | None, device: str, learners: int) -> str:
    """Where the learner computes if nobody says: beside self-play on a card of this machine; several of them do not."""
    return wanted or ("cuda" if device == "cuda" and learners == 1 and cards() else "cpu")

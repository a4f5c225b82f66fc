"""When a search may end: small functions of (search, slot) that are True then, for `Search.run(evaluate, stop=...)`.

    search.run(evaluate, stop=any_of(seconds(clock_share(remaining=300, increment=2)), decided()))
"""
import time
from collections.abc import Callable

from mcts_ext.search import Search

Limit = Callable[[Search, int], bool]


def any_of(*limits: Limit) -> Limit:
    """Ends when the first of them does."""
    return lambda search, slot: any(limit(search, slot) for limit in limits)


def simulations(count: int) -> Limit:
    """Ends after so many simulations, say in a search that was started with more."""
    return lambda search, slot: search.progress(slot)[0] >= count


def seconds(duration: float, clock: Callable[[], float] = time.monotonic) -> Limit:
    """Ends so long after this call."""
    deadline = clock() + duration
    return lambda search, slot: clock() >= deadline


def decided() -> Limit:
    """Ends when the simulations left can no longer change which action is visited most.

    For root = "puct", where that is the move to play; sequential halving has no lead before its end.
    """
    def is_decided(search: Search, slot: int) -> bool:
        done, wanted, first, second = search.progress(slot)
        return search.options.root == "puct" and first - second > wanted - done
    return is_decided


def clock_share(remaining: float, increment: float = 0.0, moves_left: float = 30.0, reserve: float = 0.05) -> float:
    """Seconds for one move of a clock: an even share of what remains over the moves to come, and most of the increment.

    remaining, increment: seconds on the clock, and those added by a move. reserve: seconds that are never planned
    for, against delays. Never more than what remains, never negative.
    """
    usable = max(remaining - reserve, 0.0)
    return min(usable, usable / moves_left + 0.9 * increment)

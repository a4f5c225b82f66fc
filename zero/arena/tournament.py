"""Tournaments: everybody against everybody, one against all others, or a knockout."""

import itertools
from collections.abc import Callable

from zero.arena.match_result import MatchResult

Play = Callable[[str, str], MatchResult]

_TIE_BREAKS = 4  # more matches when a knockout is level; then the better seed goes on


def round_robin(players: list[str], play: Play) -> None:
    for a, b in itertools.combinations(players, 2):
        play(a, b)


def gauntlet(players: list[str], play: Play) -> None:
    """The first against all others."""
    for other in players[1:]:
        play(players[0], other)


def knockout(players: list[str], play: Play) -> list[list[tuple[str, str | None, str]]]:
    """Rounds of (player, opponent or None for a bye, winner). Seeds are the order given: the best meet last."""
    size = 1
    while size < len(players):
        size *= 2
    bracket: list[str | None] = [players[seed] if seed < len(players) else None for seed in _seeding(size)]
    rounds = []
    while len(bracket) > 1:
        games = []
        for a, b in zip(bracket[::2], bracket[1::2], strict=True):
            if a is None or b is None:
                games.append((a or b, None, a or b))
            else:
                games.append((a, b, _winner(a, b, players, play)))
        rounds.append([game for game in games if game[0] is not None])
        bracket = [game[2] for game in games]
    return rounds


def _seeding(size: int) -> list[int]:
    """Places of the seeds 0.. in a bracket: 0 meets the last, 0 and 1 can meet in the final only."""
    places = [0]
    while len(places) < size:
        places = [place for top in places for place in (top, 2 * len(places) - 1 - top)]
    return places


def _winner(a: str, b: str, players: list[str], play: Play) -> str:
    margin = 0.0
    for _ in range(1 + _TIE_BREAKS):
        result = play(a, b)
        margin += 2 * result.points - len(result.games)
        if margin:
            return a if margin > 0 else b
    return min(a, b, key=players.index)

"""A match: two players, distinct openings played with both colours, counted in whole pairs."""

import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from mcts_ext.state import Game
from zero.arena.fixtures import Fixture, MatchResult, PlayedGame, schedule
from zero.arena.lockstep import Table
from zero.arena.openings import Opening, make_openings
from zero.arena.players import PlayerSpec
from zero.arena.seats import DEFAULT_LIMITS, Limits, open_seat
from zero.arena.sprt import Sprt

MOST_BOARDS = 128  # in lockstep in one worker: enough to fill a batch, few enough to see results early

GRACE_SECONDS = 10  # for a worker to end its move and its engines; a thread that hangs longer dies with the process


@dataclass(frozen=True)
class _Failed:
    error: BaseException


def default_openings(game: Game) -> str:
    """Random plies that leave most of the game to the players."""
    return f"random:{4 if game.max_length > 20 else 2}"


def play_match(
    player_a: PlayerSpec,
    player_b: PlayerSpec,
    game: Game,
    games: int = 100,
    seed: int = 1,
    on_progress: Callable[[MatchResult], None] | None = None,
    *,
    openings: list[Opening] | None = None,
    limits: Limits = DEFAULT_LIMITS,
    sprt: Sprt | None = None,
    workers: int | None = None,
    done: Iterable[PlayedGame] = (),
    on_game: Callable[[PlayedGame], None] | None = None,
) -> MatchResult:
    """Plays `games` (rounded up to whole pairs) and counts them; with `sprt`, stops when it is decided.

    `workers` threads (default: one a core) each hold both players; networks and searches run many boards in
    lockstep, other programs and clocks one board a worker. `done` are games of an earlier part of the same match.
    Progress and games are told in this thread. Raises UserError when a player cannot play the game.
    """
    pairs = (games + 1) // 2
    openings = openings or make_openings(default_openings(game), game, seed, pairs)
    fixtures = schedule(openings[:pairs])
    result = MatchResult(str(player_a), str(player_b), game, sprt)
    for played in done:
        result.add(played)
    missing = _missing(fixtures, done)
    if not missing or result.decision:
        return result

    workers = max(1, min(workers or len(os.sched_getaffinity(0)), (len(missing) + 1) // 2))
    alone = player_a.external or player_b.external or limits.time is not None
    slots = 1 if alone else min(MOST_BOARDS, -(-len(missing) // workers))
    # Another program's speed varies, so its workers share a queue; otherwise each has its own games, and a match
    # is repeatable.
    hands = _shared(missing, workers) if alone else [iter(missing[worker::workers]) for worker in range(workers)]

    stop = threading.Event()
    finished: queue.Queue[PlayedGame | _Failed | None] = queue.Queue()

    def work(fixtures_of_mine: Iterator[Fixture]) -> None:
        seats = []
        try:
            for player in (player_a, player_b):
                seats.append(open_seat(player, game, slots, limits))
            table = Table(game, (seats[0], seats[1]), slots, seed, limits.time)
            for played in table.play(fixtures_of_mine, stop.is_set):
                finished.put(played)
        except BaseException as error:
            finished.put(_Failed(error))
        finally:
            for seat in seats:
                seat.close()
            finished.put(None)

    threads = [threading.Thread(target=work, args=(hand,), daemon=True) for hand in hands]
    for thread in threads:
        thread.start()
    try:
        running = len(threads)
        while running:
            played = finished.get()
            if played is None:
                running -= 1
            elif isinstance(played, _Failed):
                raise played.error
            else:
                result.add(played)
                if on_game:
                    on_game(played)
                if on_progress:
                    on_progress(result)
                if result.decision:
                    stop.set()
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=GRACE_SECONDS)
    return result


def _missing(fixtures: list[Fixture], done: Iterable[PlayedGame]) -> list[Fixture]:
    numbers = {played.number for played in done}
    return [fixture for fixture in fixtures if fixture.number not in numbers]


def _shared(fixtures: list[Fixture], workers: int) -> list[Iterator[Fixture]]:
    waiting: queue.SimpleQueue[Fixture] = queue.SimpleQueue()
    for fixture in fixtures:
        waiting.put(fixture)

    def take() -> Iterator[Fixture]:
        while True:
            try:
                yield waiting.get_nowait()
            except queue.Empty:
                return

    return [take() for _ in range(workers)]

"""A match: two players, distinct openings played with both colours, counted in whole pairs."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from mcts_ext.state import Game
from zero.arena.fixtures import Fixture, PlayedGame, schedule
from zero.arena.lockstep import Watch
from zero.arena.match_result import MatchResult
from zero.arena.openings import Opening, make_openings
from zero.arena.players import PlayerSpec
from zero.arena.seats import DEFAULT_LIMITS, Limits
from zero.arena.sprt import Sprt
from zero.arena.workers import Plan, Progress, Workers
from zero.backends import Call, WorkerDied
from zero.errors import UserError

MOST_BOARDS = 128  # in lockstep in one worker: enough to fill a batch, few enough to see results early

_OPEN_SECONDS = 600.0  # for the players to sit down: a worker starts, a network is loaded
_GRACE_SECONDS = 10.0  # for a worker to end its move and its engines when the match is decided


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
    pool: Workers | None = None,
) -> MatchResult:
    """Plays `games` (rounded up to whole pairs) and counts them; with `sprt`, stops when it is decided.

    `workers` processes (default: one a core; a script that calls this must guard its start by `if __name__ ==
    "__main__"`, as multiprocessing asks) each hold both players; networks and searches run many boards in
    lockstep, other programs and clocks one board a worker. `done` are games of an earlier part of the same match.
    `pool` lends its processes to several matches in turn. Raises UserError when a player cannot play the game.
    """
    pairs = (games + 1) // 2
    openings = openings or make_openings(default_openings(game), game, seed, pairs)
    result = MatchResult(str(player_a), str(player_b), game, sprt)
    for played in done:
        result.add(played)
    known = {played.number for played in done}
    missing = [fixture for fixture in schedule(openings[:pairs]) if fixture.number not in known]
    if not missing or result.decision:
        return result

    workers = max(1, min(workers or len(os.sched_getaffinity(0)), (len(missing) + 1) // 2))
    alone = player_a.external or player_b.external or limits.time is not None
    slots = 1 if alone else min(MOST_BOARDS, -(-len(missing) // workers))
    plan = Plan((player_a, player_b), game, slots, seed, limits)
    with Workers() if pool is None else pool.lent() as lent:
        deal = _Deal(lent, plan, missing)
        try:
            for played in deal.play(workers):
                result.add(played)
                if on_game:
                    on_game(played)
                if on_progress:
                    on_progress(result)
                if result.decision:
                    break
        finally:
            deal.end()
    return result


@dataclass(eq=False)
class _Hand:
    """One worker: the fixtures it has, what it is about to do, and until when."""

    handle: Any
    call: Call | None = None
    deadline: float = 0.0
    watch: Watch | None = None
    room: int = 0
    fixtures: dict[int, Fixture] = field(default_factory=dict)
    alone: bool = False  # it plays one game of a batch that hung


class _Deal:
    """Deals fixtures to workers and watches the clock on the wall: a worker in which a player hangs is ended, a worker
    that dies is replaced, and the game is lost. Where many boards were asking at once, all their games are played
    again, one at a time; the one to blame will hang again."""

    def __init__(self, pool: Workers, plan: Plan, fixtures: list[Fixture]):
        self.pool, self.plan = pool, plan
        self.waiting, self.suspects = deque(fixtures), deque[Fixture]()
        self.hands: list[_Hand] = []

    def play(self, workers: int) -> Iterator[PlayedGame]:
        """Games as they end, in any order."""
        self.hands = [_Hand(handle) for handle in self.pool.take(workers)]
        for hand in self.hands:
            self._begin(hand)
        while busy := [hand for hand in self.hands if hand.call]:
            soonest = min(hand.deadline for hand in busy)
            done = self.pool.backend.wait([hand.call for hand in busy], max(0.0, soonest - time.monotonic()))
            for hand in busy:
                if hand.call in done:
                    yield from self._answered(hand)
                elif time.monotonic() >= hand.deadline:
                    yield from self._lost(hand, "stall", "no answer in time; its process was ended")
            for hand in self.hands:
                if not hand.call:
                    self._deal(hand)

    def _begin(self, hand: _Hand) -> None:
        hand.watch, hand.deadline = None, time.monotonic() + _OPEN_SECONDS
        hand.call = self.pool.backend.call(hand.handle, "begin", self.plan)

    def _answered(self, hand: _Hand) -> Iterator[PlayedGame]:
        try:
            progress: Progress = hand.call.result()
        except WorkerDied as error:
            yield from self._lost(hand, "crash", f"{error}; what it wrote is on stderr")
            return
        hand.call, hand.watch, hand.room = None, progress.watch, progress.room
        for played in progress.played:
            del hand.fixtures[played.number]
            yield played

    def _lost(self, hand: _Hand, kind: str, detail: str) -> Iterator[PlayedGame]:
        if hand.watch is None:
            raise UserError(f"the players could not sit down to {self.plan.game.name}: {detail}")
        fixtures, hand.fixtures, hand.call, hand.alone = hand.fixtures, {}, None, False
        hand.handle = self.pool.replace(hand.handle)
        if hand.watch.game is None:
            self.suspects.extend(fixtures.values())
        else:
            del fixtures[hand.watch.game.number]
            self.waiting.extendleft(fixtures.values())
            detail = f"{detail} (it had {hand.watch.seconds:.0f} s)" if kind == "stall" else detail
            yield replace(hand.watch.game, ending=kind, detail=detail)
        self._begin(hand)

    def _deal(self, hand: _Hand) -> None:
        """More fixtures for a worker, and its next step; nothing if there is nothing left for it."""
        fixtures: list[Fixture] = []
        if not hand.fixtures:
            hand.alone = bool(self.suspects)
            if self.suspects:
                fixtures = [self.suspects.popleft()]
        if not hand.alone:
            fixtures = [self.waiting.popleft() for _ in range(min(hand.room, len(self.waiting)))]
        hand.fixtures |= {fixture.number: fixture for fixture in fixtures}
        if hand.fixtures:
            hand.deadline = time.monotonic() + (hand.watch.seconds if hand.watch else _OPEN_SECONDS)
            hand.call = self.pool.backend.call(hand.handle, "go_on", fixtures)

    def end(self) -> None:
        """Lets the workers end their engines; one that does not come to it is ended itself."""
        backend, deadline = self.pool.backend, time.monotonic() + _GRACE_SECONDS

        def settle(calls: dict[Any, Call]) -> None:
            """Waits for these; discards workers that do not answer."""
            while calls and (done := backend.wait(list(calls.values()), max(0.0, deadline - time.monotonic()))):
                for handle in [handle for handle, call in calls.items() if call in done]:
                    try:
                        calls.pop(handle).result()
                    except Exception:  # whatever it is, it must not hide the result
                        self.pool.discard(handle)
            for handle in calls:
                self.pool.discard(handle)

        settle({hand.handle: hand.call for hand in self.hands if hand.call})
        left = [hand.handle for hand in self.hands if hand.handle in self.pool.handles]
        settle({handle: backend.call(handle, "end") for handle in left})

"""The processes that play matches: one table each, in one that can be ended when a player hangs in it."""

import faulthandler
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from mcts_ext.state import Game
from zero import backends
from zero.arena.fixtures import Fixture, PlayedGame
from zero.arena.lockstep import Table, Watch
from zero.arena.players import PlayerSpec
from zero.arena.seats import Limits, Seat, open_seat
from zero.backends import Backend
from zero.errors import UserError


@dataclass(frozen=True)
class Plan:
    """Who plays what on how many boards."""

    players: tuple[PlayerSpec, PlayerSpec]
    game: Game
    slots: int
    seed: int
    limits: Limits

    @property
    def external(self) -> tuple[bool, bool]:
        return self.players[0].external, self.players[1].external


@dataclass(frozen=True)
class Progress:
    """Games that have ended, what the next call will do (None: there is nothing more to play), and how many fixtures
    could begin at once."""

    played: list[PlayedGame]
    watch: Watch | None
    room: int


class MatchWorker:
    """The role: a table that is opened for a match, and then advanced step by step."""

    def __init__(self):
        self.seats: list[Seat] = []
        self.table: Table | None = None
        self.course: Iterator[Watch | PlayedGame] = iter(())
        self.watch: Watch | None = None

    def begin(self, plan: Plan) -> Progress:
        """Sets the players down. Raises UserError when one of them cannot play."""
        try:
            for player in plan.players:
                self.seats.append(open_seat(player, plan.game, plan.slots, plan.limits))
        except UserError:
            self.end()
            raise
        self.table = Table(plan.game, (self.seats[0], self.seats[1]), plan.slots, plan.seed, plan.limits, plan.external)
        return Progress([], None, plan.slots)

    def go_on(self, fixtures: list[Fixture]) -> Progress:
        """Takes more fixtures, and does what the last `Progress` said it would: up to the next `Watch`."""
        self.table.waiting.extend(fixtures)
        if self.watch is None:
            self.course = self.table.play()
        else:  # so that one may see where it hangs, in Python's terms
            faulthandler.dump_traceback_later(0.9 * self.watch.seconds)
        played: list[PlayedGame] = []
        self.watch = None
        for event in self.course:
            if isinstance(event, Watch):
                self.watch = event
                break
            played.append(event)
        faulthandler.cancel_dump_traceback_later()
        return Progress(played, self.watch, self.table.room)

    def end(self) -> None:
        """Closes the players and the table; another match may begin."""
        for seat in self.seats:
            seat.close()
        self.__init__()


@dataclass
class Workers:
    """Match workers that several matches may use one after the other. A context manager: at its end all are gone."""

    backend: Backend = field(default_factory=lambda: backends.make("process"))
    handles: list[Any] = field(default_factory=list)

    def take(self, count: int) -> list[Any]:
        """So many workers, started if need be."""
        while len(self.handles) < count:
            self.handles.append(self.backend.spawn(MatchWorker))
        return self.handles[:count]

    def replace(self, handle: Any) -> Any:
        """Ends this worker, whatever it does, and starts another in its place."""
        self.backend.kill(handle)
        fresh = self.backend.spawn(MatchWorker)
        self.handles[self.handles.index(handle)] = fresh
        return fresh

    def discard(self, handle: Any) -> None:
        """Ends this worker, whatever it does."""
        self.backend.kill(handle)
        self.handles.remove(handle)

    @contextmanager
    def lent(self) -> Iterator["Workers"]:
        """For one match: what breaks off leaves no worker behind."""
        try:
            yield self
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        for handle in self.handles:
            self.backend.kill(handle)
        self.handles.clear()

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

"""Two players at many boards in lockstep: all boards where the same player is to move share its batch."""

import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from mcts_ext.state import Game, State
from zero.arena.clock import Clock, TimeControl
from zero.arena.fixtures import Fixture, PlayedGame
from zero.arena.seats import Choice, PlayerFailure, Seat

CLOCK_MARGIN = 0.25  # seconds of grace: the machine's delays are nobody's fault


@dataclass
class Board:
    """A game in progress; `seconds` and failures are counted per player (0 A, 1 B)."""

    fixture: Fixture
    state: State
    moves: list[int] = field(default_factory=list)
    values: list[float | None] = field(default_factory=list)
    seconds: list[float] = field(default_factory=lambda: [0.0, 0.0])
    clocks: list[Clock | None] = field(default_factory=lambda: [None, None])

    @property
    def player(self) -> int:
        """Who is to move: 0 A, 1 B."""
        return self.state.to_move ^ self.fixture.first

    def played(self, points: float, ending: str = "rules", culprit: int | None = None, detail: str = "") -> PlayedGame:
        return PlayedGame(
            self.fixture.number, self.fixture.opening.name, self.fixture.first, tuple(self.moves), points, ending,
            culprit, detail, tuple(self.values), (self.seconds[0], self.seconds[1]))

    def lost_by(self, player: int, ending: str, detail: str = "") -> PlayedGame:
        return self.played(float(player), ending, player if ending != "resignation" else None, detail)

    def over(self) -> PlayedGame:
        outcome = self.state.outcome()  # seen by the player to move, here turned into points of A
        return self.played((1 + (outcome if self.player == 0 else -outcome)) / 2)


class Table:
    """Plays fixtures with two seats that have `slots` boards each: one board if there is a clock (`time`).

    `seed` and the fixture decide a game of our own players.
    """

    def __init__(self, game: Game, seats: tuple[Seat, Seat], slots: int, seed: int, time: TimeControl | None = None):
        self.game, self.seats, self.slots, self.seed, self.time = game, seats, slots, seed, time
        self.boards: dict[int, Board] = {}

    def play(self, fixtures: Iterator[Fixture], stopped: Callable[[], bool]) -> Iterator[PlayedGame]:
        """Yields games as they end, until the fixtures run out or `stopped` says so."""
        while not stopped():
            yield from self._fill(fixtures)
            if not self.boards:
                return
            for player in (0, 1):
                yield from self._turn(player)

    def _fill(self, fixtures: Iterator[Fixture]) -> Iterator[PlayedGame]:
        for slot in range(self.slots):
            while slot not in self.boards:
                fixture = next(fixtures, None)
                if fixture is None:
                    return
                if ended := self._set_up(slot, fixture):
                    yield ended

    def _set_up(self, slot: int, fixture: Fixture) -> PlayedGame | None:
        """Begins a game with its opening; the game if a player breaks down already."""
        board = self.boards[slot] = Board(fixture, self.game.new_state())
        if self.time:
            board.clocks = [Clock(self.time), Clock(self.time)]
        for player, seat in enumerate(self.seats):
            failure = _guard(seat.reset, slot, self._seed(fixture, player))
            if failure:
                return self._remove(slot, board.lost_by(player, failure.kind, failure.detail))
        for action in fixture.opening.moves:
            if ended := self._play(slot, action, None):
                return ended
        return None

    def _seed(self, fixture: Fixture, player: int) -> int:
        return (self.seed * 1_000_003 + fixture.number) * 2 + player

    def _turn(self, player: int) -> Iterator[PlayedGame]:
        slots = [slot for slot, board in self.boards.items() if board.player == player]
        if not slots:
            return
        began = time.monotonic()
        choices: dict[int, Choice | PlayerFailure] = {}
        clock = self.boards[slots[0]].clocks[player]
        failure = _guard(lambda: choices.update(self.seats[player].choose(slots, clock)))
        elapsed = time.monotonic() - began
        for slot in slots:
            board = self.boards[slot]
            board.seconds[player] += elapsed / len(slots)
            choice = failure or choices[slot]
            if clock and elapsed > clock.allowed() + CLOCK_MARGIN and not failure:
                choice = PlayerFailure("timeout", f"thought for {elapsed:.2f} s, had {clock.allowed():.2f} s")
            elif clock:
                clock.spend(elapsed)
            if isinstance(choice, PlayerFailure):
                yield self._remove(slot, board.lost_by(player, choice.kind, choice.detail))
            elif choice.action is None:
                yield self._remove(slot, board.lost_by(player, "resignation"))
            elif not board.state.legal()[choice.action]:
                move = self.game.action_to_text(choice.action)
                yield self._remove(slot, board.lost_by(player, "illegal move", f"played {move}"))
            elif ended := self._play(slot, choice.action, choice.value):
                yield ended

    def _play(self, slot: int, action: int, value: float | None) -> PlayedGame | None:
        """Plays on the board and tells both seats; the game if that ended it."""
        board = self.boards[slot]
        board.state.play(action)
        board.moves.append(action)
        board.values.append(value)
        if board.state.terminal:
            return self._remove(slot, board.over())
        for player, seat in enumerate(self.seats):
            failure = _guard(seat.play, slot, action)
            if failure:
                return self._remove(slot, board.lost_by(player, failure.kind, failure.detail))
        return None

    def _remove(self, slot: int, played: PlayedGame) -> PlayedGame:
        del self.boards[slot]
        return played


def _guard(verb: Callable[..., None], *arguments: int) -> PlayerFailure | None:
    """What a seat's verb broke down with, None if all went well. Our own bugs count as a crash."""
    try:
        verb(*arguments)
    except PlayerFailure as failure:
        return failure
    except Exception:
        return PlayerFailure("crash", traceback.format_exc(limit=-4).strip())
    return None

"""Two players at many boards in lockstep: all boards where the same player is to move share its batch."""

import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from mcts_ext.state import Game, State
from zero.arena.clock import CLOCK_GRACE_SECONDS, Clock
from zero.arena.fixtures import Fixture, PlayedGame
from zero.arena.seats import Choice, Limits, PlayerFailure, Seat

CLOCK_MARGIN = 0.25  # seconds of grace: the machine's delays are nobody's fault
ENGINE_GRACE_SECONDS = 10.0  # an engine's own seat ends the wait for it, and can say more about why
BATCH_SHARE = 5  # what many boards at once may take, in times of one: their searches share the work


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


@dataclass(frozen=True)
class Watch:
    """What a table does next: `player` gets `seconds` for it. `game` is what is lost if that does not suffice; None
    while several boards ask at once, and nobody could say which of them is to blame."""

    player: int
    seconds: float
    game: PlayedGame | None


class Table:
    """Plays fixtures with two seats that have `slots` boards each: one board if there is a clock, or a seat is
    `external`, another program that is watched by its seat.

    `seed` and the fixture decide a game of our own players.
    """

    def __init__(self, game: Game, seats: tuple[Seat, Seat], slots: int, seed: int, limits: Limits,
                 external: tuple[bool, bool] = (False, False)):
        self.game, self.seats, self.slots, self.seed, self.limits = game, seats, slots, seed, limits
        self.external = external
        self.waiting: deque[Fixture] = deque()  # more may be added at any time
        self.boards: dict[int, Board] = {}

    @property
    def room(self) -> int:
        """Fixtures that can be begun at once."""
        return self.slots - len(self.boards) - len(self.waiting)

    def play(self) -> Iterator[Watch | PlayedGame]:
        """Yields games as they end, and a `Watch` before each thing that a player may hang in, until none are left."""
        while self.waiting or self.boards:
            yield from self._fill()
            for player in (0, 1):
                yield from self._turn(player)

    def _fill(self) -> Iterator[Watch | PlayedGame]:
        """Begins games with their openings, on all free boards."""
        free = [slot for slot in range(self.slots) if slot not in self.boards]
        fresh = {slot: self.waiting.popleft() for slot in free[:len(self.waiting)]}
        for slot, fixture in fresh.items():
            board = self.boards[slot] = Board(fixture, self.game.new_state())
            if self.limits.time:
                board.clocks = [Clock(self.limits.time), Clock(self.limits.time)]
            for action in fixture.opening.moves:
                self._advance(board, action, None)
        for player in (0, 1):
            slots = [slot for slot in fresh if slot in self.boards]
            if slots:
                yield self._watch(player, slots, self.limits.watchdog)
            for slot in slots:
                board = self.boards[slot]
                if failure := _guard(self._open, player, slot, board.fixture):
                    yield self._remove(slot, board.lost_by(player, failure.kind, failure.detail))

    def _open(self, player: int, slot: int, fixture: Fixture) -> None:
        seat = self.seats[player]
        seat.reset(slot, (self.seed * 1_000_003 + fixture.number) * 2 + player)
        for action in fixture.opening.moves:
            seat.play(slot, action)

    def _watch(self, player: int, slots: list[int], seconds: float) -> Watch:
        """A player who is to do something at these boards, in `seconds` at one of them."""
        if self.external[player]:
            seconds += ENGINE_GRACE_SECONDS
        if len(slots) > 1:
            return Watch(player, seconds * BATCH_SHARE, None)
        return Watch(player, seconds, self.boards[slots[0]].lost_by(player, "stall"))

    def _turn(self, player: int) -> Iterator[Watch | PlayedGame]:
        slots = [slot for slot, board in self.boards.items() if board.player == player]
        if not slots:
            return
        clock = self.boards[slots[0]].clocks[player]
        yield self._watch(player, slots, clock.allowed() + CLOCK_GRACE_SECONDS if clock else self.limits.watchdog)
        began = time.monotonic()
        choices: dict[int, Choice | PlayerFailure] = {}
        failure = _guard(lambda: choices.update(self.seats[player].choose(slots, clock)))
        elapsed = time.monotonic() - began
        moved: dict[int, int] = {}
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
            else:
                self._advance(board, choice.action, choice.value)
                if board.state.terminal:
                    yield self._remove(slot, board.over())
                else:
                    moved[slot] = choice.action
        for told in (player, 1 - player):
            yield from self._tell(told, moved)

    def _advance(self, board: Board, action: int, value: float | None) -> None:
        board.state.play(action)
        board.moves.append(action)
        board.values.append(value)

    def _tell(self, player: int, moved: dict[int, int]) -> Iterator[Watch | PlayedGame]:
        slots = [slot for slot in moved if slot in self.boards]
        if slots:
            yield self._watch(player, slots, self.limits.watchdog)
        for slot in slots:
            if failure := _guard(self.seats[player].play, slot, moved[slot]):
                yield self._remove(slot, self.boards[slot].lost_by(player, failure.kind, failure.detail))

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

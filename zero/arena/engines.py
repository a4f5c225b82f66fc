"""Seats for other programs: one process a board, told every move, asked for its own, watched by the clock."""

import time
from collections.abc import Callable
from typing import Protocol

from mcts_ext.games import family
from mcts_ext.state import Game, State
from zero.arena.clock import CLOCK_GRACE_SECONDS, Clock
from zero.arena.players import PlayerSpec
from zero.arena.seats import DEFAULT_LIMITS, Choice, Limits, PlayerFailure
from zero.errors import UserError
from zero.protocols.engine import EngineFailure, LineEngine
from zero.protocols.vertices import to_action, to_vertex

_START_SECONDS = 300.0  # for the first answer: an engine may have a network to load
_MOST_LINES = 10_000  # of an answer


class EngineLink(Protocol):
    """One engine process at one board, in its own language. Every verb may raise EngineFailure."""

    def new_game(self) -> None: ...
    def play(self, state: State, action: int) -> None: ...
    def genmove(self, state: State, seconds: float, clock: Clock | None) -> Choice: ...
    def close(self, farewell: bool = True) -> None: ...


class EngineSeat:
    """An engine at several boards. A process that failed is replaced by a fresh one for the next game."""

    def __init__(self, game: Game, slots: int, limits: Limits, start: Callable[[], EngineLink]):
        self.game, self.limits, self.start = game, limits, start
        self.links: list[EngineLink | None] = [None] * slots
        self.states = [game.new_state() for _ in range(slots)]
        try:
            self.links[0] = start()  # a program that does not work at all is told at once, as an error of the user
        except EngineFailure as failure:
            raise UserError(f"engine does not start: {failure.report()}") from None

    def reset(self, slot: int, seed: int) -> None:
        self.states[slot] = self.game.new_state()

        def begin() -> None:
            if self.links[slot] is None:
                self.links[slot] = self.start()
            self.links[slot].new_game()

        self._watched(slot, begin)

    def play(self, slot: int, action: int) -> None:
        state = self.states[slot]
        self._watched(slot, lambda: self.links[slot].play(state, action))
        state.play(action)

    def choose(self, slots: list[int], clock: Clock | None = None) -> dict[int, Choice | PlayerFailure]:
        choices: dict[int, Choice | PlayerFailure] = {}
        seconds = self.limits.watchdog if clock is None else clock.allowed() + CLOCK_GRACE_SECONDS
        for slot in slots:
            try:
                choices[slot] = self._watched(
                    slot, lambda slot=slot: self.links[slot].genmove(self.states[slot], seconds, clock))
            except PlayerFailure as failure:
                choices[slot] = failure
        return choices

    def _watched(self, slot: int, verb: Callable) -> Choice | None:
        try:
            return verb()
        except EngineFailure as failure:
            self._drop(slot, farewell=False)
            raise PlayerFailure(failure.kind, failure.report()) from None

    def _drop(self, slot: int, farewell: bool = True) -> None:
        if self.links[slot] is not None:
            self.links[slot].close(farewell)
            self.links[slot] = None

    def close(self) -> None:
        for slot in range(len(self.links)):
            self._drop(slot)


class GtpLink:
    """The GTP 2 controller's side (https://www.lysator.liu.se/~gunnar/gtp/gtp2-spec-draft2/gtp2-spec.html).

    Passes that a game forces (Othello) are not told: engines of such games make them by themselves.
    """

    def __init__(self, command: str, game: Game, limits: Limits = DEFAULT_LIMITS):
        self.game, self.limits = game, limits
        self.engine = LineEngine(command)
        self.has_moved = False  # since it made its last move itself, that move is already on its board
        try:
            self.known = set(self.ask("list_commands", _START_SECONDS).split())
            self._choose_game()
        except EngineFailure:
            self.engine.close()
            raise

    def _choose_game(self) -> None:
        kind = family(self.game.name)
        if kind != "go" and "set_game" in self.known:
            self.ask(f"set_game {kind.capitalize()}")
        if self.game.rows != self.game.cols and "rectangular_boardsize" not in self.known:
            raise self.engine.failure("protocol error", "it knows square boards only: no rectangular_boardsize")

    def ask(self, command: str, seconds: float | None = None) -> str:
        """The engine's answer without "= ", within `seconds` [the watchdog's]. Raises EngineFailure for an error
        answer, too."""
        self.engine.send(command)
        deadline = time.monotonic() + (self.limits.watchdog if seconds is None else seconds)
        lines: list[str] = []
        while True:
            line = self.engine.read_line(deadline, f"'{command}'")
            if line.strip():
                lines.append(line)
            elif lines:
                break
            if lines and lines[0][:1] not in ("=", "?"):
                raise self.engine.failure("protocol error", f"answered {lines[0][:80]!r} to '{command}'")
            if len(lines) > _MOST_LINES:
                raise self.engine.failure("protocol error", f"an endless answer to '{command}'")
        answer = "\n".join([lines[0][1:].strip(), *lines[1:]]).strip()
        if lines[0][0] == "?":
            raise self.engine.failure("protocol error", f"refused '{command}': {answer[:200]}")
        return answer

    def new_game(self) -> None:
        self.has_moved = False
        rows, cols = self.game.rows, self.game.cols
        self.ask(f"boardsize {rows}" if rows == cols else f"rectangular_boardsize {cols} {rows}")
        self.ask("clear_board")
        komi = getattr(self.game, "komi", None)
        if komi is not None:
            self.ask(f"komi {komi:g}")
        if handicap := self.game.settings.get("handicap"):
            self.ask(f"fixed_handicap {handicap}")
        control = self.limits.time
        if control is None or "time_settings" not in self.known:
            return
        if control.per_move is not None:
            whole = max(1, int(control.per_move))
            self.ask(f"time_settings 0 {whole} 1")
        else:
            self.ask(f"time_settings {int(control.main)} 0 0")

    def play(self, state: State, action: int) -> None:
        if self.has_moved:
            self.has_moved = False
            return
        vertex = to_vertex(self.game, action)
        if vertex == "pass" and family(self.game.name) == "othello":
            return
        self.ask(f"play {self._colour(state)} {vertex}")

    def genmove(self, state: State, seconds: float, clock: Clock | None) -> Choice:
        legal = state.legal_actions()
        if family(self.game.name) == "othello" and self.game.action_to_text(legal[0]).lower() == "pass":
            return Choice(legal[0])
        if clock and clock.control.per_move is None and "time_left" in self.known:
            self.ask(f"time_left {self._colour(state)} {int(clock.allowed())} 0")
        answer = self.ask(f"genmove {self._colour(state)}", seconds)
        if answer.lower() == "resign":
            return Choice(None)
        try:
            action = to_action(self.game, answer)
        except ValueError as error:
            raise self.engine.failure("protocol error", f"answered '{answer[:80]}' to genmove: {error}") from None
        if action not in legal:
            raise self.engine.failure("illegal move", f"played {answer}")
        self.has_moved = True
        return Choice(action)

    def _colour(self, state: State) -> str:
        return ("black", "white")[state.to_move]

    def close(self, farewell: bool = True) -> None:
        self.engine.close("quit" if farewell else "")


class GomocupLink:
    """The Gomocup manager's side (Piskvork protocol, https://plastovicka.github.io/protocl2en.htm): `x,y` from 0,0."""

    def __init__(self, command: str, game: Game, limits: Limits):
        if family(game.name) != "gomoku" or game.rows != game.cols:
            raise UserError(f"gomocup engines play gomoku on square boards, not {game.name}")
        self.game, self.limits = game, limits
        self.engine = LineEngine(command)
        self.stones: list[tuple[int, int]] = []  # (action, to_move)
        self.told: int | None = None  # stones the engine's board has, None before its game began

    def new_game(self) -> None:
        self.stones, self.told = [], None
        self.engine.send(f"START {self.game.rows}")
        answer = self._read(self.limits.watchdog, "START")
        if not answer.upper().startswith("OK"):
            raise self.engine.failure("protocol error", f"answered '{answer[:80]}' to START")
        control = self.limits.time
        if control and control.per_move is not None:
            self.engine.send(f"INFO timeout_turn {int(1000 * control.per_move)}")
        elif control:
            self.engine.send(f"INFO timeout_match {int(1000 * control.main)}")

    def _read(self, seconds: float, doing: str) -> str:
        """The next answer; MESSAGE, DEBUG and SUGGEST lines are talk."""
        deadline = time.monotonic() + seconds
        while True:
            line = self.engine.read_line(deadline, doing).strip()
            word = line.split(" ")[0].upper()
            if word in ("ERROR", "UNKNOWN"):
                raise self.engine.failure("protocol error", f"refused {doing}: {line[:200]}")
            if line and word not in ("MESSAGE", "DEBUG", "SUGGEST"):
                return line

    def play(self, state: State, action: int) -> None:
        self.stones.append((action, state.to_move))

    def genmove(self, state: State, seconds: float, clock: Clock | None) -> Choice:
        if clock and clock.control.per_move is None:
            self.engine.send(f"INFO time_left {int(1000 * clock.allowed())}")
        if not self.stones:
            self.engine.send("BEGIN")
        elif self.told == len(self.stones) - 1:
            self.engine.send(f"TURN {self._xy(self.stones[-1][0])}")
        else:
            self.engine.send("BOARD")
            for action, to_move in self.stones:
                self.engine.send(f"{self._xy(action)},{1 if to_move == state.to_move else 2}")
            self.engine.send("DONE")
        answer = self._read(seconds, "its move")
        try:
            x, y = (int(part) for part in answer.split(","))
        except ValueError:
            raise self.engine.failure("protocol error", f"answered '{answer[:80]}', not x,y") from None
        action = y * self.game.cols + x
        if not (0 <= x < self.game.cols and 0 <= y < self.game.rows and action in state.legal_actions()):
            raise self.engine.failure("illegal move", f"played {x},{y}")
        self.told = len(self.stones) + 1
        return Choice(action)

    def _xy(self, action: int) -> str:
        return f"{action % self.game.cols},{action // self.game.cols}"

    def close(self, farewell: bool = True) -> None:
        self.engine.close("END" if farewell else "")


def open_engine_seat(player: PlayerSpec, game: Game, slots: int, limits: Limits) -> EngineSeat:
    """Starts the first process. Raises UserError when there is no such program or it does not play the game."""
    link = GtpLink if player.kind == "gtp" else GomocupLink
    return EngineSeat(game, slots, limits, lambda: link(player.target, game, limits))

"""The board and the player behind a GTP connection: a position that can be undone, and a search that watches it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from mcts_ext.games import family, known_settings
from mcts_ext.search import Search
from mcts_ext.state import Game, State
from zero.arena.players import PlayerSpec
from zero.arena.seats import DEFAULT_SIMS, game_of, make_searcher, require_plays, seen_by
from zero.errors import UserError
from zero.games import make_game
from zero.protocols.thinking import Thoughts, read_thoughts
from zero.protocols.vertices import moves_are_points, to_action, to_vertex

_SLICE_SECONDS = 0.02
_MOVES_TO_GO = 25  # a search spends this share of its main time on a move
_LAG_SECONDS = 0.05  # kept back for the way to the server


class GtpError(Exception):
    """An answer that begins with `?`; the position is as it was before the command."""


@dataclass(frozen=True)
class Move:
    """Black is 0, White 1."""

    colour: int
    action: int


@dataclass(frozen=True)
class TimeSettings:
    """Seconds of main time, then `stones` moves in every `period`; an increment a move in Fischer's way."""

    main: float = 0.0
    period: float = 0.0
    stones: int = 0
    increment: float = 0.0


class Session:
    """One board of one game. `game_name` is a line such as `go9` or `go9?komi=6.5`."""

    def __init__(self, player: PlayerSpec, game_name: str | None = None, threads: int = 1):
        """Raises UserError when the player cannot play."""
        self.player, known = player, game_of(player)
        if not (game_name or known):
            raise UserError("which game? The player knows none; add --game go9")
        game = seen_by(player, make_game(game_name or known))
        require_plays(player, game)
        self.trained_for = game.name if known else None
        options, self.evaluate = make_searcher(player, game, threads)
        self.options, self.threads = replace(options, root="puct"), threads
        self.sims = DEFAULT_SIMS if player.settings.sims is None else player.settings.sims
        if player.kind == "random":
            self.sims = 0
        self.time: TimeSettings | None = None
        self.clocks: list[tuple[float, int]] = [(0.0, 0), (0.0, 0)]  # seconds and stones left, as last told
        self.rules: dict[str, object] = dict(game.settings)  # such as komi
        self.handicap: tuple[int, ...] = ()
        self.change_game(game.name)

    # the position

    def change_game(self, name: str) -> None:
        """An empty board of another size. Raises UserError if there is no such game."""
        try:
            known = known_settings(name)
        except ValueError as error:
            raise UserError(str(error)) from None
        self._take_game(make_game(name, **{key: value for key, value in self.rules.items() if key in known}))
        self.clear()

    def resize(self, rows: int, cols: int) -> None:
        """An empty board of another size of the same game. Raises UserError if there is none."""
        if (rows, cols) == (self.game.rows, self.game.cols):
            self.clear()
            return
        name = f"{family(self.game.name)}{rows}" + (f"x{cols}" if rows != cols else "")
        if self.trained_for not in (None, name):
            raise UserError(f"the player plays {self.trained_for}, not {name}")
        self.change_game(name)

    def _take_game(self, game: Game) -> None:
        self.game = game
        self.search = Search(game, 1, self.options, seed=1, threads=self.threads)
        self.cells = game.rows * game.cols

    def clear(self) -> None:
        self.set_up((), (), ())

    def set_up(self, black: tuple[int, ...], white: tuple[int, ...], moves: list[Move] | tuple[Move, ...]) -> None:
        """A new game from set-up stones and moves. Raises GtpError("illegal move"), leaving the old one."""
        before = getattr(self, "black", ()), getattr(self, "white", ()), getattr(self, "moves", [])
        self.black, self.white, self.moves = tuple(black), tuple(white), []
        try:
            self.state = self._start()
            for move in moves:
                self._advance(move)
        except (GtpError, ValueError):
            self.black, self.white, self.moves = before
            self.state = self._start()
            for move in before[2]:
                self._advance(move, record=False)
            raise GtpError("illegal move") from None
        self.search.reset(0, self.state, seed=len(self.moves))

    def _start(self) -> State:
        if not self.black and not self.white:
            return self.game.new_state()
        return self.game.position(self.black, self.white, 0 if self.white else 1)

    def _advance(self, move: Move, record: bool = True) -> None:
        """Plays for either colour. GTP lets a colour move twice, and go on after the end: Go's board allows it."""
        if self.state.to_move != move.colour or self.state.terminal:
            if not hasattr(self.game, "position"):
                self._force_pass(move.colour)
            else:
                stones = self.state.stones().ravel()
                sides = ([k for k in range(self.cells) if stones[k] == side] for side in (1, 2))
                self.state = self.game.position(*sides, move.colour)
        self.state = self.state.copy()
        try:
            self.state.play(move.action)
        except ValueError:
            raise GtpError("illegal move") from None
        if record:
            self.moves.append(move)

    def _force_pass(self, colour: int) -> None:
        """Othello's forced pass, which controllers leave out. Raises GtpError when it is not this colour's turn."""
        legal = self.state.legal_actions()
        if len(legal) != 1 or self.game.action_to_text(legal[0]) != "pass" or self.state.to_move == colour:
            raise GtpError("illegal move")
        self.state = self.state.copy()
        self.state.play(legal[0])

    def play(self, colour: int, action: int) -> None:
        """Raises GtpError("illegal move"), with the position as it was."""
        before = self.state
        expected = self.state.to_move == colour and not self.state.terminal
        try:
            self._advance(Move(colour, action))
        except GtpError:
            self.state = before
            raise
        if expected:
            self.search.play(0, action)
        else:
            self.search.reset(0, self.state, seed=len(self.moves))

    def undo(self, count: int = 1) -> None:
        """Raises GtpError("cannot undo")."""
        if count > len(self.moves):
            raise GtpError("cannot undo")
        self.set_up(self.black, self.white, self.moves[: len(self.moves) - count])

    def configure(self, **settings: object) -> None:
        """Changes komi or rules in the middle of a game. Raises UserError when the game has no such setting."""
        rules = self.rules | settings
        game = make_game(self.game.name, **rules)
        self.rules = rules
        self._take_game(game)
        self.set_up(self.black, self.white, self.moves)

    # vertices

    def to_vertex(self, action: int) -> str:
        return to_vertex(self.game, action)

    def to_action(self, vertex: str) -> int:
        """Raises GtpError("invalid color or coordinate")."""
        try:
            return to_action(self.game, vertex)
        except ValueError:
            raise GtpError("invalid color or coordinate") from None

    def need_points(self) -> None:
        """Raises GtpError in games whose moves are not points of the board."""
        if not moves_are_points(self.game):
            raise GtpError(f"moves of {self.game.name} are not points")

    # thinking

    def turn_to(self, colour: int) -> None:
        """Lets the search look from this colour's side, whoever's turn it is; the position stays."""
        if self.state.to_move != colour or self.state.terminal:
            if not hasattr(self.game, "position"):
                if self.state.terminal:
                    return
                before = self.state
                self._force_pass(colour)
                looked_at, self.state = self.state, before
                self.search.reset(0, looked_at)
                return
            stones = self.state.stones().ravel()
            sides = ([k for k in range(self.cells) if stones[k] == side] for side in (1, 2))
            self.search.reset(0, self.game.position(*sides, colour), seed=len(self.moves))

    def think(self, colour: int, stop: Callable[[], bool] = lambda: False) -> Thoughts | None:
        """Searches for a move of `colour`, within the clock or the simulations; None when there is none to make."""
        self.turn_to(colour)
        if self.search.state(0).terminal:
            return None
        seconds = self.seconds(colour)
        self.search_for(self.sims if seconds is None else None, seconds, stop)
        return read_thoughts(self.search, 0)

    def search_for(self, sims: int | None, seconds: float | None, stop: Callable[[], bool]) -> None:
        """Adds simulations to the present search: so many, for so long, or until `stop`."""
        began, done, slice_ = time.monotonic(), 0, 1
        if sims == 0:
            slice_ = 0
        while True:
            if sims is not None:
                slice_ = min(slice_, sims - done)
            self.search.start(0, slice_, noise=False)
            self.search.run(self.evaluate)
            done += slice_
            elapsed = time.monotonic() - began
            if stop() or (sims is not None and done >= sims) or (seconds is not None and elapsed >= seconds):
                return
            slice_ = max(1, min(2 * slice_, int(done / max(elapsed, 1e-6) * _SLICE_SECONDS)))

    def choose(self) -> int:
        return self.search.choose(0, self.player.settings.temperature)

    def seconds(self, colour: int) -> float | None:
        """Seconds for the next move, None without a clock."""
        if self.time is None:
            return None
        left, stones = self.clocks[colour]
        if stones > 0:
            budget = left / stones
        else:
            budget = left / _MOVES_TO_GO + 0.8 * self.time.increment
            if self.time.stones > 0:
                budget = max(budget, min(left + self.time.period, left / 10 + self.time.period / self.time.stones))
        return max(0.01, budget - _LAG_SECONDS)

    def set_time(self, settings: TimeSettings | None) -> None:
        self.time = settings
        self.reset_clocks()

    def reset_clocks(self) -> None:
        if self.time is not None:
            whole = (self.time.main, 0) if self.time.main > 0 else (self.time.period, self.time.stones)
            self.clocks = [whole, whole]


def is_go(session: Session) -> bool:
    return family(session.game.name) == "go"

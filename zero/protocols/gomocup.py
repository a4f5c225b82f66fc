"""The Gomocup (Piskvork) protocol, the brain's side: https://plastovicka.github.io/protocl2en.htm.

Coordinates are `x,y` from 0,0 at the top left; our stones are field 1, the opponent's 2. Which colour began follows
from the stones on the board.
"""

import sys
from collections.abc import Callable, Iterable

from zero.arena.players import PlayerSpec
from zero.errors import UserError
from zero.protocols.gtp_session import GtpError, Move, Session, TimeSettings

_ABOUT = 'name="Zero", version="1", author="the Zero project", country="-"'


class Brain:
    """One player behind a manager; `write` gets whole lines."""

    def __init__(self, player: PlayerSpec, write: Callable[[str], None], game: str | None = None, threads: int = 1):
        """Raises UserError when the player cannot play Gomoku."""
        self.player, self.write, self.threads = player, write, threads
        self.session = Session(player, game or player.settings.game or _known_game(player) or "gomoku15", threads)
        if not self.session.game.name.startswith("gomoku"):
            raise UserError(f"player '{player}' plays {self.session.game.name}; the protocol is for gomoku")
        self.turn_seconds: float | None = None
        self.match_seconds: float | None = None
        self.left_seconds: float | None = None
        self.board: list[tuple[int, int]] | None = None  # (action, field) while BOARD ... DONE is read
        self.open = True

    def serve(self, lines: Iterable[str]) -> None:
        """Answers until END or the end of input."""
        for line in lines:
            self.handle(line)
            if not self.open:
                return

    def handle(self, line: str) -> None:
        """One line of input; what cannot be done is answered by ERROR or UNKNOWN, and the game goes on."""
        words = line.replace(",", " ").split()
        if not words:
            return
        try:
            if self.board is not None:
                self._board_line(words)
            elif command := _COMMANDS.get(words[0].upper()):
                command(self, words[1:])
            else:
                self.write(f"UNKNOWN command {words[0][:40]}")
        except (GtpError, UserError, ValueError, IndexError) as error:
            self.write(f"ERROR {' '.join(str(error).split())}")

    def start(self, words: list[str]) -> None:
        if len(words) > 1 and words[0] != words[1]:
            raise ValueError("rectangular boards are not supported")
        try:
            self.session.change_game(f"gomoku{int(words[0])}")
            if self.session.trained_for not in (None, self.session.game.name):
                raise UserError(f"this network plays {self.session.trained_for}")
        except UserError as error:
            raise ValueError(f"unsupported size: {error}") from None
        self.write("OK")

    def restart(self, words: list[str]) -> None:
        self.session.clear()
        self.write("OK")

    def begin(self, words: list[str]) -> None:
        if self.session.moves:
            raise ValueError("BEGIN on a board with stones")
        self._move()

    def turn(self, words: list[str]) -> None:
        self.session.play(self.session.state.to_move, self._action(words))
        self._move()

    def takeback(self, words: list[str]) -> None:
        if not self.session.moves or self.session.moves[-1].action != self._action(words):
            raise ValueError("only the last move can be taken back")
        self.session.undo()
        self.write("OK")

    def begin_board(self, words: list[str]) -> None:
        self.board = []

    def _board_line(self, words: list[str]) -> None:
        if words[0].upper() != "DONE":
            field = int(words[2])
            if field in (1, 2):  # 3 marks the winning line or a forbidden point
                self.board.append((self._action(words), field))
            return
        stones, self.board = self.board, None
        mine, theirs = ([action for action, field in stones if field == side] for side in (1, 2))
        if len(theirs) - len(mine) not in (0, 1):
            raise ValueError("BOARD: it is not my turn")
        first, second = (theirs, mine) if len(theirs) > len(mine) else (mine, theirs)
        moves = [Move(k % 2, (first, second)[k % 2][k // 2]) for k in range(len(stones))]
        try:
            self.session.set_up((), (), moves)
        except GtpError:
            raise ValueError("BOARD: this position cannot come about") from None
        self._move()

    def info(self, words: list[str]) -> None:
        """Times are in milliseconds; what is not known is ignored, as the protocol asks."""
        name, value = words[0].lower(), words[1]
        if name == "timeout_turn":
            self.turn_seconds = int(value) / 1000
        elif name == "timeout_match":
            self.match_seconds = int(value) / 1000 or None
        elif name == "time_left":
            self.left_seconds = int(value) / 1000

    def about(self, words: list[str]) -> None:
        self.write(_ABOUT)

    def end(self, words: list[str]) -> None:
        self.open = False

    def _action(self, words: list[str]) -> int:
        x, y = int(words[0]), int(words[1])
        game = self.session.game
        if not (0 <= x < game.cols and 0 <= y < game.rows):
            raise ValueError(f"{x},{y} is not on the board")
        return y * game.cols + x

    def _move(self) -> None:
        session = self.session
        session.set_time(self._clock())
        colour = session.state.to_move
        if session.think(colour) is None:
            raise ValueError("the game is over")
        action = session.choose()
        session.play(colour, action)
        self.write(f"{action % session.game.cols},{action // session.game.cols}")

    def _clock(self) -> TimeSettings | None:
        """One move's time: the turn's limit, less if the match would not bear it; None for fixed simulations."""
        left = self.left_seconds if self.left_seconds is not None else self.match_seconds
        limits = [limit for limit in (self.turn_seconds, left and left / 20) if limit is not None]
        return TimeSettings(0, 0.9 * min(limits), 1) if limits else None


def _known_game(player: PlayerSpec) -> str | None:
    from zero.arena.seats import game_of

    return game_of(player)


_COMMANDS: dict[str, Callable[[Brain, list[str]], None]] = {
    "START": Brain.start, "RECTSTART": Brain.start, "RESTART": Brain.restart, "BEGIN": Brain.begin, "TURN": Brain.turn,
    "TAKEBACK": Brain.takeback, "BOARD": Brain.begin_board, "INFO": Brain.info, "ABOUT": Brain.about, "END": Brain.end,
}


def serve_stdio(player: PlayerSpec, game: str | None, threads: int) -> None:
    """Serves on stdin and stdout until END or the end of input."""
    sys.stdin.reconfigure(encoding="utf-8", errors="replace")
    Brain(player, lambda line: print(line, flush=True), game, threads).serve(sys.stdin)

"""GTP, the Go Text Protocol version 2 (draft 2): the engine's side, for every game we have.

Commands are functions of a `Connection` and its arguments, in the tables of the modules `gtp_*`. The reader thread
only splits lines, so that an analysis notices any input at once.
"""

import queue
import sys
import threading
from collections.abc import Callable, Iterable

from zero.errors import UserError
from zero.protocols.gtp_session import GtpError, Session

Command = Callable[["Connection", list[str]], str]


class Connection:
    """One controller at one session; `write` gets complete pieces of output."""

    def __init__(self, session: Session, write: Callable[[str], None], resign_below: float | None = None):
        from zero.protocols import gtp_analysis, gtp_gogui, gtp_play

        self.session, self.write, self.resign_below = session, write, resign_below
        self.commands: dict[str, Command] = {
            "protocol_version": lambda connection, words: "2",
            "name": lambda connection, words: "Zero",
            "version": _version,
            "known_command": _known_command,
            "list_commands": lambda connection, words: "\n".join(sorted(self.commands)),
            "quit": _quit,
            **gtp_play.COMMANDS, **gtp_analysis.COMMANDS, **gtp_gogui.COMMANDS,
        }
        self.open = True
        self.number = ""  # the id of the command being answered
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def serve(self, lines: Iterable[str]) -> None:
        """Answers until `quit` or the end of input."""
        def read() -> None:
            for line in lines:
                # gogui-interrupt comes as a comment; the queue's being not empty is the interruption.
                if clean(line) or line.startswith("# interrupt"):
                    self._lines.put(line)
            self._lines.put(None)

        threading.Thread(target=read, daemon=True).start()
        while self.open and (line := self._lines.get()) is not None:
            self.handle(line)

    def input_waits(self) -> bool:
        """Whether the controller has said something more: what ends an analysis."""
        return not self._lines.empty()

    def handle(self, line: str) -> None:
        """Answers one line of input; comments and empty ones have no answer."""
        words = clean(line).split()
        self.number = words.pop(0) if words and words[0].isdigit() else ""
        if not words:
            return
        try:
            command = self.commands.get(words[0])
            if command is None:
                raise GtpError("unknown command")
            answer, mark = command(self, words[1:]), "="
        except GtpError as error:
            answer, mark = str(error), "?"
        except UserError as error:
            answer, mark = " ".join(str(error).split()), "?"
        except Exception as error:  # a bug must not end a game that is being played
            print(f"zero gtp: {line.strip()[:200]}: {error!r}", file=sys.stderr, flush=True)
            answer, mark = f"internal error: {' '.join(str(error).split())}", "?"
        if answer is not ANSWERED:
            self.write(f"{mark}{self.number} {answer}".rstrip() + "\n\n")

    def begin_answer(self) -> None:
        """Opens an answer that grows while a command runs (analysis); the command ends it by an empty line."""
        self.write(f"={self.number}\n")


ANSWERED = "\0"  # a command that has written its answer itself


def clean(line: str) -> str:
    """Without comment and control characters; tabs are spaces (section 2.5 of the protocol)."""
    line = line.partition("#")[0].replace("\t", " ")
    return "".join(c for c in line if ord(c) >= 32 and ord(c) != 127).strip()


def _version(connection: Connection, words: list[str]) -> str:
    from importlib.metadata import version

    return f"{version('zero-engine')} {connection.session.player}"


def _known_command(connection: Connection, words: list[str]) -> str:
    return "true" if words and words[0] in connection.commands else "false"


def _quit(connection: Connection, words: list[str]) -> str:
    connection.open = False
    return ""


def serve_stdio(session: Session, resign_below: float | None) -> None:
    """Serves on stdin and stdout until `quit` or the end of input."""
    sys.stdin.reconfigure(encoding="utf-8", errors="replace")

    def write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    Connection(session, write, resign_below).serve(sys.stdin)

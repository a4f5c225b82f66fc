"""Another program as a child process that speaks in lines, watched by the clock.

Whatever it does (hang, crash, flood, babble), the caller gets an `EngineFailure` that says which, with the last lines
of its stderr; and it is gone when we are, with all it started, even if we are killed.
"""

import os
import queue
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque

from zero.errors import UserError

_STDERR_LINES = 12
_LINE_BYTES = 1 << 20  # no honest answer is longer
_QUEUED_LINES = 10_000
_GRACE_SECONDS = 2.0

# Runs in the child, as leader of the engine's group: when our process dies, by whatever (PR_SET_PDEATHSIG), it kills
# the group, helpers included; when the engine ends, it ends likewise. A program of its own because preexec_fn is not
# safe in a process with threads.
_LAUNCHER = """
import ctypes, os, signal, sys
ends_with_parent = ctypes.CDLL(None).prctl
signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, signal.SIGKILL))
ends_with_parent(1, signal.SIGTERM)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
engine = os.fork()
if engine == 0:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ends_with_parent(1, signal.SIGKILL)
    os.execvp(sys.argv[2], sys.argv[2:])
os.closerange(0, 3)  # the engine alone holds its pipes
_, status = os.waitpid(engine, 0)
if os.WIFSIGNALED(status):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), os.WTERMSIG(status))
os._exit(os.waitstatus_to_exitcode(status))
"""


class EngineFailure(Exception):
    """`kind`: "stall" (no answer in time), "crash" (the process ended), "illegal move", "protocol error"."""

    def __init__(self, engine: "LineEngine", kind: str, detail: str):
        super().__init__(detail)
        self.engine, self.kind = engine, kind

    def report(self) -> str:
        """What happened and what the engine last wrote to stderr: all of it once the engine is closed."""
        tail = self.engine.stderr_tail
        return f"{self}; stderr:\n{tail}" if tail else str(self)


def find_program(name: str) -> str | None:
    """The path of a program, looked for also where Debian puts games; None if there is none."""
    return shutil.which(name) or shutil.which(name, path="/usr/games:/usr/local/games")


class LineEngine:
    """A running engine. Not thread-safe; one owner asks and reads."""

    def __init__(self, command: str):
        """Starts it. Raises UserError when there is no such program."""
        try:
            self.arguments = shlex.split(command)
        except ValueError as error:
            raise UserError(f"engine '{command}': {error}") from None
        program = self.arguments[0] if self.arguments else ""
        found = find_program(program)
        if found is None:
            raise UserError(f"engine '{command}': there is no program '{program}' on this machine")
        self.arguments[0] = found
        self._lines: queue.Queue[bytes | None] = queue.Queue(_QUEUED_LINES)
        self._stderr: deque[bytes] = deque(maxlen=_STDERR_LINES)
        self._closed = False
        launch = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid())]
        self._process = subprocess.Popen(
            launch + self.arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True)  # a group of its own: helpers it starts end with it, our Ctrl-C is not its own
        self._readers = [threading.Thread(target=target, daemon=True) for target in (self._read, self._read_stderr)]
        for reader in self._readers:
            reader.start()

    def _read(self) -> None:
        while line := self._process.stdout.readline(_LINE_BYTES):
            self._offer(line)
        self._offer(None)

    def _offer(self, line: bytes | None) -> None:
        while not self._closed:
            try:
                return self._lines.put(line, timeout=0.1)  # a flooding engine waits in its pipe
            except queue.Full:
                continue

    def _read_stderr(self) -> None:
        while line := self._process.stderr.readline(_LINE_BYTES):
            self._stderr.append(line[-400:])

    @property
    def stderr_tail(self) -> str:
        return b"".join(self._stderr).decode("utf-8", "replace").strip()

    def failure(self, kind: str, detail: str) -> EngineFailure:
        return EngineFailure(self, kind, detail)

    def send(self, line: str) -> None:
        """Writes one line. Raises EngineFailure when the process has ended."""
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except (OSError, ValueError):
            raise self._crash(f"'{line}'") from None

    def read_line(self, deadline: float, doing: str) -> str:
        """The next line without its end, before `deadline` (time.monotonic). Raises EngineFailure, naming `doing`."""
        try:
            line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise self.failure("stall", f"no answer to {doing} in time") from None
        if line is None:
            raise self._crash(doing)
        if len(line) >= _LINE_BYTES:
            raise self.failure("protocol error", f"a line of {_LINE_BYTES} bytes in answer to {doing}")
        return line.decode("utf-8", "replace").rstrip("\r\n")

    def _crash(self, doing: str) -> EngineFailure:
        try:
            status = self._process.wait(timeout=_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            return self.failure("crash", f"closed its output at {doing}")
        how = f"by signal {-status}" if status < 0 else f"with exit status {status}"
        return self.failure("crash", f"ended {how} at {doing}")

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def close(self, farewell: str = "") -> None:
        """Ends the process and all it started: asks first, then kills. Never raises."""
        try:
            if farewell and self.running:
                self.send(farewell)
            self._process.stdin.close()
        except (EngineFailure, OSError):
            pass
        try:
            self._process.wait(timeout=_GRACE_SECONDS if farewell else 0.05)
        except subprocess.TimeoutExpired:
            pass
        self._closed = True
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        self._process.wait()
        for reader in self._readers:
            reader.join(timeout=_GRACE_SECONDS)

"""The engine: a child process that speaks the analysis protocol, one JSON object per line.

A reader thread splits the child's output into lines and wakes the window; everything else happens in `poll`, on the
window's thread. Each request has an id of its own: an answer to an id that is no longer waited for is dropped.
"""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Answer = dict[str, Any]
MAX_RESTARTS = 3  # in a row, without HEALTHY_AFTER seconds between them
HEALTHY_AFTER = 60.0
BACKOFF = 0.5  # seconds before the first restart; doubles
PATIENCE = 30.0  # seconds of silence with a request open before the child counts as hung
MAX_GARBAGE = 20  # unreadable lines before the child counts as broken
STDERR_LINES = 20
NICE = 5
MAX_LINE = 16_000_000  # characters
QUIT_SECONDS = 1.0
WRONG_INPUT = 2  # exit code: there is no such player, and there will be none at the next start


PLAYS_ONLY = ("random", "solver", "gtp:", "gomocup:")  # players that do not search in our process: no analysis


def analysis_command(player: str, game: str) -> list[str]:
    """The command line of an engine process for a player (see the analysis protocol)."""
    if player.startswith(PLAYS_ONLY):
        return [sys.executable, "-m", "gui.seat_engine", player, game]
    start = "import sys; from zero.cli import main; sys.exit(main())"
    return [sys.executable, "-c", start, "analysis", player, "--game", game]


@dataclass
class Request:
    """An open question: `answer` is called for every report and for the last one (`done` or `error`)."""

    id: str
    payload: dict
    answer: Callable[[Answer], None]
    sent: float | None = None


@dataclass
class Engine:
    """One child process and its open requests.

    States: `stopped`, `starting` (nothing heard yet), `ready`, `waiting` (restarts after a pause), `failed` (given up;
    `restart()` tries again). `problem` says what went wrong last, in the child's own words where it had any.
    """

    command: list[str]
    wake: Callable[[], None] = lambda: None
    clock: Callable[[], float] = time.monotonic
    patience: float = PATIENCE
    backoff: float = BACKOFF
    state: str = "stopped"
    problem: str = ""
    restarts: int = 0
    process: subprocess.Popen | None = None
    open: dict[str, Request] = field(default_factory=dict)
    _lines: queue.SimpleQueue = field(default_factory=queue.SimpleQueue)
    _stderr: deque = field(default_factory=lambda: deque(maxlen=STDERR_LINES))
    _count: int = 0
    _garbage: int = 0
    _heard: float = 0.0
    _retry_at: float = 0.0
    _failed_at: float = float("-inf")

    # -- requests ------------------------------------------------------------------------------------------------

    def ask(self, payload: dict, answer: Callable[[Answer], None]) -> str:
        """Sends a request (without `id`); returns its id. Starts the child if it is not running."""
        self._count += 1
        request = Request(f"q{self._count}", payload, answer)
        self.open[request.id] = request
        if self.state == "stopped":
            self._start()
        elif self.state in ("starting", "ready"):
            self._send(request)
        return request.id

    def cancel(self, request_id: str | None) -> None:
        """Forgets a request; later answers to it are dropped."""
        request = self.open.pop(request_id, None)
        if request and request.sent is not None and self.state in ("starting", "ready"):
            self._write({"id": f"c{request_id}", "cancel": request_id})

    def restart(self) -> None:
        """Starts afresh after `failed`, with all restarts to spare."""
        self._kill()
        self.restarts, self.problem = 0, ""
        self._start()

    def close(self) -> None:
        """Ends the child: end of input first, then by force."""
        self.open.clear()
        if self.process and self.process.poll() is None:
            try:
                self.process.stdin.close()
                self.process.wait(QUIT_SECONDS)
            except (OSError, subprocess.TimeoutExpired):
                pass
        self._kill()
        self.state = "stopped"

    @property
    def busy(self) -> bool:
        return bool(self.open)

    # -- the window's thread ---------------------------------------------------------------------------------------

    def poll(self) -> bool:
        """Delivers what has arrived, watches for silence, restarts when due. Returns whether anything changed."""
        changed = False
        while not self._lines.empty():
            process, line = self._lines.get()
            if process is self.process:
                changed = True
                self._died() if line is None else self._receive(line)
        now = self.clock()
        waiting_since = max([self._heard] + [r.sent for r in self.open.values() if r.sent is not None])
        if self.state in ("starting", "ready") and self.open and now - waiting_since > self.patience:
            self._broken(f"no answer for {self.patience:.0f} seconds")
            changed = True
        if self.state == "waiting" and now >= self._retry_at:
            self._start()
            changed = True
        return changed

    def next_deadline(self) -> float | None:
        """When `poll` has something to do even if nothing arrives (clock time), or None."""
        if self.state == "waiting":
            return self._retry_at
        if self.state in ("starting", "ready") and self.open:
            return max([self._heard] + [r.sent for r in self.open.values() if r.sent is not None]) + self.patience
        return None

    # -- inside ----------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self._stderr.clear()
        self._garbage = 0
        self._heard = self.clock()
        try:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                encoding="utf-8", errors="replace", bufsize=1)
        except OSError as error:
            self.process, self.state, self.problem = None, "failed", str(error)
            return
        if hasattr(os, "setpriority"):
            os.setpriority(os.PRIO_PROCESS, self.process.pid, NICE)  # the window comes first on a full machine
        self.state = "starting"
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()
        threading.Thread(target=self._read_errors, args=(self.process,), daemon=True).start()
        for request in list(self.open.values()):
            self._send(request)

    def _read(self, process: subprocess.Popen) -> None:
        while line := process.stdout.readline(MAX_LINE):
            self._lines.put((process, line))
            self.wake()
        process.wait()
        self._lines.put((process, None))
        self.wake()

    def _read_errors(self, process: subprocess.Popen) -> None:
        for line in process.stderr:
            if process is self.process and line.strip():
                self._stderr.append(line.rstrip())

    def _send(self, request: Request) -> None:
        request.sent = self.clock()
        self._write({"id": request.id, **request.payload})

    def _write(self, message: dict) -> None:
        try:
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()
        except (OSError, ValueError):
            pass  # the child is gone; its reader thread says so next

    def _receive(self, line: str) -> None:
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            self._garbage += 1
            if self._garbage > MAX_GARBAGE:
                self._broken(f"unreadable output: {line.strip()[:80]}")
            return
        self._heard = self.clock()
        self.state = "ready"
        request = self.open.get(answer.get("id"))
        if request is None:
            return
        if answer.get("done") or "error" in answer:
            del self.open[request.id]
        request.answer(answer)

    def _died(self) -> None:
        code = self.process.poll()
        self._broken(f"ended with code {code}", hopeless=code == WRONG_INPUT and self.state == "starting")

    def _broken(self, reason: str, hopeless: bool = False) -> None:
        """The child is of no use any more: try again after a pause, or give up."""
        last_words = self._stderr[-1] if self._stderr else ""
        self.problem = f"{reason}: {last_words}" if last_words else reason
        self._kill()
        now = self.clock()
        self.restarts = 0 if now - self._failed_at > HEALTHY_AFTER else self.restarts
        self._failed_at = now
        if hopeless or self.restarts >= MAX_RESTARTS:
            self.state = "failed"
            for request in list(self.open.values()):
                request.sent = None
            return
        self.state, self._retry_at = "waiting", now + self.backoff * 2**self.restarts
        self.restarts += 1
        for request in self.open.values():
            request.sent = None

    def _kill(self) -> None:
        process, self.process = self.process, None
        if process and process.poll() is None:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout) if process else ():
            try:
                pipe.close()
            except (OSError, ValueError):
                pass

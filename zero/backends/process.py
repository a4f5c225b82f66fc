"""Roles in processes of this machine, spoken to through pipes.

Processes are spawned, never forked: a forked child inherits locks and threads it cannot use. A child dies with the
thread of its parent that spawned it, whatever it is doing.
"""

import ctypes
import faulthandler
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from nn.backend import cards
from zero.backends import OneMachine, WorkerDied


def serve(pipe: Connection, role: Callable[..., Any], args: tuple) -> None:
    """The child's main loop: makes the role, answers calls until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides what it means
    faulthandler.enable()  # a crash in compiled code says where
    _die_with_parent()
    try:
        worker = role(*args)
        while True:
            method, arguments = pipe.recv()
            try:
                answer = (getattr(worker, method)(*arguments), None)
            except Exception as error:
                answer = (None, error)
            pipe.send(answer)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass


def _die_with_parent() -> None:
    """Elsewhere than on Linux a child notices at its next answer."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != multiprocessing.parent_process().pid:
            os._exit(1)


@dataclass(eq=False)
class ProcessHandle:
    process: multiprocessing.Process
    pipe: Connection


@dataclass(eq=False)
class ProcessCall:
    handle: ProcessHandle

    def result(self) -> Any:
        try:
            value, error = self.handle.pipe.recv()
        except (EOFError, ConnectionResetError):
            self.handle.process.join(1)
            raise WorkerDied(f"a worker process ended with exit code {self.handle.process.exitcode}") from None
        if error is not None:
            raise error
        return value


class ProcessBackend(OneMachine):
    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")
        self.capacity = len(os.sched_getaffinity(0))

    @property
    def cards(self) -> int:
        return cards()

    def spawn(self, role: Callable[..., Any], *args: Any) -> ProcessHandle:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=serve, args=(theirs, role, args), daemon=True)
        process.start()
        theirs.close()
        return ProcessHandle(process, ours)

    def share(self, value: Any) -> Any:
        return value

    def call(self, handle: ProcessHandle, method: str, *args: Any) -> ProcessCall:
        try:
            handle.pipe.send((method, args))
        except (BrokenPipeError, ConnectionResetError):
            pass  # result() reads the end of the pipe and says so
        return ProcessCall(handle)

    def wait(self, calls: Sequence[ProcessCall], timeout: float | None = None) -> list[ProcessCall]:
        ready = wait([call.handle.pipe for call in calls], timeout)
        return [call for call in calls if call.handle.pipe in ready]

    def kill(self, handle: ProcessHandle) -> None:
        handle.process.kill()
        handle.process.join()
        handle.pipe.close()

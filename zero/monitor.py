"""The state of a run as anyone sees it who can read its directory: the present, the history, and what is wrong."""

import json
import math
import os
import socket
import time
from dataclasses import dataclass

from zero.run import RunDirectory

STALLED_SECONDS = 60.0  # a training tells every second how it is; its longest silence is a checkpoint
SILENT_WORKER_SECONDS = 60.0
LOW_DISK_BYTES = 1 << 30
LOW_MEMORY_SHARE = 0.1


@dataclass(frozen=True)
class Snapshot:
    """`status`: what the training said last (empty: nothing yet), `age` seconds ago; `history`: a dict an iteration;
    `alarms`: what someone should look at, in words."""

    status: dict
    age: float
    history: list[dict]
    alarms: list[str]

    @property
    def over(self) -> bool:
        return self.status.get("phase", "").startswith(("finished", "stopped", "failed"))


def look(run: RunDirectory) -> Snapshot:
    """Reads the run; damaged or missing files count as not there."""
    try:
        status = json.loads((run.root / "status.json").read_text())
    except (OSError, ValueError):
        status = {}
    history = run.metrics()
    age = max(0.0, time.time() - status.get("time", time.time()))
    snapshot = Snapshot(status, age, history, [])
    return Snapshot(status, age, history, list(_alarms(snapshot)))


def _alarms(snapshot: Snapshot):
    status, history = snapshot.status, snapshot.history
    if status.get("phase", "").startswith("failed"):
        yield status["phase"]
    elif status and not snapshot.over:
        if _is_gone(status):
            yield f"the training process {status['pid']} is gone without a word; zero train --resume goes on"
        elif snapshot.age > STALLED_SECONDS:
            yield f"stalled: no sign of life for {snapshot.age:.0f} s"
    last = history[-1] if history else {}
    for name, value in {**last, **status}.items():
        if isinstance(value, float) and not math.isfinite(value):
            yield f"{name} is not finite"
    for worker in status.get("workers", []):
        if worker["seconds_ago"] > SILENT_WORKER_SECONDS and status["phase"] == "self-play":
            yield f"worker {worker['worker']}: nothing heard for {worker['seconds_ago']:.0f} s"
    if status.get("strikes"):
        yield f"{status['strikes']} times a worker sent games that were refused"
    if status.get("restarts"):
        yield f"{status['restarts']} workers were replaced"
    if status.get("disk_free_bytes", math.inf) < LOW_DISK_BYTES:
        yield f"only {status['disk_free_bytes'] / 2**20:.0f} MiB of disk are left"
    if status.get("memory_free_share", 1) < LOW_MEMORY_SHARE:
        yield f"only {status['memory_free_share']:.0%} of the machine's memory are left"


def _is_gone(status: dict) -> bool:
    """Whether the process is known to have ended: only on the machine that it ran on."""
    if status.get("host") != socket.gethostname():
        return False
    try:
        os.kill(status["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False

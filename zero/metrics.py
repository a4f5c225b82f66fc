"""What a run tells about itself while it trains.

    metrics.jsonl   a line for each iteration: the history
    status.json     written anew every second: the present, for `zero top`
    tensorboard/    the history for TensorBoard, where tensorboardX is installed
    Prometheus      past and present over HTTP on this machine's loopback, where a port is asked for
"""

import math
import os
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path

from zero.cards import CARD_FIGURES
from zero.errors import UserError
from zero.files import write_json
from zero.memory import free_share
from zero.run import RunDirectory

LIVE_SECONDS = 1.0  # between two states of status.json
GROUPS = {
    "self-play": ("games_per_s", "positions_per_s", "sims_per_s", "evaluations_per_s", "batch", "batch_p10", "lanes",
                  "groups", "game_length", "first_player_score", "draws", "policy_entropy"),
    "replay": ("window", "positions", "window_age", "window_age_seconds", "samples_per_position", "tokens"),
    "learner": ("lr", "gradient_norm", "steps_per_s", "samples_per_s", "data_wait"),
    "time": ("play_seconds", "learn_seconds", "store_seconds", "iteration_seconds", "network_busy", "search_busy",
             "idle"),
    "machine": ("memory_bytes", "workers_memory_bytes", "disk_free_bytes", "slowest_sync_ms"),
    "faults": ("restarts", "strikes", "refused_games", "spooled_games", "quarantined_games", "damaged_stretches"),
    "cards": CARD_FIGURES,
}


class TensorBoard:
    """An event file of scalars over training steps. What an earlier part of the run wrote past `steps` is hidden."""

    def __init__(self, directory: Path, steps: int):
        from tensorboardX.event_file_writer import EventsWriter  # SummaryWriter hides a full disk in its thread
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        directory.mkdir(exist_ok=True)
        self._writer, self._event = EventsWriter(str(directory / "events")), Event
        restart = Event(wall_time=time.time(), step=steps + 1, session_log=SessionLog(status=SessionLog.START))
        self._writer.write_event(restart)

    def write(self, values: dict) -> None:
        from tensorboardX.summary import scalar

        for name, value in values.items():
            if name.endswith("_loss"):
                name = f"loss/{name.removesuffix('_loss')}"
            else:
                name = next((f"{group}/{name}" for group, names in GROUPS.items() if name in names), None)
            if name and math.isfinite(value):
                event = self._event(wall_time=time.time(), step=values["steps"], summary=scalar(name, value))
                self._writer.write_event(event)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class Prometheus:
    """Gauges named `zero_*` at http://127.0.0.1:PORT/metrics. Raises UserError if the port is taken, or the library
    is not installed."""

    def __init__(self, port: int):
        try:
            from prometheus_client import CollectorRegistry, start_http_server
            from prometheus_client.core import GaugeMetricFamily
        except ImportError:
            raise UserError("--metrics-port needs prometheus-client: pip install 'zero-engine[report]'") from None
        self.values: dict[str, float] = {}
        values, registry = self.values, CollectorRegistry()

        class Collector:
            def collect(self):
                for name, value in list(values.items()):
                    yield GaugeMetricFamily(f"zero_{name}", name.replace("_", " "), value=value)

        registry.register(Collector())
        try:
            self._server, _ = start_http_server(port, "127.0.0.1", registry)
        except (OSError, OverflowError) as error:
            raise UserError(f"--metrics-port {port}: {getattr(error, 'strerror', None) or error}") from None
        self.port = self._server.server_port

    def write(self, values: dict) -> None:
        self.values.update({name: value for name, value in values.items() if isinstance(value, int | float)})

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Metrics:
    """Writes all of these for one run; `port`: of the Prometheus endpoint, 0 = any free one."""

    def __init__(self, run: RunDirectory, port: int | None = None):
        self.run = run
        self.prometheus = None if port is None else Prometheus(port)
        self._tensorboard: TensorBoard | None = None
        self._live_at = -LIVE_SECONDS
        self._make: Callable[[], dict] = dict

    def resume(self, iteration: int, steps: int) -> None:
        """To be called before anything is written: what follows goes on from there."""
        self.run.trim_metrics(iteration)
        try:
            self._tensorboard = TensorBoard(self.run.root / "tensorboard", steps)
        except ImportError:
            pass  # it is an extra

    def iteration(self, values: dict) -> None:
        """One line of history."""
        self.run.log_metrics(values)
        if self._tensorboard:
            self._tensorboard.write(values)
        if self.prometheus:
            self.prometheus.write(values)

    def live(self, make: Callable[[], dict]) -> None:
        """The present, as `make` tells it, if the last time was a second ago."""
        now, self._make = time.monotonic(), make
        if now - self._live_at >= LIVE_SECONDS:
            self._live_at = now
            self._write(make())

    def _write(self, values: dict) -> None:
        about = {"time": time.time(), "pid": os.getpid(), "host": socket.gethostname(),
                 "memory_free_share": free_share()}
        write_json(self.run.root / "status.json", about | values)
        if self.prometheus:
            self.prometheus.write(values)

    def close(self, phase: str) -> None:
        """`phase` is the last that is heard of this process: "finished", "stopped", or what went wrong."""
        try:
            if self._tensorboard:
                self._tensorboard.close()
            self._write(self._make() | {"phase": phase, "workers": []})
        except OSError:
            pass  # a full disk, as whoever closes knows already
        if self.prometheus:
            self.prometheus.close()


def disk_free_bytes(path: Path) -> int:
    return shutil.disk_usage(path).free


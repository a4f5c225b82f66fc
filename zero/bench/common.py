"""What every benchmark shares: the clock, the description of the machine, the report."""

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version


@dataclass(frozen=True)
class Rate:
    """How much work was done in how long; seconds of the wall clock and of the process's CPU time."""

    count: float
    wall_s: float
    cpu_s: float


def measure(work: Callable[[], float], seconds: float) -> Rate:
    """Calls `work`, which returns how many units it did, until `seconds` of wall clock have passed."""
    count, wall, cpu = 0.0, time.perf_counter(), time.process_time()
    while True:
        count += work()
        elapsed = time.perf_counter() - wall
        if elapsed >= seconds:
            return Rate(count, elapsed, time.process_time() - cpu)


def interleave(works: dict[str, Callable[[], float]], seconds: float, rounds: int = 7) -> dict[str, list[Rate]]:
    """Measures several competitors in turns, so that a busy neighbour disturbs all of them alike.

    Each of the `rounds` gives every competitor `seconds / rounds` of wall clock. One uncounted call comes first.
    """
    for work in works.values():
        work()
    rates: dict[str, list[Rate]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            rates[name].append(measure(work, seconds / rounds))
    return rates


def per_second(unit: str, rates: list[Rate]) -> dict[str, float]:
    """`{unit}_per_s` and `{unit}_per_cpu_s`: medians over the rounds."""
    return {
        f"{unit}_per_s": statistics.median(r.count / r.wall_s for r in rates),
        f"{unit}_per_cpu_s": statistics.median(r.count / max(r.cpu_s, 1e-9) for r in rates),
    }


def cpu_name() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def package_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def machine(*packages: str) -> dict:
    """The machine and the versions a figure depends on; `packages` names the yardsticks that took part."""
    names = ("zero-engine", "numpy", *packages)
    return {
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: package_version(name) for name in names},
    }


def report(result: dict, as_json: bool) -> int:
    """Prints a table for people on stderr and, if asked, the result as one JSON object on stdout."""
    for key, value in result.items():
        shown = f"{value:,.4g}" if isinstance(value, float) and abs(value) < 1000 else value
        shown = f"{value:,.0f}" if isinstance(value, float) and abs(value) >= 1000 else shown
        print(f"{key:<28}{shown}", file=sys.stderr)
    if as_json:
        print(json.dumps(result))
    return 0

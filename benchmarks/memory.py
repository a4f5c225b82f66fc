"""Did the memory of a run stay flat? From the figures in its metrics.jsonl: `python benchmarks/memory.py RUN`.

The first quarter of the run is left out: caches and the replay window fill up there. The rest is fitted by a line
(Theil-Sen: the median of slopes, with its 95 % interval), for the training process and its workers apart.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from scipy.stats import theilslopes

from zero.run import RunDirectory


def trend(lines: list[dict], name: str) -> dict[str, float]:
    """MiB at the end, the most, and the growth in MiB an hour and in bytes a position, with its interval."""
    hours = np.array([line["seconds"] / 3600 for line in lines])
    positions = np.array([line["positions"] for line in lines])
    used = np.array([line[name] for line in lines]) / 2**20
    slope, _, low, high = theilslopes(used, hours)
    by_position = theilslopes(used * 2**20, positions)[0]
    return {"last_mib": used[-1], "most_mib": used.max(), "mib_per_hour": slope, "low": low, "high": high,
            "bytes_per_position": by_position}


def main() -> int:
    parser = argparse.ArgumentParser(description="growth of a run's memory")
    parser.add_argument("run", type=Path)
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line of stdout")
    arguments = parser.parse_args()
    lines = [line for line in RunDirectory.open(arguments.run).metrics() if "memory_bytes" in line]
    lines = lines[len(lines) // 4 :]
    if len(lines) < 8:
        sys.exit(f"{arguments.run}: too short a run: it needs 12 iterations that tell their memory")
    result = {"run": str(arguments.run), "hours": (lines[-1]["seconds"] - lines[0]["seconds"]) / 3600,
              "iterations": len(lines), "window_grew": lines[-1]["window"] / lines[0]["window"]}
    for name in ("memory_bytes", "workers_memory_bytes"):
        result[name] = found = trend(lines, name)
        print(f"{name.removesuffix('_bytes').replace('_', ' ')}: {found['last_mib']:.0f} MiB at the end, "
              f"{found['mib_per_hour']:+.1f} MiB an hour (95 %: {found['low']:+.1f} to {found['high']:+.1f}), "
              f"{found['bytes_per_position']:+.0f} bytes a position", file=sys.stderr)
    if arguments.json:
        print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())

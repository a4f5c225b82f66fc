"""`zero cluster doctor`: checks every node of a Ray cluster before a training does."""

import json
import sys
from dataclasses import dataclass
from typing import Literal

import tyro


@dataclass(frozen=True)
class ClusterArguments:
    """Is the cluster fit for zero train --cluster? On every node: versions, clock, room, transport, a game played."""

    command: tyro.conf.Positional[Literal["doctor"]]
    cluster: str = "auto"  # auto (this machine is part of one) or HOST:PORT of its head
    game: str = "connect4"  # played on each node
    stores: str | None = None  # the directory of zero train --stores: looked at on every node with a disk
    json: bool = False  # one JSON object on the last line of stdout


def main(argv: list[str]) -> int:
    arguments = tyro.cli(ClusterArguments, prog="zero cluster", args=argv)
    from zero.backends.ray import RayBackend
    from zero.cluster import examine
    from zero.config import Config, from_table

    table = {"game": arguments.game, "network": {"blocks": 1, "channels": 16}, "selfplay": {"sims": 8, "lanes": 1}}
    config = from_table(Config, table, "zero cluster doctor")
    results: dict[str, dict[str, str | None]] = {}
    for group, check in examine(RayBackend(arguments.cluster), config, arguments.stores):
        results.setdefault(group, {})[check.name] = check.fault
        mark = "ok    " if check.fault is None else "FAILED"
        print(f"{mark} {group}: {check.name}" + (f": {check.fault}" if check.fault else ""), file=sys.stderr)
    faults = sum(fault is not None for group in results.values() for fault in group.values())
    print(f"{sum(map(len, results.values()))} checks, {faults} failed", file=sys.stderr)
    if arguments.json:
        print(json.dumps({"checks": results, "failed": faults}))
    return 1 if faults else 0

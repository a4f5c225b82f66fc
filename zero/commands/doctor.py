"""`zero doctor`: checks games, networks and the installation on this machine."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro


@dataclass(frozen=True)
class DoctorArguments:
    """Check perspective, masks, planes, symmetries, terminal values and search of every registered game, and the
    installation."""

    games: tyro.conf.Positional[tuple[str, ...]] = ()  # the games to check [all registered ones]
    net: Path | None = None  # also check this network: a .safetensors file
    json: bool = False  # one JSON object on the last line of stdout


def main(argv: list[str]) -> int:
    arguments = tyro.cli(DoctorArguments, prog="zero doctor", args=argv)
    from mcts_ext import games
    from zero import doctor
    from zero.games import make_game

    results: dict[str, dict[str, str | None]] = {}

    def show(group: str, check: doctor.Check) -> None:
        results.setdefault(group, {})[check.name] = check.fault
        mark = "ok    " if check.fault is None else "FAILED"
        print(f"{mark} {group}: {check.name}" + (f"\n{check.fault}" if check.fault else ""), file=sys.stderr)

    for check in doctor.installation():
        show("installation", check)
    for name in arguments.games or games.names():
        for check in doctor.examine(make_game(name)):
            show(name, check)
    if arguments.net:
        for check in doctor.examine_network(arguments.net):
            show(str(arguments.net), check)
    faults = sum(fault is not None for group in results.values() for fault in group.values())
    count = sum(len(group) for group in results.values())
    print(f"{count} checks, {faults} failed", file=sys.stderr)
    if arguments.json:
        print(json.dumps({"checks": results, "failed": faults}))
    return 1 if faults else 0

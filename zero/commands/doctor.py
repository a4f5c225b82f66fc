"""`zero doctor`: checks games, networks and the installation on this machine."""

import itertools
import json
import sys
from dataclasses import dataclass

import tyro


@dataclass(frozen=True)
class DoctorArguments:
    """Check perspective, masks, planes, symmetries, terminal values, search, evaluation cache and compiled evaluation
    of every registered game, and the installation; or of those named, and of networks.

    Example: zero doctor 'go9?komi=5.5' runs/connect4 net.safetensors
    """

    what: tyro.conf.Positional[tuple[str, ...]] = ()  # games, runs (runs/c4, runs/c4@120), weights files [all games]
    json: bool = False  # one JSON object on the last line of stdout


def main(argv: list[str]) -> int:
    arguments = tyro.cli(DoctorArguments, prog="zero doctor", args=argv)
    from mcts_ext import games
    from zero import doctor, doctor_evaluation
    from zero.arena.networks import find_network
    from zero.arena.players import is_network
    from zero.games import make_game

    results: dict[str, dict[str, str | None]] = {}

    def show(group: str, check: doctor.Check) -> None:
        results.setdefault(group, {})[check.name] = check.fault
        mark = "FAILED" if check.fault is not None else "ok    " if check.skipped is None else "-     "
        detail = f"\n{check.fault}" if check.fault else f": skipped, {check.skipped}" if check.skipped else ""
        print(f"{mark} {group}: {check.name}{detail}", file=sys.stderr)

    for check in doctor.installation():
        show("installation", check)
    for name in arguments.what or games.names():
        if is_network(name):
            checks = doctor_evaluation.examine_network(find_network(name).path)
        else:
            game = make_game(name)
            checks = itertools.chain(doctor.examine(game), doctor_evaluation.examine_evaluation(game))
        for check in checks:
            show(name, check)
    faults = sum(fault is not None for group in results.values() for fault in group.values())
    count = sum(len(group) for group in results.values())
    print(f"{count} checks, {faults} failed", file=sys.stderr)
    if arguments.json:
        print(json.dumps({"checks": results, "failed": faults}))
    return 1 if faults else 0

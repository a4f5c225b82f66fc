"""`zero export`: a network as an ONNX file, for programs that are not this one."""

import dataclasses
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro


@dataclass(frozen=True)
class ExportArguments:
    """Write a network as ONNX (input NHWC planes, outputs policy logits and value, both seen by the player to move),
    compare it with ONNX Runtime where that is installed, and report what 8-bit inference would lose."""

    net: tyro.conf.Positional[str]  # a run, a checkpoint run@N, or a .safetensors file
    out: tyro.conf.Positional[Path]  # the ONNX file to write
    positions: int = 200  # positions of random games on which outputs are compared
    json: bool = False  # one JSON object on the last line of stdout


def main(argv: list[str]) -> int:
    arguments = tyro.cli(ExportArguments, prog="zero export", args=argv)
    from zero.arena.networks import find_network
    from zero.arena.players import parse_player
    from zero.errors import UserError
    from zero.export import export_network

    player = parse_player(arguments.net)
    if player.kind != "network":
        raise UserError(f"'{arguments.net}' is no network: name a run or a .safetensors file")
    if arguments.positions < 1:
        raise UserError(f"--positions {arguments.positions}: must be 1 or more")
    report = export_network(Path(find_network(player.target).path), arguments.out, arguments.positions)
    checked = "ONNX Runtime is not installed, nothing compared"
    if report.onnx_difference is not None:
        checked = f"ONNX Runtime differs by at most {report.onnx_difference:.1e}"
    print(f"{report.file}: {report.game}; {checked}", file=sys.stderr)
    policy, value = report.int8.values()
    print(
        f"in 8 bits: the same best move in {policy['same_choice']:.1%} of {report.positions} positions,"
        f" values off by at most {value['largest_error']:.3f}",
        file=sys.stderr,
    )
    if arguments.json:
        print(json.dumps(dataclasses.asdict(report)))
    return 0

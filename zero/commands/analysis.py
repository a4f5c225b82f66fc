"""`zero analysis PLAYER`: JSON lines on stdin and stdout, see docs/protocols.md."""

import os
from dataclasses import dataclass

import tyro

from zero.errors import UserError


@dataclass(frozen=True)
class AnalysisArguments:
    """Answer questions about positions: one JSON object a line on stdin, answers on stdout, many at once.

    Example: echo '{"id": "a", "moves": ["4", "4"], "sims": 100}' | zero analysis mcts:100 --game connect4
    """

    player: tyro.conf.Positional[str]  # who looks at the positions, see zero match --help
    game: str | None = None  # of requests that name none [the network's]
    slots: int = 64  # positions searched at once, in one batch
    threads: int | None = None  # [one for each core]


def main(argv: list[str]) -> int:
    arguments = tyro.cli(AnalysisArguments, prog="zero analysis", args=argv)
    from zero.arena.players import parse_player
    from zero.protocols.analysis import serve_stdio

    for name in ("slots", "threads"):
        if getattr(arguments, name) is not None and getattr(arguments, name) < 1:
            raise UserError(f"--{name} {getattr(arguments, name)}: must be 1 or more")
    player = parse_player(arguments.player)
    serve_stdio(player, arguments.game, arguments.slots, arguments.threads or len(os.sched_getaffinity(0)))
    return 0

"""`zero gomocup PLAYER`: the Gomocup (Piskvork) protocol on stdin and stdout."""

import os
from dataclasses import dataclass

import tyro


@dataclass(frozen=True)
class GomocupArguments:
    """Play Gomoku under a Gomocup manager (Piskvork). The manager chooses the size of the board and the clock."""

    player: tyro.conf.Positional[str]  # who plays, see zero match --help
    game: str | None = None  # the size before START [the network's, or gomoku15]
    threads: int | None = None  # [one for each core]


def main(argv: list[str]) -> int:
    arguments = tyro.cli(GomocupArguments, prog="zero gomocup", args=argv)
    from zero.arena.players import parse_player
    from zero.protocols.gomocup import serve_stdio

    serve_stdio(parse_player(arguments.player), arguments.game, arguments.threads or len(os.sched_getaffinity(0)))
    return 0

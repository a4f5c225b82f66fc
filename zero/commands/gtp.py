"""`zero gtp PLAYER`: the Go Text Protocol, version 2, on stdin and stdout."""

import os
from dataclasses import dataclass

import tyro

from zero.errors import UserError


@dataclass(frozen=True)
class GtpArguments:
    """Play under another program's control: GoGui, Sabaki, Lizzie, servers (docs/protocols.md lists the commands)."""

    player: tyro.conf.Positional[str]  # who plays, see zero match --help
    game: str | None = None  # the game, when the player knows none
    sims: int | None = None  # simulations a move without a clock [the player's own, or 100]
    resign: float | None = None  # resign below this value, between -1 (never) and 0
    threads: int | None = None  # [one for each core]


def main(argv: list[str]) -> int:
    arguments = tyro.cli(GtpArguments, prog="zero gtp", args=argv)
    from zero.arena.players import parse_player
    from zero.protocols.gtp import serve_stdio
    from zero.protocols.gtp_session import Session

    if arguments.sims is not None and arguments.sims < 0:
        raise UserError(f"--sims {arguments.sims}: must be 0 or more")
    if arguments.resign is not None and not -1 <= arguments.resign <= 0:
        raise UserError(f"--resign {arguments.resign}: must lie between -1 and 0")
    threads = arguments.threads or len(os.sched_getaffinity(0))
    session = Session(parse_player(arguments.player), arguments.game, threads)
    if arguments.sims is not None:
        session.sims = arguments.sims
    serve_stdio(session, arguments.resign)
    return 0

"""`zero match A B`: which of two players is stronger, and how sure is that."""

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from zero.errors import UserError


@dataclass(frozen=True)
class MatchArguments:
    """Play two players against each other, colours swapped, and say who is stronger.

    A player is a run (runs/c4, runs/c4@120), a weights file, random, mcts:1000 (random playouts), uniform:1000,
    solver, gtp:COMMAND or gomocup:COMMAND; with settings: 'runs/c4?sims=200&temperature=0.3'.
    """

    a: tyro.conf.Positional[str]  # the first player
    b: tyro.conf.Positional[str]  # the second player
    games: int | None = None  # how many games [100; with --sprt at most 800]
    sprt: str | None = None  # play until decided between two Elo differences, as in 0,35 (normalized: n0,5)
    sims: int = 100  # simulations a move of players that name none
    time: str | None = None  # clocks instead of simulations: seconds a move (2) or main time+increment (60+1)
    game: str | None = None  # the game, when no player knows it
    openings: str | None = None  # random:PLIES, or a file .sgf or .jsonl [random:4; random:2 in short games]
    seed: int = 1  # of openings and players
    workers: int | None = None  # processes; with other programs or clocks each plays one board [one for each core]
    watchdog: float = 120  # seconds after which a move without a clock counts as a stall, and is lost
    out: Path | None = None  # directory for the games (JSONL and SGF) and the result
    resume: bool = False  # go on with the match in --out
    json: Annotated[bool, tyro.conf.arg(name="json")] = False  # one JSON object on the last line of stdout


def main(argv: list[str]) -> int:
    arguments = tyro.cli(MatchArguments, prog="zero match", args=argv)
    from zero.arena.clock import TimeControl
    from zero.arena.match import default_openings, play_match
    from zero.arena.match_log import MatchLog
    from zero.arena.openings import make_openings
    from zero.arena.players import parse_player
    from zero.arena.seats import Limits, common_game

    _check(arguments)
    players = [parse_player(text) for text in (arguments.a, arguments.b)]
    game = common_game(players, arguments.game)
    sprt = _parse_sprt(arguments.sprt)
    games = arguments.games or (800 if sprt else 100)
    limits = Limits(arguments.sims, TimeControl.parse(arguments.time) if arguments.time else None, arguments.watchdog)
    opening_text = arguments.openings or default_openings(game)
    openings = make_openings(opening_text, game, arguments.seed, (games + 1) // 2)
    log = None
    if arguments.out:
        plan = {"a": arguments.a, "b": arguments.b, "seed": arguments.seed, "sims": arguments.sims,
                "time": arguments.time}
        log = MatchLog(arguments.out, game, plan, openings, arguments.resume)
    from zero.arena.live import LiveTable

    with LiveTable(games) as table:
        try:
            result = play_match(*players, game, games, arguments.seed, table.update, openings=openings, limits=limits,
                                sprt=sprt, workers=arguments.workers, done=log.done if log else (),
                                on_game=log.add if log else None)
        except KeyboardInterrupt:
            if log:
                print(f"stopped; to go on: zero match {' '.join(map(shlex.quote, argv))}"
                      + ("" if arguments.resume else " --resume"), file=sys.stderr)
            raise
    if log:
        log.finish(result)
    for played in result.broken:
        name = (result.a, result.b)[played.culprit]
        print(f"game {played.number + 1}: {name} lost by {played.ending}: {played.detail}", file=sys.stderr)
    if result.duplicates:
        print(f"warning: {result.duplicates} games repeat another one move by move; give more openings, or "
              f"temperature to a player", file=sys.stderr)
    print(result.verdict(), file=sys.stderr if arguments.json else sys.stdout)
    if arguments.json:
        print(json.dumps(result.to_json()))
    return 0


def _check(arguments: MatchArguments) -> None:
    if arguments.games is not None and arguments.games < 1:
        raise UserError(f"--games {arguments.games}: must be 1 or more")
    if arguments.sims < 0:
        raise UserError(f"--sims {arguments.sims}: must be 0 or more")
    if not 0 < arguments.watchdog < 1e9:
        raise UserError(f"--watchdog {arguments.watchdog:g}: must be more than 0 seconds")
    if arguments.workers is not None and arguments.workers < 1:
        raise UserError(f"--workers {arguments.workers}: must be 1 or more")
    if arguments.resume and not arguments.out:
        raise UserError("--resume needs --out DIR, the match to go on with")


def _parse_sprt(text: str | None):
    from zero.arena.sprt import Sprt

    if text is None:
        return None
    model = "normalized" if text.startswith("n") else "logistic"
    try:
        low, high = (float(part) for part in text.removeprefix("n").split(","))
        return Sprt(low, high, model=model)
    except ValueError:
        raise UserError(f"--sprt {text}: write two Elo differences, the smaller first, as in 0,35 or n0,5") from None

"""`zero tournament PLAYER PLAYER ...`: round robin, gauntlet or knockout."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from zero.errors import UserError


@dataclass(frozen=True)
class TournamentArguments:
    """Let several players play each other, and rate them."""

    players: tyro.conf.Positional[tuple[str, ...]]  # two or more, the best seed first, see zero match --help
    format: Literal["round-robin", "gauntlet", "knockout"] = "round-robin"  # gauntlet: the first against all others
    games: int = 20  # of each pairing
    sims: int = 100  # simulations a move of players that name none
    game: str | None = None  # the game, when no player knows it
    openings: str | None = None  # as for zero match
    seed: int = 1
    out: Path | None = None  # a file for the matches (JSONL); a second call goes on from there
    json: Annotated[bool, tyro.conf.arg(name="json")] = False  # one JSON object on the last line of stdout


def main(argv: list[str]) -> int:
    arguments = tyro.cli(TournamentArguments, prog="zero tournament", args=argv)
    from zero.arena import tournament
    from zero.arena.match import default_openings, play_match
    from zero.arena.match_result import MatchResult
    from zero.arena.openings import make_openings
    from zero.arena.players import parse_player
    from zero.arena.results import Results, rating_table, table_text
    from zero.arena.seats import Limits, common_game
    from zero.arena.workers import Workers

    names = list(arguments.players)
    if len(names) < 2 or len(set(names)) != len(names):
        raise UserError("name two or more different players")
    if arguments.games < 1:
        raise UserError(f"--games {arguments.games}: must be 1 or more")
    players = {name: parse_player(name) for name in names}
    game = common_game(list(players.values()), arguments.game)
    results = Results(arguments.out)
    out = sys.stderr if arguments.json else sys.stdout

    def play(a: str, b: str) -> MatchResult:
        seed = arguments.seed + results.games(a, b)
        openings = make_openings(arguments.openings or default_openings(game), game, seed, (arguments.games + 1) // 2)
        result = play_match(players[a], players[b], game, arguments.games, seed, openings=openings,
                            limits=Limits(arguments.sims), pool=pool)
        results.add(result)
        print(result.verdict(), file=sys.stderr, flush=True)
        return result

    def play_once(a: str, b: str) -> None:
        if results.games(a, b) < arguments.games:
            play(a, b)

    summary: dict = {"game": game.full_name, "format": arguments.format}
    with Workers() as pool:
        if arguments.format == "knockout":
            summary["rounds"] = tournament.knockout(names, play)
            for number, games in enumerate(summary["rounds"], 1):
                for a, b, winner in games:
                    print(f"round {number}: {a} - {b or 'bye'}: {winner}", file=out)
        elif arguments.format == "gauntlet":
            tournament.gauntlet(names, play_once)
        else:
            tournament.round_robin(names, play_once)
    summary["players"] = rating_table(results, results.rate())
    print(table_text(summary["players"]), file=out)
    if arguments.json:
        print(json.dumps(summary))
    return 0

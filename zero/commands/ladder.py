"""`zero ladder RUN`: the networks of a run and fixed players on one Elo scale."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from zero.errors import UserError


@dataclass(frozen=True)
class LadderArguments:
    """Rate a run's networks against fixed players (random is 0 Elo), with games where they tell most.

    Writes ladder.jsonl (every match; a second call goes on from there), ladder.json and ladder.png to RUN/ladder.
    """

    run: tyro.conf.Positional[Path]
    games: int = 600  # in all
    sims: int = 100  # simulations a move of the networks
    networks: int = 8  # at most so many, evenly spread over the run
    anchors: tuple[str, ...] = ()  # fixed players [random, mcts:100 to mcts:10000, and engines of the game]
    json: Annotated[bool, tyro.conf.arg(name="json")] = False  # one JSON object on the last line of stdout


def main(argv: list[str]) -> int:
    arguments = tyro.cli(LadderArguments, prog="zero ladder", args=argv)
    for name in ("games", "networks"):
        if getattr(arguments, name) < 1:
            raise UserError(f"--{name} {getattr(arguments, name)}: must be 1 or more")
    from zero.arena import ladder
    from zero.arena.players import parse_player
    from zero.arena.results import Results, rating_table, table_text
    from zero.arena.seats import Limits
    from zero.arena.workers import Workers
    from zero.files import write_json
    from zero.games import make_game
    from zero.run import RunDirectory

    run = RunDirectory.open(arguments.run)
    game = make_game(run.config.game)
    anchors = list(arguments.anchors) or ladder.default_anchors(game)
    versions = {f"{run.root}@{v}?sims={arguments.sims}": v for v in ladder.checkpoints(run, arguments.networks)}
    players = [anchors[0], *versions, *anchors[1:]]  # neighbours meet first, so let them be near in strength
    for player in players:
        parse_player(player)
    if len(players) < 2:
        raise UserError(f"{run.root}: a ladder needs two players")
    directory = run.root / "ladder"
    results = Results(directory / "ladder.jsonl")
    plan = ladder.LadderPlan(players, game, Limits(arguments.sims), arguments.games)

    def show(ratings) -> None:
        last = results.matches[-1]
        played = sum(map(sum, results.counts.values()))
        print(f"{played} of {arguments.games} games: {last['a']} - {last['b']}", file=sys.stderr, flush=True)

    with Workers() as pool:
        ratings = ladder.play_ladder(plan, results, pool, show)
    rows = rating_table(results, ratings)
    costs = ladder.efforts(run)
    for row in rows:
        if (version := versions.get(row["player"])) in costs:
            row |= {"version": version, "cost": vars(costs[version])}
    summary = {"game": game.full_name, "first_player_advantage": round(ratings.advantage, 1), "players": rows}
    write_json(directory / "ladder.json", summary)
    try:
        ladder.plot_ladder(directory / "ladder.png", ratings, versions, costs, f"{run.root.name} · {game.full_name}")
    except ModuleNotFoundError:
        print("no plot: install the extra 'report' (matplotlib)", file=sys.stderr)
    print(table_text(rows), file=sys.stderr if arguments.json else sys.stdout)
    print(f"moving first is worth {ratings.advantage:+.0f} Elo", file=sys.stderr if arguments.json else sys.stdout)
    if arguments.json:
        print(json.dumps(summary))
    return 0

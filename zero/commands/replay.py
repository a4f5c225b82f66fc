"""`zero replay RUN GAME`: a stored game played again from its weights and seed."""

import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class ReplayArguments:
    """Play stored games again from their weights and seed, and say whether they come out the same.

    GAME counts from 1, as in the report: a number, or a range as 40-60. Of a single game every position is shown. On
    another kind of CPU than the run's, roundings may differ and with them a game.
    """

    run: tyro.conf.Positional[Path]
    games: tyro.conf.Positional[tuple[str, ...]]  # which games
    json: Annotated[bool, tyro.conf.arg(name="json")] = False  # one JSON object on the last line of stdout


def main(argv: list[str]) -> int:
    arguments = tyro.cli(ReplayArguments, prog="zero replay", args=argv)
    from zero.commands.games import select
    from zero.errors import UserError
    from zero.replayed import difference, play_again
    from zero.run import RunDirectory
    from zero.sizes import Sizes

    if not arguments.games:
        raise UserError("which game? give its number, or a range as 40-60")
    run = RunDirectory.open(arguments.run)
    sizes, stored = Sizes(run.config), select(run, arguments.games, None)
    out = sys.stderr if arguments.json else sys.stdout
    rows = []
    for version in sorted({record.version for record in stored}):
        records = [record for record in stored if record.version == version]
        again = play_again(run.config, run.read_weights(version), [record.index for record in records])
        for record in records:
            game = sizes.game(record.seed)
            if len(stored) == 1:
                show(game, record, out)
            fault = difference(game, record, again[record.index])
            rows.append({"game": record.index + 1, "name": game.name, "network": version, "result": record.result,
                         "moves": [game.action_to_text(int(move)) for move in record.moves],
                         "values": [round(v, 4) if math.isfinite(v) else None for v in record.values.tolist()],
                         "same": fault is None, "difference": fault})
            verdict = "the same again, bit for bit" if fault is None else f"NOT the same again: {fault}"
            print(f"game {record.index + 1}, network {version}, {len(record.moves)} plies: {verdict}", file=out)
    if arguments.json:
        print(json.dumps({"run": str(arguments.run), "games": rows}))
    return 0 if all(row["same"] for row in rows) else 1


def show(game, record, out) -> None:
    """Every position of a game, with what the search said before the move."""
    state, at = game.new_state(), 0
    print(f"{state}\n", file=out)
    for ply, move in enumerate(record.moves.tolist()):
        entries = slice(at, at + int(record.counts[ply]))
        at = entries.stop
        best = sorted(zip(record.probs[entries].tolist(), record.actions[entries].tolist(), strict=True), reverse=True)
        policy = ", ".join(f"{game.action_to_text(action)} {prob:.0%}" for prob, action in best[:4])
        value = record.values[ply]
        said = f"value {value:+.2f} for the mover" if math.isfinite(value) else "random"
        print(f"{ply + 1}. {game.action_to_text(move)}   {said}" + (f"; policy {policy}" if policy else ""), file=out)
        state.play(move)
        print(f"{state}\n", file=out)
    winner = {1: "the first player wins", 0: "a draw", -1: "the second player wins"}[record.result]
    print(winner if state.terminal else f"{winner}, ended before the last move", file=out)

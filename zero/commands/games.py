"""`zero games ACTION RUN`: what self-play left behind, looked at, checked, taken out and put back."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from zero.errors import UserError

if TYPE_CHECKING:
    from zero.record import GameRecord
    from zero.run import RunDirectory

RESULTS = {1: "1-0", 0: "1/2", -1: "0-1"}


@dataclass(frozen=True)
class ListArguments:
    """List the stored games of a run, the newest ones if none is named."""

    run: tyro.conf.Positional[Path]
    games: tyro.conf.Positional[tuple[str, ...]] = ()  # numbers from 1, or ranges as 40-60
    network: int | None = None  # only those played by this network
    last: int = 20  # how many, if no games are named
    json: Annotated[bool, tyro.conf.arg(name="json")] = False  # one JSON object on the last line of stdout


@dataclass(frozen=True)
class CheckArguments:
    """Play every stored game again by the rules, as the training does before it admits one, and name the wrong ones."""

    run: tyro.conf.Positional[Path]
    json: Annotated[bool, tyro.conf.arg(name="json")] = False  # one JSON object on the last line of stdout


@dataclass(frozen=True)
class QuarantineArguments:
    """Take games out of a run, which must not be training: they are kept in games/quarantined.games, and the replay
    window is rebuilt without them when the training goes on."""

    run: tyro.conf.Positional[Path]
    games: tyro.conf.Positional[tuple[str, ...]] = ()  # numbers from 1, or ranges as 40-60
    network: int | None = None  # those played by this network
    again: bool = False  # they were spoiled by a machine: keep them in games/refused.games and play them anew
    json: Annotated[bool, tyro.conf.arg(name="json")] = False  # one JSON object on the last line of stdout


@dataclass(frozen=True)
class RestoreArguments:
    """Put quarantined games back into a run."""

    run: tyro.conf.Positional[Path]
    games: tyro.conf.Positional[tuple[str, ...]] = ()  # numbers from 1, or ranges as 40-60
    network: int | None = None  # those played by this network
    json: Annotated[bool, tyro.conf.arg(name="json")] = False  # one JSON object on the last line of stdout


def main(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        rows = "\n".join(f"  {name:<12}{text}" for name, (_, _, text) in ACTIONS.items())
        print(f"usage: zero games ACTION RUN [options]     (zero games ACTION --help explains one)\n\n{rows}")
        return 0
    if argv[0] not in ACTIONS:
        raise UserError(f"unknown action '{argv[0]}'; there are {', '.join(ACTIONS)}")
    from zero.run import RunDirectory

    kind, action, _ = ACTIONS[argv[0]]
    arguments = tyro.cli(kind, prog=f"zero games {argv[0]}", args=argv[1:])
    lines, result = action(RunDirectory.open(arguments.run), arguments)
    print(*lines, sep="\n", file=sys.stderr if arguments.json else sys.stdout)
    if arguments.json:
        print(json.dumps({"run": str(arguments.run), **result}))
    return 1 if result.get("wrong") else 0


def parse_numbers(words: tuple[str, ...]) -> set[int]:
    """`("3", "40-42")` -> indices {2, 39, 40, 41}. Raises UserError."""
    found: set[int] = set()
    for word in words:
        first, dash, last = word.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or int(first) < 1:
            raise UserError(f"'{word}': give a game's number, from 1, or a range as 40-60")
        found.update(range(int(first) - 1, int(last if dash else first)))
    return found


def chosen(records: "list[GameRecord]", words: tuple[str, ...], network: int | None, run) -> "list[GameRecord]":
    """Those that are named, by number. Raises UserError if there are none, or one named by its number alone is not."""
    numbers = parse_numbers(words)
    found = [r for r in records if (not words or r.index in numbers) and (network is None or r.version == network)]
    for word in words:
        if word.isdecimal() and int(word) - 1 not in {record.index for record in found}:
            raise UserError(f"{run.root}: there is no game {word}" + (f" of network {network}" if network else ""))
    if not found:
        raise UserError(f"{run.root}: there are no such games")
    return sorted(found, key=lambda record: record.index)


def select(run: "RunDirectory", words: tuple[str, ...], network: int | None) -> "list[GameRecord]":
    """Stored games, see `chosen`."""
    return chosen(list(run.games.read(warn)), words, network, run)


def warn(text: str) -> None:
    print(text, file=sys.stderr)


def list_games(run: "RunDirectory", arguments: ListArguments) -> tuple[list[str], dict]:
    from zero.sizes import Sizes

    sizes = Sizes(run.config)
    records = select(run, arguments.games, arguments.network)
    shown = records if arguments.games else records[-max(1, arguments.last):]
    rows = [{"game": r.index + 1, "name": game.name, "network": r.version, "plies": len(r.moves), "result": r.result,
             "seed": r.seed, "moves": [game.action_to_text(int(move)) for move in r.moves]}
            for r in shown for game in [sizes.game(r.seed)]]
    lines = [f"{'game':>8} {'network':>7} {'plies':>5} result  moves"]
    for row in rows:
        moves = " ".join(row["moves"][:12]) + (" …" if row["plies"] > 12 else "")
        moves = f"{row['name']}: {moves}" if sizes.others else moves
        lines.append(f"{row['game']:>8} {row['network']:>7} {row['plies']:>5} {RESULTS[row['result']]:<6}  {moves}")
    lines.append(f"{len(shown)} of {len(records)} games; {len(run.games.quarantined())} quarantined")
    return lines, {"games": rows, "quarantined": sorted(index + 1 for index in run.games.quarantined())}


def check(run: "RunDirectory", arguments: CheckArguments) -> tuple[list[str], dict]:
    import time

    from zero.admission import Admission, Refused

    admission, wrong, count, seconds = Admission(run.config), {}, 0, 0.0
    for record in run.games.read(warn):
        payload, count = record.to_bytes(), count + 1
        began = time.perf_counter()
        try:
            admission.admit(payload, record.version, {record.index})
        except Refused as error:
            wrong[record.index + 1] = str(error)
        seconds += time.perf_counter() - began
    cost = 1e6 * seconds / max(1, count)
    lines = [*wrong.values(), f"{count} games checked, {len(wrong)} wrong, {cost:.0f} µs each"]
    return lines, {"checked": count, "us_per_game": round(cost, 1), "wrong": wrong}


def quarantine(run: "RunDirectory", arguments: QuarantineArguments) -> tuple[list[str], dict]:
    from zero.game_log import QUARANTINED, REFUSED

    _require_choice(arguments)
    name = REFUSED if arguments.again else QUARANTINED
    with run.lock():
        run.games.repair(warn)
        records = select(run, arguments.games, arguments.network)
        run.games.move_aside(name, {record.index for record in records})
    then = "are played again" if arguments.again else "are left out"
    line = f"{len(records)} games set aside in {run.games.directory / name}; they {then} when the training goes on"
    return [line], {"set_aside": [record.index + 1 for record in records]}


def restore(run: "RunDirectory", arguments: RestoreArguments) -> tuple[list[str], dict]:
    from zero.game_log import QUARANTINED

    _require_choice(arguments)
    with run.lock():
        run.games.repair(warn)
        records = chosen(run.games.aside(QUARANTINED), arguments.games, arguments.network, run)
        back = {record.index for record in records}
        run.games.put_back(QUARANTINED, back)
    return [f"{len(records)} games put back"], {"restored": sorted(index + 1 for index in back)}


def _require_choice(arguments: QuarantineArguments | RestoreArguments) -> None:
    if not arguments.games and arguments.network is None:
        raise UserError("which games? give numbers, ranges as 40-60, or --network N")


ACTIONS = {
    "list": (ListArguments, list_games, "the stored games"),
    "check": (CheckArguments, check, "play every game again by the rules"),
    "quarantine": (QuarantineArguments, quarantine, "take games out of the run"),
    "restore": (RestoreArguments, restore, "put quarantined games back"),
}

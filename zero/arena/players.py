"""A player is a line of text, the same everywhere: command line, arena, window, GTP.

    runs/c4            a run: its best or latest network       random        uniformly random moves
    runs/c4@120        that checkpoint                         mcts:1000     search with 1000 random playouts a move
    net.safetensors    a weights file                          uniform:1000  search with a flat evaluator
    gtp:COMMAND LINE   any GTP engine                          solver        perfect play, where a game has it
    gomocup:COMMAND    any Gomocup (Piskvork) engine

Settings follow behind `?`, joined by `&`: `runs/c4?sims=200&temperature=0.3`; `sims=0` plays the raw policy. Any
option of the search may be among them: `mcts:1000?solver=true`. A game with settings of its own comes last:
`runs/go?sims=50&game=go9?komi=6.5&ko=simple`. Behind an engine's command only `?game=go9` is ours.
"""

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from mcts_ext.options import SearchOptions
from zero.errors import UserError

ENGINES = ("gtp", "gomocup")
COUNTED = ("mcts", "uniform")  # kind:SIMS
PLAIN = ("random", "solver")
_SETTINGS = re.compile(r"\?((?:[A-Za-z_]+=[^&?]*&)*(?:[A-Za-z_]+=[^&?]*|game=[^&?]+\?[^?]*))$")
_ENGINE_GAME = re.compile(r"\?(game=[\w-]+(?:\?[\w.=&-]+)?)$")  # all else behind a ? belongs to the engine's command


@dataclass(frozen=True)
class Settings:
    """What may follow behind the `?`. None: the default of whoever asks the player to move."""

    sims: int | None = None  # simulations a move
    temperature: float = 0.0  # moves are drawn from visits^(1/temperature); 0 plays the best
    game: str | None = None  # for players that know no game of their own
    search: tuple[tuple[str, str | float | bool], ...] = ()  # any of SearchOptions, as in c_puct=2 or solver=true

    def apply(self, options: SearchOptions) -> SearchOptions:
        return replace(options, **dict(self.search))


@dataclass(frozen=True)
class PlayerSpec:
    """A parsed line: `kind` is "network", "random", "solver", "mcts", "uniform", "gtp" or "gomocup"; `target` is
    the path of a network or the command of an engine."""

    text: str
    kind: str
    target: str = ""
    settings: Settings = Settings()

    @property
    def external(self) -> bool:
        """Another program plays: one process a board, watched by the clock."""
        return self.kind in ENGINES

    def __str__(self) -> str:
        return self.text


def parse_player(text: str) -> PlayerSpec:
    """The player that a line names. Raises UserError with what is wrong and what may have been meant."""
    line = text.strip()
    match = (_ENGINE_GAME if line.partition(":")[0] in ENGINES else _SETTINGS).search(line)
    settings = _parse_settings(line, match[1]) if match else Settings()
    body = line[: match.start()] if match else line
    kind, colon, rest = body.partition(":")
    if body in PLAIN:
        return PlayerSpec(line, body, settings=settings)
    if kind in ENGINES and colon:
        if not rest.strip():
            raise UserError(f"player '{line}': write the engine's command behind '{kind}:'")
        return PlayerSpec(line, kind, rest.strip(), settings)
    if kind in COUNTED:
        if not (colon and rest.isdigit() and int(rest) > 0):
            raise UserError(f"player '{line}': write the simulations a move, as in '{kind}:1000'")
        return PlayerSpec(line, kind, settings=replace(settings, sims=settings.sims or int(rest)))
    if is_network(body):
        return PlayerSpec(line, "network", body, settings)
    raise UserError(_unknown(line, body))


def is_network(body: str) -> bool:
    """A weights file, a run, or a checkpoint `run@N` of a run that is there."""
    path = Path(body)
    if path.is_file() or (path.is_dir() and (path / "run.json").is_file()):
        return True
    run, at, _ = body.rpartition("@")
    return bool(at) and (Path(run) / "run.json").is_file()


def _unknown(line: str, body: str) -> str:
    if not body:
        return "a player is missing: name a run, a weights file, random, mcts:1000 or gtp:COMMAND"
    words = [*PLAIN, *(f"{kind}:" for kind in (*COUNTED, *ENGINES))]
    runs = [str(path.parent) for path in Path("runs").glob("*/run.json")] if Path("runs").is_dir() else []
    attempts = (body, body.split(":")[0] + ":")
    close = [match for word in attempts for match in difflib.get_close_matches(word, words + runs, 1)]
    if Path(body).is_dir():
        return f"player '{line}': the directory holds no run (no run.json in it)"
    if body.endswith(".safetensors"):
        return f"player '{line}': there is no such weights file"
    hint = f"; did you mean '{close[0]}'?" if close else ""
    return f"unknown player '{line}': no run or weights file of that name{hint} (zero match --help lists the kinds)"


def _parse_settings(line: str, text: str) -> Settings:
    values: dict[str, Any] = {}
    search: dict[str, Any] = {}
    own = text.partition("?")[0]  # what follows is the game's
    for part in text.split("&", own.count("&")):
        name, _, value = part.partition("=")
        if name in _PARSERS:
            values[name] = _PARSERS[name](line, name, value)
        elif name in _SEARCH_DEFAULTS:
            search[name] = _typed(line, name, value, type(_SEARCH_DEFAULTS[name]))
        else:
            close = difflib.get_close_matches(name, [*_PARSERS, *_SEARCH_DEFAULTS], 1)
            hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(_PARSERS)} and the search options"
            raise UserError(f"player '{line}': unknown setting '{name}'; {hint}")
    try:
        SearchOptions(**search)
    except ValueError as error:
        raise UserError(f"player '{line}': {error}") from None
    return Settings(**values, search=tuple(search.items()))


def _typed(line: str, name: str, value: str, kind: type) -> Any:
    """`value` as the type of the option's default."""
    try:
        return {"true": True, "false": False}[value.lower()] if kind is bool else kind(value)
    except (ValueError, KeyError):
        names = {int: "a whole number", float: "a number", bool: "true or false"}
        raise UserError(f"player '{line}': {name} = {value}: must be {names[kind]}") from None


def _not_negative(kind: type) -> Callable[[str, str, str], Any]:
    def parse(line: str, name: str, value: str) -> Any:
        number = _typed(line, name, value, kind)
        if not 0 <= number < 1e9:
            raise UserError(f"player '{line}': {name} = {value}: must be 0 or more")
        return number

    return parse


_PARSERS = {
    "sims": _not_negative(int),
    "temperature": _not_negative(float),
    "game": lambda line, name, value: value,
}
_SEARCH_DEFAULTS = {option.name: option.default for option in fields(SearchOptions)}

"""The registry of games: `make("go9")` makes one from its name, `names()` lists the usual ones.

Settings follow the name as text, `make("go9?komi=6.5&rules=tromp-taylor")`, or by keyword, `make("go9", komi=6.5)`.
A family of games is a prefix and a factory. The factory gets what follows the prefix ("9", "9x13", "") and, by keyword,
the settings; it returns a `Game` whose name is the whole, or raises ValueError. Installed packages add families by the
entry point group `zero.games` (entry point name = prefix, object = factory); programs by `register`.
"""
import difflib
import functools
import importlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points

from mcts_ext.state import Game

Factory = Callable[..., Game]            # factory(what follows the prefix, **settings)


@dataclass(frozen=True)
class Family:
    factory: Factory | str               # a string "module:function" is imported when first used
    names: tuple[str, ...]               # the members that `names()` lists
    views: tuple[str, ...] = ()          # settings that say what a network sees, and nothing of what may be played


_families: dict[str, Family] = {
    "tictactoe": Family("mcts_ext.games.tictactoe:create", ("tictactoe",)),
    "connect4": Family("mcts_ext.games.connect4:create", ("connect4",)),
    "go": Family("mcts_ext.games.go:create", ("go5", "go7", "go9", "go13", "go19"), ("history", "liberties")),
    "gomoku": Family("mcts_ext.games.gomoku:create", ("gomoku9", "gomoku15")),
    "hex": Family("mcts_ext.games.hex:create", ("hex7", "hex11")),
    "breakthrough": Family("mcts_ext.games.breakthrough:create", ("breakthrough6", "breakthrough8")),
    "othello": Family("mcts_ext.games.othello:create", ("othello6", "othello8", "othello10")),
}


def register(prefix: str, factory: Factory | str, names: tuple[str, ...] = ()) -> None:
    """Adds a family of games. Raises ValueError if the prefix is taken."""
    if prefix in _families:
        raise ValueError(f"game family {prefix!r} is registered already")
    _families[prefix] = Family(factory, names or (prefix,))
    _make.cache_clear()


def make(text: str, **settings) -> Game:
    """The game of that name and settings, always the same object. Raises ValueError if there is no such game, naming
    those that there are, or no such setting."""
    name, _, query = text.partition("?")
    known = known_settings(name)
    settings = _read_settings(name, query) | settings
    for setting in settings:
        if setting not in known:
            raise ValueError(f"{name} has no setting {setting!r}; its settings: {', '.join(known) or 'none'}")
    return _make(name, tuple((key, settings[key]) for key in known if settings.get(key, known[key]) != known[key]))


def known_settings(name: str) -> dict:
    """The settings that a game has, with their defaults. Raises ValueError if there is no such game."""
    return {p.name: p.default for p in _settings(name)}


def family(name: str) -> str:
    """The prefix that a game's name begins with: `go` of `go9?komi=6.5`, `hex` of `hex5x7`; the name itself if there is
    none.

    The longest prefix wins, so that a family may begin like another.
    """
    _load_entry_points()
    return max((prefix for prefix in _families if name.startswith(prefix)), key=len, default=name)


def _settings(name: str) -> list[inspect.Parameter]:
    factory = _resolve(_families[_prefix(name)].factory)
    return [p for p in inspect.signature(factory).parameters.values() if p.kind is p.KEYWORD_ONLY]


def as_seen(game: Game, by: Game | None = None) -> Game:
    """`game`, whose rules stay, with the planes of `by`, another game of its family; without `by`, the usual planes."""
    views = _families[_prefix(game.name)].views
    settings = {key: value for key, value in game.settings.items() if key not in views}
    if by is not None and family(by.name) == family(game.name):
        settings |= {key: value for key, value in by.settings.items() if key in views}
    return make(game.name, **settings)


def remake(name: str, settings: dict) -> Game:
    """A pickled game again."""
    return make(name, **settings)


@functools.cache
def _make(name: str, settings: tuple) -> Game:
    prefix = _prefix(name)
    game = _resolve(_families[prefix].factory)(name[len(prefix):], **dict(settings))
    game.settings = dict(settings)
    return game


def _prefix(name: str) -> str:
    """The family's. Raises ValueError if there is none, with the game that may have been meant."""
    prefix = family(name)
    if prefix not in _families:
        close = difflib.get_close_matches(name, names(), 1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(names())}"
        raise ValueError(f"unknown game {name!r}; {hint}")
    return prefix


def _read_settings(name: str, query: str) -> dict:
    """`komi=6.5&suicide=true` as values of the types that the factory's annotations ask for."""
    annotations = {p.name: str(p.annotation) for p in _settings(name)}
    settings = {}
    for part in query.split("&") if query else ():
        setting, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"{name}: {part!r}: settings are written {name}?NAME=VALUE&NAME=VALUE")
        settings[setting] = _typed(f"{name}: {setting} = {value}", value, annotations.get(setting, "str"))
    return settings


def _typed(what: str, value: str, annotation: str) -> bool | int | float | str:
    """`value` as one of the types that an annotation such as `bool | None` names; as text if it names none."""
    kinds = set(re.findall(r"\w+", annotation))
    if "bool" in kinds and value.lower() in ("true", "false"):
        return value.lower() == "true"
    for kind in (int, float):
        if kind.__name__ in kinds:
            try:
                return kind(value)
            except ValueError:
                continue
    if kinds & {"bool", "int", "float"} and "str" not in kinds:
        raise ValueError(f"{what}: must be {'true or false' if 'bool' in kinds else 'a number'}")
    return value


def names() -> list[str]:
    """The names of the usual games of every family, sorted."""
    _load_entry_points()
    return sorted(name for family in _families.values() for name in family.names)


@functools.cache
def _load_entry_points() -> None:
    for entry in entry_points(group="zero.games"):
        if entry.name not in _families:
            _families[entry.name] = Family(entry.value, (entry.name,))


def _resolve(factory: Factory | str) -> Factory:
    if not isinstance(factory, str):
        return factory
    module, _, function = factory.partition(":")
    return getattr(importlib.import_module(module), function)

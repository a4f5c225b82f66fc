"""The registry of games: `make("go9")` makes one from its name, `names()` lists the usual ones.

A family of games is a prefix and a factory. The factory gets what follows the prefix ("9", "9x13", "") and, by keyword,
the settings (`make("go9", komi=6.5)`); it returns a `Game` whose name is the whole, or raises ValueError. Installed
packages add families by the entry point group `zero.games` (entry point name = prefix, object = factory); programs by
`register`.
"""
import functools
import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points

from mcts_ext.state import Game

Factory = Callable[..., Game]            # factory(what follows the prefix, **settings)


@dataclass(frozen=True)
class Family:
    factory: Factory | str               # a string "module:function" is imported when first used
    names: tuple[str, ...]               # the members that `names()` lists


_families: dict[str, Family] = {
    "tictactoe": Family("mcts_ext.games.tictactoe:create", ("tictactoe",)),
    "connect4": Family("mcts_ext.games.connect4:create", ("connect4",)),
    "go": Family("mcts_ext.games.go:create", ("go5", "go7", "go9", "go13", "go19")),
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
    make.cache_clear()


@functools.cache
def make(name: str, **settings) -> Game:
    """The game of that name. Raises ValueError naming the known ones if there is none, or no such setting."""
    prefix = family(name)
    if prefix not in _families:
        raise ValueError(f"unknown game {name!r}; known: {', '.join(names())}")
    factory = _resolve(_families[prefix].factory)
    if settings:
        _check_settings(name, factory, settings)
    game = factory(name[len(prefix):], **settings)
    game.settings = settings
    return game


def family(name: str) -> str:
    """The prefix that a game's name begins with: `go` of `go9`, `hex` of `hex5x7`; the name itself if there is none.

    The longest prefix wins, so that a family may begin like another.
    """
    _load_entry_points()
    return max((prefix for prefix in _families if name.startswith(prefix)), key=len, default=name)


def remake(name: str, settings: dict) -> Game:
    """A pickled game again."""
    return make(name, **settings)


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


def _check_settings(name: str, factory: Factory, settings: dict) -> None:
    known = [p.name for p in inspect.signature(factory).parameters.values() if p.kind is p.KEYWORD_ONLY]
    for setting in settings:
        if setting not in known:
            raise ValueError(f"{name} has no setting {setting!r}; its settings: {', '.join(known) or 'none'}")

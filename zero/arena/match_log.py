"""The directory of a match: what is being played, every finished game, and the games as SGF.

    match.json   players, game, openings, seed: what a resumed match must repeat
    games.jsonl  one line a finished game, in order of arrival, synced: what a resumed match need not repeat
    games.sgf    the same games for other programs, where SGF knows the game
    result.json  the summary, when the match is over
"""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from mcts_ext.state import Game
from nn.save import write_atomically
from zero.arena.fixtures import PlayedGame
from zero.arena.match_result import MatchResult
from zero.arena.openings import Opening
from zero.errors import UserError
from zero.files import write_json
from zero.protocols import game_sgf, sgf


def played_to_json(game: Game, played: PlayedGame) -> dict:
    """A played game with its moves as text."""
    values = [None if value is None else round(value, 4) for value in played.values]
    return asdict(played) | {"moves": [game.action_to_text(action) for action in played.moves], "values": values}


def played_from_json(game: Game, line: dict) -> PlayedGame:
    return PlayedGame(**line | {"moves": tuple(game.text_to_action(text) for text in line["moves"]),
                                "values": tuple(line["values"]), "seconds": tuple(line["seconds"])})


def played_to_sgf(result: MatchResult, played: PlayedGame) -> sgf.Node:
    """A played game with players, result, opening and the movers' values as comments."""
    names = (result.a, result.b)
    values = ["" if value is None else f"value {value:+.3f}" for value in played.values]
    comment = f"game {played.number + 1}, opening: {played.opening}"
    if played.ending != "rules":
        comment += f"\n{played.ending}: {played.detail}"
    return game_sgf.game_tree(result.game, played.moves, values, PB=names[played.first], PW=names[1 - played.first],
                              RE=_sgf_result(result.game, played), GC=comment)


def _sgf_result(game: Game, played: PlayedGame) -> str:
    """RE: with the margin in games that count points."""
    state = game.new_state()
    for action in played.moves:
        state.play(action)
    try:
        return f"{played.result}{abs(state.score()):g}" if played.points != 0.5 else "0"
    except ValueError:
        return played.result


class MatchLog:
    """An open match directory; `done` are the games that were finished before."""

    def __init__(self, directory: Path, game: Game, plan: dict, openings: list[Opening], resume: bool):
        """Raises UserError if the directory holds a match already, or, to resume, another one or none."""
        self.directory, self.game = directory, game
        plan = plan | {"game": game.full_name,
                       "openings": [[game.action_to_text(action) for action in opening.moves] for opening in openings]}
        known = _read_json(directory / "match.json")
        if known is not None and not resume:
            raise UserError(f"{directory}: holds a match already; add --resume to go on, or choose another directory")
        if resume:
            _check_same(directory, known, plan)
        self.plan = plan
        self.done = self._read_games()
        self._file: TextIO | None = None

    def _read_games(self) -> list[PlayedGame]:
        """Whole lines only: the last one may have been cut by a kill, and is cut off the file."""
        path = self.directory / "games.jsonl"
        if not path.exists():
            return []
        whole, newline, _ = path.read_bytes().rpartition(b"\n")
        if path.stat().st_size != len(whole) + len(newline):
            write_atomically(path, whole + newline)
        try:
            return [played_from_json(self.game, json.loads(line)) for line in whole.splitlines()]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: damaged ({error}); remove it to begin anew") from None

    def add(self, played: PlayedGame) -> None:
        """Stores a finished game; the first one makes the directory, so that a match that cannot begin leaves none."""
        if self._file is None:
            self.directory.mkdir(parents=True, exist_ok=True)
            write_json(self.directory / "match.json", self.plan)
            self._file = open(self.directory / "games.jsonl", "a", encoding="utf-8")
        self._file.write(json.dumps(played_to_json(self.game, played)) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def finish(self, result: MatchResult) -> None:
        """Writes the summary and the SGF collection."""
        if self._file is not None:
            self._file.close()
        write_json(self.directory / "result.json", result.to_json())
        if game_sgf.has_sgf(self.game):
            trees = [played_to_sgf(result, played) for played in result.games]
            write_atomically(self.directory / "games.sgf", sgf.serialise(trees).encode())


def _read_json(path: Path) -> dict | None:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        raise UserError(f"{path}: not JSON") from None


def _check_same(directory: Path, known: dict | None, plan: dict) -> None:
    if known is None:
        raise UserError(f"{directory}: there is no match to resume")
    for key, value in plan.items():
        if known.get(key) != value:
            shown = "" if key == "openings" else f": {known.get(key)!r} there, {value!r} now"
            raise UserError(f"{directory}: holds another match, its {key} differ{shown}; choose another directory")

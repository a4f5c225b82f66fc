"""Where a network player's weights lie, which game they play and how their run searched."""

from dataclasses import dataclass
from pathlib import Path

from mcts_ext.games import as_seen
from mcts_ext.options import SearchOptions
from mcts_ext.state import Game
from zero.config import from_table
from zero.errors import UserError
from zero.evaluator import NetworkEvaluator
from zero.games import make_game
from zero.network import plays, read_about
from zero.run import RunDirectory


@dataclass(frozen=True)
class NetworkSource:
    """A weights file, its game, and the search options it was trained with."""

    path: Path
    game: str
    options: SearchOptions

    def seen(self, game: Game) -> Game:
        """That game with the planes that the network was trained on."""
        return as_seen(game, make_game(self.game))

    def plays(self, game: Game) -> bool:
        """Whether it can play that game, see `zero.network.plays`."""
        return plays(read_about(self.path), self.seen(game))

    def load(self, game: Game, threads: int = 1) -> NetworkEvaluator:
        """The evaluator for that game as `seen`. Raises UserError if it is damaged or does not fit."""
        return NetworkEvaluator.load(self.path, self.seen(game).full_name, threads)


def find_network(target: str) -> NetworkSource:
    """From a weights file, a run (its newest network) or `run@N`. Raises UserError."""
    path = Path(target)
    if path.is_file():
        about = read_about(path)
        options = from_table(SearchOptions, about["about"].get("search", {}), target, "search.")
        return NetworkSource(path, about["game"], options)
    root, _, number = target.rpartition("@") if not path.is_dir() else (target, "", "")
    if number and not number.isdigit():
        raise UserError(f"player '{target}': behind @ stands the number of a network, as in {root}@120")
    run = RunDirectory.open(root)
    return NetworkSource(run.weights_path(int(number) if number else None), run.config.game, run.config.search)

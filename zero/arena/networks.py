"""Where a network player's weights lie, which game they play and how their run searched."""

from dataclasses import dataclass
from pathlib import Path

from mcts_ext.options import SearchOptions
from zero.errors import UserError
from zero.evaluator import NetworkEvaluator
from zero.network import read_about
from zero.run import RunDirectory


@dataclass(frozen=True)
class NetworkSource:
    """A weights file, its game, and the search options it was trained with."""

    path: Path
    game: str
    options: SearchOptions

    def load(self, threads: int = 1) -> NetworkEvaluator:
        """The evaluator. Raises UserError for a damaged file or one of another game."""
        return NetworkEvaluator.load(self.path, self.game, threads)


def find_network(target: str) -> NetworkSource:
    """From a weights file, a run (its newest network) or `run@N`. Raises UserError."""
    path = Path(target)
    if path.is_file():
        return NetworkSource(path, read_about(path)["game"], SearchOptions())
    root, _, number = target.rpartition("@") if not path.is_dir() else (target, "", "")
    if number and not number.isdigit():
        raise UserError(f"player '{target}': behind @ stands the number of a network, as in {root}@120")
    run = RunDirectory.open(root)
    return NetworkSource(run.weights_path(int(number) if number else None), run.config.game, run.config.search)

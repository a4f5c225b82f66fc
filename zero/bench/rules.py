"""`zero bench rules`: games of uniformly random moves from the start, beside OpenSpiel's where it is installed.

OpenSpiel's Python binding has no way to ask for playouts in C++, but its MCTSBot makes them: with two simulations and
many rollouts at each of the two leaves, the first of which is the start position, next to nothing else is left.
"""

import itertools
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from zero.errors import UserError

OPENSPIEL = {
    r"tictactoe": "tic_tac_toe",
    r"connect4": "connect_four",
    r"connect4-(\d+)x(\d+)": r"connect_four(rows=\1,columns=\2)",
    r"go(\d+)": r"go(board_size=\1)",
    r"othello8": "othello",
    r"gomoku(\d+)": r"gomoku(size=\1)",
    r"hex(\d+)": r"hex(board_size=\1)",
    r"breakthrough8": "breakthrough",
}


@dataclass(frozen=True)
class Options:
    """Measures random playouts and plies per second, on one thread."""

    game: str = "connect4"
    seconds: float = 4.0
    """Of measurement for each engine."""
    seed: int = 1
    vs_openspiel: bool = False
    json: bool = False

    def __post_init__(self):
        if self.seconds <= 0:
            raise UserError("--seconds must be more than 0")


def main(argv: list[str]) -> int:
    import tyro

    options = tyro.cli(Annotated[Options, tyro.conf.FlagCreatePairsOff], prog="zero bench rules", args=argv[1:])
    from zero.bench.common import interleave, machine, per_second, report
    from zero.games import make_game

    game = make_game(options.game)
    works = {"zero": _batched(_our_playouts(game, options.seed))}
    if options.vs_openspiel:
        works["openspiel"] = _batched(_openspiel_playouts(options.game, options.seed))
    rates = interleave(works, options.seconds)
    plies = mean_length(game, options.seed)
    ours = per_second("playouts", rates["zero"])
    result = {"bench": "rules", "game": options.game, "seconds": options.seconds, **ours, "plies_per_playout": plies,
              **{key.replace("playouts", "plies"): value * plies for key, value in ours.items()}}
    if options.vs_openspiel:
        theirs = per_second("playouts", rates["openspiel"])
        result |= {f"openspiel_{key}": value for key, value in theirs.items()}
        result["ratio"] = ours["playouts_per_cpu_s"] / theirs["playouts_per_cpu_s"]
    result["machine"] = machine(*(["open_spiel"] if options.vs_openspiel else []))
    return report(result, options.json)


def mean_length(game, seed: int, games: int = 100) -> float:
    """Plies of a game of random moves, played by the rules move by move."""
    rng = random.Random(seed)
    plies = 0
    for _ in range(games):
        state = game.new_state()
        while not state.terminal:
            state.play(rng.choice(state.legal_actions()))
            plies += 1
    return plies / games


def _our_playouts(game, seed: int) -> Callable[[int], int]:
    start, seeds = game.new_state(), itertools.count(seed)
    return lambda count: sum(start.playouts(count, next(seeds)))


def _openspiel_playouts(name: str, seed: int) -> Callable[[int], int]:
    try:
        import pyspiel
    except ImportError:
        raise UserError("OpenSpiel is not installed; pip install open_spiel, or leave out --vs-openspiel") from None
    game = pyspiel.load_game(openspiel_name(name))
    start = game.new_initial_state()

    def play(count: int) -> int:
        simulations, rollouts = 2, max(count // 2, 1)
        evaluator = pyspiel.RandomRolloutEvaluator(rollouts, seed)
        pyspiel.MCTSBot(game, evaluator, 2.0, simulations, 10, False, seed, False).step(start)
        return simulations * rollouts

    return play


def openspiel_name(name: str) -> str:
    """What OpenSpiel calls a game of ours. Raises UserError if it has none."""
    for pattern, theirs in OPENSPIEL.items():
        match = re.fullmatch(pattern, name)
        if match:
            return match.expand(theirs)
    raise UserError(f"OpenSpiel has no game like {name}; leave out --vs-openspiel")


def _batched(play: Callable[[int], int], seconds: float = 0.02) -> Callable[[], int]:
    """A call of `play` that takes about `seconds`: long enough that calling it costs nothing."""
    count, elapsed = 5, 0.0
    while elapsed < seconds:
        count *= 2
        start = time.perf_counter()
        play(count)
        elapsed = time.perf_counter() - start
    count = max(int(count * seconds / elapsed), 1)
    return lambda: play(count)

"""`zero bench search`: simulations of the tree search from the start position, beside other engines' if asked.

A search is made as a program makes it from Python: reset, start, run, result, for each game. Yardsticks take turns with
ours in this process: OpenSpiel's MCTSBot (in C++ with rollouts, in Python with a uniform evaluator) and mctx with pgx.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from typing import Annotated, Literal

from zero.errors import UserError


@dataclass(frozen=True)
class Options:
    """Measures simulations per second."""

    game: str = "connect4"
    games: int = 1
    """Searched in lockstep."""
    sims: int = 400
    evaluator: Literal["uniform", "rollout", "network", "mixed", "check"] = "uniform"
    """mixed: half network, half rollout. check: the network, each answer compared with its plain computation."""
    encode: bool = False
    """uniform: hand planes and legal actions of each batch to Python, as to a network, instead of staying inside."""
    root: Literal["puct", "gumbel"] = "puct"
    blocks: int = 6
    """Of the (untrained) network."""
    channels: int = 64
    threads: int = 1
    """Of the search."""
    seconds: float = 4.0
    """Of measurement for each engine."""
    seed: int = 1
    vs_openspiel: bool = False
    vs_mctx: bool = False
    vs_one_thread: bool = False
    """Also measures ours with one thread, which takes turns on the cores; the ratio is then of wall-clock rates."""
    json: bool = False

    def __post_init__(self):
        for name in ("games", "sims", "threads"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name} {getattr(self, name)}: must be 1 or more")
        if self.seconds <= 0:
            raise UserError("--seconds must be more than 0")


def main(argv: list[str]) -> int:
    import tyro

    options = tyro.cli(Annotated[Options, tyro.conf.FlagCreatePairsOff], prog="zero bench search", args=argv[1:])
    from zero.bench.common import interleave, machine, per_second, report
    from zero.games import make_game

    game = make_game(options.game)
    works = {"zero": ours(game, options, options.threads), **_yardsticks(game, options)}
    rates = interleave(works, options.seconds)
    result = {"bench": "search", **{name: getattr(options, name) for name in
                                    ("game", "games", "sims", "evaluator", "encode", "root", "threads", "seconds")}}
    result |= per_second("sims", rates.pop("zero"))
    key = "sims_per_cpu_s" if options.threads == 1 else "sims_per_s"
    for name, others in rates.items():
        result |= {f"{name}_{unit}": value for unit, value in per_second("sims", others).items()}
        result[f"ratio_to_{name}"] = result[key] / result[f"{name}_{key}"]
    packages = ["open_spiel"] * options.vs_openspiel + ["jax", "mctx", "pgx"] * options.vs_mctx
    return report(result | {"machine": machine(*packages)}, options.json)


def _yardsticks(game, options: Options) -> dict[str, Callable[[], int]]:
    from zero.bench import search_yardsticks as yardsticks

    works = {}
    if options.vs_one_thread:
        works["one_thread"] = on_each_core(ours(game, options, 1))
    if options.vs_openspiel:
        works["openspiel"] = yardsticks.openspiel(options.game, options.sims, options.evaluator, options.seed)
    if options.vs_mctx:
        works["mctx"] = yardsticks.mctx(options.game, options.games, options.sims, options.root, options.evaluator)
    return works


def ours(game, options: Options, threads: int) -> Callable[[], int]:
    """One search of every game, from the start position; the number of simulations."""
    from mcts_ext.search import Search

    search_options = {"root": options.root, "rollout_weight": 0.5 if options.evaluator == "mixed" else 0.0}
    search = Search(game, options.games, search_options, seed=options.seed, threads=threads)
    evaluate = _evaluator(game, options)

    def work() -> int:
        for i in range(options.games):
            search.reset(i)
            search.start(i, options.sims)
        search.run(evaluate)
        return sum(search.result(i).simulations for i in range(options.games))

    return work


def on_each_core(work: Callable[[], int]) -> Callable[[], int]:
    """`work`, each call on the next core: they are not equally fast where one shares its chip with a neighbour."""
    if not hasattr(os, "sched_setaffinity"):
        return work
    cores = os.sched_getaffinity(0)
    turns = cycle(sorted(cores))

    def pinned() -> int:
        os.sched_setaffinity(0, {next(turns)})
        try:
            return work()
        finally:
            os.sched_setaffinity(0, cores)

    return pinned


def _evaluator(game, options: Options):
    import numpy as np

    if options.evaluator in ("network", "mixed", "check"):
        from mcts_ext.evaluators import check
        from zero.config import NetworkConfig
        from zero.evaluator import NetworkEvaluator, plain_evaluator
        from zero.network import Network

        config = NetworkConfig(blocks=options.blocks, channels=options.channels)
        network = Network(game, config, np.random.default_rng(options.seed)).eval()
        evaluator = NetworkEvaluator(network, game)
        return check(evaluator, plain_evaluator(network)) if options.evaluator == "check" else evaluator
    if options.evaluator == "rollout" or not options.encode:
        return options.evaluator
    logits = np.zeros((options.games, game.num_actions), np.float32)
    values = np.zeros(options.games, np.float32)
    return lambda planes, legal: (logits[:len(planes)], values[:len(planes)])

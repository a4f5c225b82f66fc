"""`zero bench selfplay`: games played by an untrained network, as the workers of a training play them."""

import itertools
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import tyro

from zero.bench.common import machine, measure, per_second, report


@dataclass(frozen=True)
class SelfPlayBench:
    """Measure self-play with an untrained network, end to end."""

    game: str = "connect4"
    blocks: int = 4
    channels: int = 48
    sims: int = 32  # simulations a move
    games: int = 64  # games in lockstep
    groups: int = 0  # of so many games in each worker, see selfplay.groups; 0 = 1, on a card 2
    threads: int = 1  # workers side by side, each with its own games and network
    device: Literal["cpu", "cuda"] = "cpu"  # where the networks are
    root: str = "gumbel"  # how the root chooses: gumbel or puct
    seconds: float = 10.0
    json: bool = False  # one JSON object on the last line of stdout


def main(argv: list[str]) -> int:
    arguments = tyro.cli(SelfPlayBench, prog="zero bench selfplay", args=argv[1:])
    from zero.config import Config, from_table
    from zero.games import make_game
    from zero.network import Network, save_network
    from zero.resources import Resources
    from zero.selfplay import PlayReport, SelfPlayWorker
    from zero.weights import Weights

    table = {
        "game": arguments.game,
        "network": {"blocks": arguments.blocks, "channels": arguments.channels},
        "search": {"root": arguments.root},
        "selfplay": {"sims": arguments.sims, "lanes": arguments.games, "groups": arguments.groups},
    }
    config = from_table(Config, table, "command line")
    game = make_game(config.game)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "untrained.safetensors"
        save_network(path, Network(game, config.network, np.random.default_rng(0)), game.full_name)
        weights = Weights.read(path, version=0)
        resources = Resources.of(config.selfplay, arguments.device)
        workers = [SelfPlayWorker(config, resources) for _ in range(arguments.threads)]
        for worker in workers:
            worker.load(weights)
    reports: list[PlayReport] = []
    numbers = itertools.count()

    def play(worker: SelfPlayWorker) -> PlayReport:
        room = max(0, 2 * worker.resources.games - worker.unfinished)
        return worker.play(0.25, [next(numbers) for _ in range(room)])

    with ThreadPoolExecutor(arguments.threads) as pool:

        def work() -> float:
            done = list(pool.map(play, workers))
            reports.extend(done)
            return sum(r.positions for r in done)

        positions = measure(work, arguments.seconds)
    sims = sum(r.sims for r in reports)
    seconds = sum(r.seconds for r in reports)
    result = {
        "benchmark": "selfplay",
        "game": game.full_name,
        "network": f"{arguments.blocks}x{arguments.channels}",
        "sims": arguments.sims,
        "games_in_lockstep": arguments.games,
        "groups": resources.groups,
        "threads": arguments.threads,
        "device": arguments.device,
        **per_second("positions", [positions]),
        "sims_per_s": sims / positions.wall_s,
        "sims_per_cpu_s": sims / positions.cpu_s,
        "network_busy": sum(r.network_seconds for r in reports) / seconds,
        "search_busy": sum(r.search_seconds for r in reports) / seconds,
        "machine": machine(),
    }
    return report(result, arguments.json)

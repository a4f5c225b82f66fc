"""What limits a run that grows: self-play on several processes and Ray nodes, the game log, admission, sums over
learners.

    python benchmarks/scaling.py selfplay [--workers 1 2] [--config configs/connect4.toml]
    python benchmarks/scaling.py games    [--game go9]     # what the driver does with each
    python benchmarks/scaling.py sums     [--ranks 2] [--cluster auto]   # all-reduce of one array, by its size
    python benchmarks/scaling.py nodes    [--nodes 2 3]    # the same games on so many Ray nodes of this machine

The figures of docs/scaling.md come from here. Lines for people go to stderr, one JSON object to stdout.
"""

import argparse
import itertools
import json
import os
import secrets
import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from mcts_ext.state import Game
from zero import backends, config
from zero.admission import Admission
from zero.bench.common import interleave, machine, per_second
from zero.game_log import GameLog
from zero.games import make_game
from zero.network import Network, save_network
from zero.pool import WorkerPool
from zero.record import GameRecord, frame
from zero.replay import Replay
from zero.selfplay import game_seed
from zero.store import ReplayStore
from zero.weights import Weights


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def untrained(settings: config.Config, directory: Path) -> Weights:
    path, game = directory / "untrained.safetensors", make_game(settings.game)
    save_network(path, Network(game, settings.network, np.random.default_rng(0)), game.name)
    return Weights.read(path, 0)


class Players:
    """A pool of worker processes with an untrained network, its games admitted and stored as in a training."""

    def __init__(self, settings: config.Config, workers: int, directory: Path):
        self.pool = WorkerPool(backends.make("process"), settings, workers, say)
        self.log = GameLog(directory / f"games-{workers}")
        self.deliveries = self.pool.play(untrained(settings, directory), list(range(1_000_000)))
        self.games = self.plies = 0

    def play(self, seconds: float) -> dict[str, float]:
        """Positions and simulations a second, and how busy the workers were."""
        begin, positions, sims, busy = time.perf_counter(), 0, 0, 0.0
        for delivery in self.deliveries:
            positions, sims = positions + delivery.report.positions, sims + delivery.report.sims
            busy += delivery.report.seconds
            for record in delivery.records:
                self.log.append(record)
                self.games, self.plies = self.games + 1, self.plies + len(record.moves)
            wall = time.perf_counter() - begin
            if wall >= seconds:
                return {"positions_per_s": positions / wall, "sims_per_s": sims / wall,
                        "busy": busy / wall / self.pool.size}
        raise AssertionError("a million games were not enough")

    def close(self) -> None:
        self.deliveries.close()
        self.pool.close()
        self.log.close()


def selfplay(arguments: argparse.Namespace) -> dict:
    """Every count of workers in turns, so that a busy neighbour disturbs all alike. A pool that does not play waits
    and takes no time of a core."""
    settings = config.load(arguments.config)
    rates: dict[int, list[dict]] = {count: [] for count in arguments.workers}
    games = plies = 0
    with tempfile.TemporaryDirectory(dir=arguments.directory) as directory:
        for _ in range(arguments.rounds):
            for count in arguments.workers:
                players = Players(settings, count, Path(directory))
                players.play(arguments.seconds / 3)  # processes start, lanes fill
                rates[count].append(players.play(arguments.seconds))
                games, plies = games + players.games, plies + players.plies
                players.close()
    if not games:
        sys.exit("no game ended: give more --seconds")
    rows = {}
    for count, found in rates.items():
        row = {name: statistics.median(rate[name] for rate in found) for name in found[0]}
        row["games_per_s"] = row["positions_per_s"] * games / plies
        rows[count] = row
        times = row["sims_per_s"] / rows[arguments.workers[0]]["sims_per_s"]
        say(f"{count} workers: {row['games_per_s']:.2f} games/s, {row['positions_per_s']:.0f} positions/s, "
            f"{row['sims_per_s']:.0f} simulations/s, busy {row['busy']:.0%}; {times:.2f} times the first")
    return {"game": settings.game, "workers": rows}


def random_games(game: Game, count: int) -> list[GameRecord]:
    """Games of random moves with a policy over up to 16 moves at each ply, about as large as those of self-play."""
    records, rng = [], np.random.default_rng(0)
    for index in range(count):
        state, moves, actions, values = game.new_state(), [], [], []
        while not state.terminal:
            legal = np.flatnonzero(state.legal())
            chosen = np.sort(rng.choice(legal, min(16, len(legal)), replace=False))
            moves.append(int(rng.choice(legal)))
            actions.append(chosen)
            values.append(rng.uniform(-1, 1))
            state.play(moves[-1])
        result = int(state.outcome()) * (1 if state.to_move == 0 else -1)
        counts = np.array([len(chosen) for chosen in actions], np.uint16)
        records.append(GameRecord(
            index=index, seed=game_seed(1, index), version=0, proven=len(moves), result=result,
            moves=np.array(moves, np.uint16), values=np.array(values, np.float16), counts=counts,
            actions=np.concatenate(actions).astype(np.uint16),
            probs=np.repeat(1 / counts, counts).astype(np.float16),
            surprises=np.zeros(len(moves), np.float16),
        ))  # fmt: skip
    return records


def games(arguments: argparse.Namespace) -> dict:
    game = make_game(arguments.game)
    records = random_games(game, 256)
    payloads = [record.to_bytes() for record in records]
    admission, numbers = Admission(config.Config(game=game.name)), range(256)

    def admit() -> int:
        for payload in payloads:
            admission.admit(payload, 0, numbers)
        return len(payloads)

    def remember() -> int:
        replay = Replay(game, config.ReplayConfig())
        for record in records:
            replay.add(record)
        return len(records)

    with tempfile.TemporaryDirectory(dir=arguments.directory) as directory:
        writer, stored = GameLog(Path(directory) / "written"), GameLog(Path(directory) / "stored")
        for record in records * 8:
            stored.append(record)
        stored.close()

        def append() -> int:
            for record in records:
                writer.append(record)
            return len(records)

        def read() -> int:
            return sum(1 for _ in stored.read(say))

        rates = interleave({"admit": admit, "append": append, "remember": remember, "read": read}, arguments.seconds)
        writer.close()
    size = statistics.mean(map(len, payloads))
    plies = statistics.mean(len(record.moves) for record in records)
    result = {"game": game.name, "bytes_per_game": size, "plies": plies}
    say(f"{game.name}: {plies:.0f} plies, {size:.0f} bytes a game")
    for name, found in rates.items():
        result[name] = per_second("games", found)
        per_cpu = result[name]["games_per_cpu_s"]
        say(f"{name}: {result[name]['games_per_s']:,.0f} games/s, {1e6 / per_cpu:.1f} µs of a core each")
    return result


class Rank:
    """Holds an array and swaps it for the sum."""

    def __init__(self, size: int):
        self.array = np.ones(size, np.float32)

    def give(self, total: np.ndarray | None) -> np.ndarray:
        if total is not None:
            self.array = np.array(total)
        return self.array


def sums(arguments: argparse.Namespace) -> dict:
    """As `zero.group` does it: each rank hands its array to the driver, which hands the sum to all."""
    backend, rows = backends.make(arguments.cluster or "process"), {}
    for size in arguments.sizes:
        ranks = [backend.spawn(Rank, int(size * 1e6 / 4)) for _ in range(arguments.ranks)]
        total, times, counter = None, [], itertools.count()
        while next(counter) < 5 or (sum(times) < arguments.seconds and len(times) < 1000):
            began = time.perf_counter()
            calls = [backend.call(rank, "give", total) for rank in ranks]
            waiting = list(calls)
            while waiting:
                waiting = [call for call in waiting if call not in backend.wait(waiting)]
            total = backend.share(np.add.reduce([call.result() for call in calls]) / len(ranks))
            times.append(time.perf_counter() - began)
        for rank in ranks:
            backend.kill(rank)
        rows[size] = {"median_ms": 1e3 * statistics.median(times[2:]), "least_ms": 1e3 * min(times[2:])}
        say(f"{size:g} MB, {arguments.ranks} ranks: {rows[size]['median_ms']:.1f} ms, "
            f"at best {rows[size]['least_ms']:.1f} ms")
    return {"ranks": arguments.ranks, "backend": arguments.cluster or "process", "sizes_mb": rows}


class Team:
    """A driver, in a process of its own, with its workers there (`inline`) or on a cluster."""

    def __init__(self, settings: config.Config, where: str, workers: int, weights: Weights, directory: Path):
        run = "" if where == "inline" else secrets.token_hex(8)  # on a cluster workers have spools
        self.pool = WorkerPool(backends.make(where), settings, workers, say, run=run)
        self.weights, self.log = weights, GameLog(directory)

    def play(self, indices: Iterable[int]) -> tuple[float, int, int]:
        """CPU seconds of this process, network evaluations, and a checksum of the games."""
        begin, evaluations, checksum = time.process_time(), 0, 0
        for delivery in self.pool.play(self.weights, list(indices)):
            evaluations += delivery.report.evaluations
            for record in delivery.records:
                self.log.append(record)
                checksum ^= zlib.crc32(record.to_bytes())
        self.log.sync()
        return time.process_time() - begin, evaluations, checksum


def cpu_seconds(pids: Iterable[int]) -> dict[int, float]:
    """What each of these processes of this machine has taken so far, but for those that have ended."""
    found = {}
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        found[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # utime + stime
    return found


def over(rows: dict[str, list[dict[str, float]]], name: str, base: str) -> tuple[float, list[float]]:
    """How much more of a core a game takes than `base` took in the same round: the median, and every round."""
    found = [row["ms_per_game"] / other["ms_per_game"] - 1 for row, other in zip(rows[name], rows[base], strict=True)]
    return statistics.median(found), found


def spread(found: list[float]) -> str:
    return f"{min(found):+.1%} to {max(found):+.1%}"


def nodes(arguments: argparse.Namespace) -> dict:
    """The same games by one process, by N nodes, and by N processes that know nothing of each other: what the last
    take longer is the machine's doing, its cores being shared. Start-up and the first games do not count. A core runs
    now faster, now slower, so figures are compared within a round, and the median of the rounds counts."""
    sys.path.append(str(Path(__file__).parents[1] / "tests" / "zero"))
    from ray_cluster import Cluster, descendants

    settings, local = config.load(arguments.config), backends.make("process")
    games, checksums = range(1000, 1000 + arguments.games), set()
    rows: dict[str, list[dict[str, float]]] = {}

    def run(name: str, where: str, teams: int, workers: int) -> None:
        handles = [local.spawn(Team, settings, where, workers, weights, Path(directory) / f"{name}-{len(rows)}-{k}")
                   for k in range(teams)]  # fmt: skip

        def play(indices: range) -> list[tuple]:
            calls = [local.call(h, "play", indices[k::teams]) for k, h in enumerate(handles)]
            return [call.result() for call in calls]

        play(range(8 * teams * workers))
        roles = cluster.roles("SelfPlayWorker")
        daemons = {pid for node in cluster.nodes for pid in [node.pid, *descendants(node.pid)]} - set(roles)
        before, began = cpu_seconds([*roles, *daemons]), time.perf_counter()
        drivers, evaluations, parts = zip(*play(games), strict=True)
        seconds = time.perf_counter() - began
        spent = {pid: cpu - before[pid] for pid, cpu in cpu_seconds(before).items()}
        row = {"workers": sum(spent[pid] for pid in roles), "drivers": sum(drivers),
               "daemons": sum(spent.get(pid, 0) for pid in daemons)}
        row = {f"{what}_ms_per_game": 1e3 * cpu / len(games) for what, cpu in row.items()}
        row["ms_per_game"] = row["workers_ms_per_game"] + row["drivers_ms_per_game"]
        row |= {"seconds": seconds, "evaluations_per_game": sum(evaluations) / len(games)}
        rows.setdefault(name, []).append(row)
        checksums.add(int(np.bitwise_xor.reduce(parts)))
        for handle in handles:
            local.kill(handle)
        while cluster.roles("SelfPlayWorker"):
            time.sleep(0.1)

    cluster = Cluster()
    os.environ.update(cluster.environment)
    with tempfile.TemporaryDirectory(dir=arguments.directory) as directory:
        weights = untrained(settings, Path(directory))
        try:
            cluster.start_head()
            for _ in range(max(arguments.nodes)):
                cluster.start_node(cores=1, prefix=["env", f"HOME={directory}"], more=['--resources={"disk": 1}'])
            variants = [("one process", "inline", 1, 1)]
            for count in arguments.nodes:
                variants += [(f"{count} nodes", cluster.address, 1, count), (f"{count} processes", "inline", count, 1)]
            for k in range(arguments.rounds):  # there and back again, so that what drifts weighs on all alike
                for variant in variants if k % 2 == 0 else reversed(variants):
                    run(*variant)
            stored = store_games(cluster.address, make_game(settings.game), arguments.seconds)
        finally:
            cluster.close()
    assert len(checksums) == 1, "the games were not the same"
    result = {}
    for name, found in rows.items():
        row = result[name] = {figure: statistics.median(r[figure] for r in found) for figure in found[0]}
        row["overhead"], row["overheads"] = over(rows, name, "one process")
        say(f"{name}: {row['ms_per_game']:.2f} ms of a core a game ({row['drivers_ms_per_game']:.2f} in drivers), "
            f"{row['overhead']:+.1%} ({spread(row['overheads'])}); Ray's own processes "
            f"{row['daemons_ms_per_game']:.2f}; {row['evaluations_per_game']:.0f} evaluations a game; "
            f"{row['seconds']:.1f} s")
    for count in arguments.nodes:
        row = result[f"{count} nodes"]
        row["over_processes"], row["overs"] = over(rows, f"{count} nodes", f"{count} processes")
        say(f"{count} nodes against {count} processes: {row['over_processes']:+.1%} ({spread(row['overs'])})")
    return {"game": settings.game, "games": len(games), "runs": result, "store": stored}


def store_games(address: str, game: Game, seconds: float) -> dict[str, float]:
    """Games a second that one store on another node acknowledges, by how many come at once."""
    backend, rates = backends.make(address), {}
    handle = backend.spawn_on(backend.disks()[0], ReplayStore, "~", "run")
    backend.wait([call := backend.call(handle, "open", b"{}")])
    call.result()
    records, number = random_games(game, 256), 0
    for batch in (1, 32, 256):
        stored, spent = 0, 0.0
        while spent < seconds / 3:
            numbered = [replace(record, index=number + k) for k, record in enumerate(records[:batch])]
            frames = b"".join(frame(record.to_bytes()) for record in numbered)
            began = time.perf_counter()
            backend.wait([call := backend.call(handle, "append", frames)])
            call.result()
            spent, stored, number = spent + time.perf_counter() - began, stored + batch, number + batch
        rates[f"batches of {batch}"] = stored / spent
        say(f"store, {batch} at once: {stored / spent:,.0f} games/s")
    backend.kill(handle)
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description="what limits a run that grows")
    kinds = parser.add_subparsers(dest="kind", required=True)
    for kind in (selfplay, games, sums, nodes):
        options = kinds.add_parser(kind.__name__)
        options.set_defaults(measure=kind)
        options.add_argument("--seconds", type=float, default=12.0, help="for each figure")
        options.add_argument("--directory", type=Path, help="where files are written [the system's temporary folder]")
        if kind is selfplay:
            options.add_argument("--config", type=Path, default=Path("configs/connect4.toml"))
            options.add_argument("--workers", type=int, nargs="+", default=[1, 2])
            options.add_argument("--rounds", type=int, default=3)
        elif kind is games:
            options.add_argument("--game", default="go9")
        elif kind is nodes:
            options.add_argument("--config", type=Path, default=Path("configs/connect4.toml"))
            options.add_argument("--nodes", type=int, nargs="+", default=[2, 3])
            # Many beside the games in lockstep: as a worker's last ones end, its batches shrink.
            options.add_argument("--games", type=int, default=1500)
            options.add_argument("--rounds", type=int, default=7)
        else:
            options.add_argument("--ranks", type=int, default=2)
            options.add_argument("--sizes", type=float, nargs="+", default=[0.1, 1, 12, 100], help="in MB")
            options.add_argument("--cluster", help="on Ray: auto or HOST:PORT [processes of this machine]")
    arguments = parser.parse_args()
    print(json.dumps({"kind": arguments.kind, **arguments.measure(arguments), "machine": machine()}))


if __name__ == "__main__":
    main()

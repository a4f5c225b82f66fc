"""How many games in lockstep serve a machine best: measured when a run starts that leaves it open
(`selfplay.lanes = 0`), and kept in its `tuning.json`."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

from mcts_ext.result import EvaluationError
from nn.save import write_atomically
from zero.backends import Backend, WorkerDied
from zero.config import Config
from zero.resources import Resources
from zero.selfplay import SelfPlayWorker
from zero.weights import DamagedWeights, Weights

SECONDS = 0.5  # for each number of lanes
LEAST, MOST = 8, 4096
WAVES = 2  # games that each lane plays in an iteration, at least: at its end lanes lie idle
GOOD = 0.95  # share of the best rate that suffices: fewer games in lockstep end sooner
FLAT = 1.02  # twice the lanes and less gain than this twice in a row: more will not help


class Enough(Exception):
    """Ends a measurement between two batches."""


class Tuner(SelfPlayWorker):
    """A self-play worker that may have other numbers of lanes."""

    def measure(self, lanes: int, seconds: float) -> float:
        """Network evaluations a second; the first quarter of `seconds` does not count."""
        self.resources = replace(self.resources, lanes=lanes)
        self.groups = [self._make_group(group.search.game) for group in self.groups]
        self._drop_games()
        evaluate, start = self._evaluate, time.perf_counter()
        began, ended, evaluated = 0.0, 0.0, 0

        def counted(planes, legal):
            nonlocal began, ended, evaluated
            answer = evaluate(planes, legal)
            now = time.perf_counter()
            if began:
                evaluated, ended = evaluated + len(planes), now
            elif now - start >= seconds / 4:
                began = now
            if evaluated and now - start >= seconds:
                raise Enough
            return answer

        self._evaluate = counted
        try:
            while time.perf_counter() - start < 4 * seconds:  # long if a batch is, or if nothing needs the network
                self.play(seconds, list(range(8 * self.resources.games)))
        except Enough:
            pass
        finally:
            self._evaluate = evaluate
        return evaluated / max(ended - began, 1e-9)


class CardTuner(Tuner):
    gpus = 1  # see CardWorker


def candidates(most: int) -> Iterator[int]:
    """Numbers of lanes worth a measurement, ascending, at most `most`."""
    lanes = LEAST
    while lanes < most:
        yield lanes
        lanes *= 2
    yield most


def enough(rates: list[float]) -> bool:
    """Whether more lanes than were measured, each twice those before, are unlikely to be faster."""
    return len(rates) > 2 and rates[-1] < FLAT * rates[-2] and rates[-1] < FLAT * rates[-3]


def choose(rates: dict[int, float]) -> int:
    """The fewest lanes that are nearly as fast as the fastest."""
    return min(lanes for lanes, found in rates.items() if found >= GOOD * max(rates.values()))


class Tuning:
    """Finds a run's lanes, or remembers them, for workers of these `resources`."""

    def __init__(self, path: Path, config: Config, resources: Resources, workers: int):
        from zero.bench.common import cpu_name

        self.path, self.config, self.resources = path, config, resources
        self.most = max(1, min(MOST, config.selfplay.games // (WAVES * workers * resources.groups)))
        self.about = {
            "cpu": cpu_name(), "device": resources.device, "groups": resources.groups, "threads": resources.threads,
            "workers": workers, "network": asdict(config.network),
        }  # fmt: skip

    def lanes(self, backend: Backend, weights: Weights, look_up: Callable[[], None],
              tell: Callable[[str], None]) -> int:  # fmt: skip
        """As measured before on such a machine, or now by one worker, in seconds; `look_up` is called meanwhile."""
        known = self._read()
        if known is not None:
            return known
        role = CardTuner if self.resources.device == "cuda" else Tuner
        handle = backend.spawn(role, self.config, self.resources)

        def ask(method: str, *args):
            call = backend.call(handle, method, *args)
            while not backend.wait([call], timeout=1.0):
                look_up()
            return call.result()

        rates: dict[int, float] = {}
        try:
            ask("load", weights)
            for lanes in candidates(self.most):
                rates[lanes] = ask("measure", lanes, SECONDS)
                if enough(list(rates.values())):
                    break
        except (WorkerDied, DamagedWeights, EvaluationError) as error:  # the pool knows what to do about these
            tell(f"selfplay.lanes = 0 could not be measured: {error}; {self.resources.lanes} it is")
            return self.resources.lanes
        finally:
            backend.kill(handle)
        chosen = choose(rates)
        found = ", ".join(f"{lanes}: {count:,.0f}" for lanes, count in rates.items())
        tell(f"network evaluations/s of a worker by games in lockstep: {found}; {chosen} from now on")
        table = self.about | {"lanes": chosen, "evaluations_per_s": rates}
        write_atomically(self.path, (json.dumps(table, indent=1) + "\n").encode())
        return chosen

    def _read(self) -> int | None:
        try:
            table = json.loads(self.path.read_text())
            same = all(table[name] == value for name, value in self.about.items())
            return table["lanes"] if same and 1 <= table["lanes"] <= MOST else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

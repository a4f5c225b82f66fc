"""`zero train CONFIG --run DIR` and `zero train --resume DIR`."""

import dataclasses
import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from zero import config as configuration
from zero.cli import INTERRUPTED
from zero.errors import UserError, storage_fault


@dataclass(frozen=True)
class TrainArguments:
    """Learn a game from its rules by self-play.

    Every setting of the config file can be given on the command line as --section.key value, for example
    --selfplay.sims 64 --learner.lr 0.01.
    """

    config: tyro.conf.Positional[Path | None] = None  # the run's settings, a TOML file (see configs/)
    run: Path | None = None  # the directory to make [runs/NAME of the config file]
    resume: Path | None = None  # go on with this run instead of starting one
    start: Path | None = None  # a network file to start from instead of from nothing; a smaller one is grown
    minutes: float | None = None  # stop after this long; the time before a resume counts
    games: int | None = None  # stop after this many games
    steps: int | None = None  # stop after this many training steps
    device: Literal["auto", "cpu", "cuda"] = "auto"  # where self-play's networks are; auto: on a card if there is one
    workers: int | None = None  # self-play processes [one for each core or card]; 1 on a CPU plays in this process
    cluster: str | None = None  # play on a Ray cluster: auto (this machine is part of one) or HOST:PORT of its head
    stores: str | None = None  # keep copies of the run in this directory of every other node with a disk
    learners: int = 1  # processes or cluster nodes that share the learning (see learner.max_staleness)
    learner_device: Literal["cpu", "cuda"] | None = None  # cuda: a card for each learner [as self-play; several: cpu]
    metrics_port: int | None = None  # serve figures for Prometheus on this port of 127.0.0.1; 0 = any free one
    watch: bool = False  # open the window on the run: games, losses and Elo as it learns
    print_config: bool = False  # show the resolved settings and leave
    json: bool = False  # one JSON object about the result on the last line of stdout


def main(argv: list[str]) -> int:
    settings, words = split_settings(argv)
    arguments, others = tyro.cli(TrainArguments, prog="zero train", args=words, return_unknown_args=True)
    overrides = settings + others
    if (arguments.config is None) == (arguments.resume is None):
        raise UserError("give a config file to start a run, or --resume DIR to go on with one")
    if arguments.workers is not None and arguments.workers < 1:
        raise UserError(f"--workers {arguments.workers}: must be 1 or more")
    if arguments.learners < 1:
        raise UserError(f"--learners {arguments.learners}: must be 1 or more")
    limits = {name: getattr(arguments, name) for name in ("minutes", "games", "steps")}
    limits = {name: value for name, value in limits.items() if value is not None}
    from zero.run import RunDirectory, describe

    if arguments.resume is not None:
        if arguments.start is not None:
            raise UserError("--start is for new runs; one that is resumed goes on from its own network")
        run = RunDirectory.open(arguments.resume)
        backend, device, workers = start_backend(arguments, run.config)
        if limits:
            run.change_budget(limits)
        if overrides:
            with run.lock():
                run.grow(configuration.parse_overrides(overrides))
        return execute(run, backend, device, workers, arguments)

    budget = [word for name, value in limits.items() for word in (f"--budget.{name}", str(value))]
    config = configuration.load(arguments.config, overrides + budget)
    if arguments.print_config:
        print(configuration.dumps(config), end="")
        return 0
    from zero.doctor import require_sound
    from zero.sizes import Sizes

    sizes = Sizes(config)
    for game in sizes.games:
        require_sound(game)
    if not any(dataclasses.astuple(config.budget)):
        raise UserError(f"{arguments.config}: no end: give --minutes, --games or --steps, or a [budget] in the file")
    backend, device, workers = start_backend(arguments, config)
    state = None
    if arguments.start is not None:
        from zero.growth import started

        state = started(arguments.start, sizes.own, config.network)
    run = RunDirectory.create(arguments.run or Path("runs") / arguments.config.stem, config, describe(), state)
    return execute(run, backend, device, workers, arguments)


def split_settings(argv: list[str]) -> tuple[list[str], list[str]]:
    """The words of `--section.key value` and `--section.key=value`, and the others: a value is no config file."""
    settings, others, words = [], [], list(argv)
    while words:
        word = words.pop(0)
        if not (word.startswith("--") and "." in word.partition("=")[0]):
            others.append(word)
        else:
            settings += [word] if "=" in word else [word, *words[:1]]
            words = words if "=" in word else words[1:]
    return settings, others


def start_backend(arguments: TrainArguments, config):
    """Where the workers will run, their device, and how many they are: one for each card or core if nobody says. If
    both compute at the same time the learner has half of this machine's cores, and workers are never in its process.

    Raises `UserError` if the cluster cannot be joined, or if there is no such device.
    """
    from zero import backends
    from zero.devices import cluster_device, local_device

    concurrent = config.learner.concurrent
    if arguments.cluster:
        backend = backends.make(arguments.cluster)
        device, cores = cluster_device(arguments.device, backend.cards), backend.capacity
    else:
        device = local_device(arguments.device, config, lambda text: print(text, file=sys.stderr))
        cores = len(os.sched_getaffinity(0))
        cores = max(1, cores // 2) if concurrent else cores
        alone = device == "cpu" and (arguments.workers or cores) == 1 and not concurrent
        backend = backends.make("inline" if alone else "process")
    return backend, device, arguments.workers or (backend.cards if device == "cuda" else cores)


class StopRequest:
    """The first Ctrl-C asks for an orderly stop; the second leaves at once."""

    def __init__(self) -> None:
        self.requested = False
        signal.signal(signal.SIGINT, self._first)
        signal.signal(signal.SIGTERM, self._first)

    def _first(self, number: int, frame: object) -> None:
        self.requested = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def __call__(self) -> bool:
        return self.requested


def execute(run, backend, device: str, workers: int, arguments: TrainArguments) -> int:
    """Trains to the end of the budget, then plays the match. Returns the exit code."""
    from zero.devices import learner_device
    from zero.display import make_display
    from zero.metrics import Metrics
    from zero.supervisor import Stopped, Supervisor

    stop = StopRequest()
    if arguments.watch:
        from zero.commands.play import start_watching

        start_watching(run.root)
    with run.lock(), make_display(f"zero train · {run.config.game} · {run.root}") as display:
        metrics = Metrics(run, arguments.metrics_port)
        if metrics.prometheus:
            display.message(f"figures for Prometheus: http://127.0.0.1:{metrics.prometheus.port}/metrics")
        learn_on = learner_device(arguments.learner_device, device, arguments.learners)
        supervisor = Supervisor(run, backend, workers, display, stop, metrics, arguments.learners, learn_on, device,
                                arguments.stores)
        try:
            supervisor.train()
        except Stopped:
            where = f" --cluster {arguments.cluster}" if arguments.cluster else ""
            where += f" --stores {arguments.stores}" if arguments.stores else ""
            where += f" --learners {arguments.learners}" if arguments.learners > 1 else ""
            where += f" --device {arguments.device}" if arguments.device != "auto" else ""
            where += f" --learner-device {arguments.learner_device}" if arguments.learner_device else ""
            display.message(f"Stopped; nothing is lost. To go on: zero train --resume {run.root}{where}")
            return INTERRUPTED
        except OSError as error:
            fault = storage_fault(error)
            if fault is None:
                raise
            raise UserError(f"{fault}; what was stored before is kept. Make room, then go on with: "
                            f"zero train --resume {run.root}") from None
        result = {"run": str(run.root), **dataclasses.asdict(supervisor.state)}
        if run.config.match.games:
            from zero.arena.final import play_final_match

            result["match"] = play_final_match(run, display)
    if arguments.json:
        print(json.dumps(result))
    else:
        print(f"{run.root}: {result['games']} games, {result['steps']} steps", file=sys.stderr)
    return 0

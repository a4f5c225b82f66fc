"""`zero plan CONFIG`: how fast this machine trains, and when a run will be how strong."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from zero.errors import UserError

if TYPE_CHECKING:
    from zero.config import Config
    from zero.planner import Rung, Speeds
    from zero.strength import Curve


@dataclass(frozen=True)
class PlanArguments:
    """Measure this machine for a minute, and predict when a training reaches each rung of the game's ladder.

    The prediction is the speed of this machine times stored curves of strength against network calls (docs/plan.md).
    Settings can be changed as in zero train: --selfplay.sims 64.
    """

    config: tyro.conf.Positional[Path]  # the run's settings, a TOML file (see configs/)
    seconds: float = 60  # of measuring
    device: Literal["auto", "cpu", "cuda"] = "auto"  # where self-play's networks are, as in zero train
    workers: int | None = None  # self-play processes [one for each core or card]
    cluster: str | None = None  # measure a Ray cluster: auto (this machine is part of one) or HOST:PORT of its head
    learner_device: Literal["cpu", "cuda"] | None = None  # where the learner computes [as self-play]
    json: Annotated[bool, tyro.conf.arg(name="json")] = False  # one JSON object on the last line of stdout


def main(argv: list[str]) -> int:
    from zero.commands.train import split_settings, start_backend

    settings, words = split_settings(argv)
    arguments = tyro.cli(PlanArguments, prog="zero plan", args=words)
    if not 1 <= arguments.seconds < 1e6:
        raise UserError(f"--seconds {arguments.seconds:g}: must be 1 or more")
    if arguments.workers is not None and arguments.workers < 1:
        raise UserError(f"--workers {arguments.workers}: must be 1 or more")
    from zero import config as configuration
    from zero import planner
    from zero.bench.common import machine
    from zero.devices import learner_device
    from zero.strength import differences, nearest_curves

    config = configuration.load(arguments.config, settings)
    curves = nearest_curves(config)
    backend, device, workers = start_backend(arguments, config)
    print(f"measuring for {arguments.seconds:g} seconds", file=sys.stderr, flush=True)
    speeds = planner.measure(config, backend, workers, arguments.seconds, device,
                             learner_device(arguments.learner_device, device, 1),
                             lambda text: print(text, file=sys.stderr))
    rungs = planner.predict(config, curves, speeds)
    here = machine()
    where = f"{here['cpu']}, {workers} {'worker' if workers == 1 else 'workers'}" + (" on cards" * (device == "cuda"))
    print(*_speed_lines(config, speeds, where), "", *_rung_lines(config, curves, rungs),
          sep="\n", file=sys.stderr if arguments.json else sys.stdout)
    if arguments.json:
        print(json.dumps({
            "config": str(arguments.config), "game": config.game, "device": device, "workers": workers, "machine": here,
            "measured": vars(speeds),
            "stored": [{"date": curve.date, "sims": curve.sims, "machine": curve.machine, "different_settings":
                        differences(config, curve)} for curve in curves],
            "rungs": [{"rung": rung.opponent, "reached": rung.reached, "network_calls": rung.calls.to_json(),
                       "seconds": rung.seconds.to_json()} for rung in rungs],
            "unknown_rungs": _unknown(config, rungs),
        }))
    return 0


def _speed_lines(config: "Config", speeds: "Speeds", where: str) -> list[str]:
    network, play = config.network, config.selfplay
    positions, calls = speeds.per_minute(config)
    return [
        f"{config.game}, network {network.blocks}x{network.channels}, {play.sims} simulations a move, on {where}",
        f"  self-play   {_range(speeds.positions_per_s)} positions/s, {_range(speeds.calls_per_s)} network calls/s",
        f"  learning    {_range(speeds.samples_per_s)} samples/s",
        f"  a minute of training makes {positions:,.0f} positions with {calls:,.0f} network calls",
    ]


def _range(values: list[float]) -> str:
    import statistics

    return f"{statistics.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"


def _unknown(config: "Config", rungs: "list[Rung]") -> list[str]:
    """The rungs of the game's ladder that no stored run met; nobody is stronger than a solver."""
    from zero.arena.ladder import default_anchors
    from zero.games import make_game

    known = [rung.opponent for rung in rungs]
    return [name for name in default_anchors(make_game(config.game)) if name not in known and name != "solver"]


def _rung_lines(config: "Config", curves: "list[Curve]", rungs: "list[Rung]") -> list[str]:
    from zero.planner import duration, short_name
    from zero.strength import differences

    if not curves:
        return [f"No strength curve of {config.game} is stored, so when it will be how strong cannot be said."]
    lines = []
    for curve in curves:
        most = max(curve.points, key=lambda point: point.effort.network_calls).effort
        lines.append(f"by a run of {curve.date}: {_millions(most.network_calls)} network calls in "
                     f"{60 * most.hours:.3g} min on {curve.machine.get('cpu', 'another machine')}, its networks with "
                     f"{curve.sims} simulations a move")
        for name, (there, here) in differences(config, curve).items():
            lines.append(f"  {name} was {there}, is {here} here")
    lines += ["", f"{'as strong as':<32}{'network calls':>15}   after (95 %)"]
    for rung in rungs:
        calls = _millions(rung.calls.median) if rung.reached else ""
        when = duration(rung.seconds) if rung.reached else "not reached in any stored run"
        if rung.reached and 0 < 60 * config.budget.minutes < rung.seconds.median:
            when += ", past this budget"
        lines.append(f"{short_name(rung.opponent):<32}{calls:>15}   {when}")
    lines += [f"{short_name(name):<32}{'':>15}   no stored run met it" for name in _unknown(config, rungs)]
    return lines


def _millions(calls: float) -> str:
    return f"{calls / 1e6:.3g} M" if calls >= 1e6 else f"{calls / 1e3:.0f} k" if calls else "0"

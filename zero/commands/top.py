"""`zero top RUN`: a training, live, in the terminal."""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from zero.monitor import Snapshot

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 48  # of the small charts, in characters


@dataclass(frozen=True)
class TopArguments:
    """Watch a training in the terminal, from this machine or any that sees the run's directory. Ctrl-C leaves; the
    training does not notice."""

    run: tyro.conf.Positional[Path]
    once: bool = False  # show the present state and leave; with an alarm the exit code is 1
    json: Annotated[bool, tyro.conf.arg(name="json")] = False  # the same as one JSON object on the last line of stdout


def main(argv: list[str]) -> int:
    arguments = tyro.cli(TopArguments, prog="zero top", args=argv)
    from rich.console import Console
    from rich.live import Live

    from zero.monitor import look
    from zero.run import RunDirectory

    run = RunDirectory.open(arguments.run)
    if arguments.once or arguments.json or not sys.stdout.isatty():
        snapshot = look(run)
        Console(stderr=arguments.json, highlight=False).print(view(arguments.run, snapshot))
        if arguments.json:
            last = snapshot.history[-1] if snapshot.history else None
            print(json.dumps({"run": str(arguments.run), "status": snapshot.status, "age": round(snapshot.age, 1),
                              "last_iteration": last, "alarms": snapshot.alarms}))
        return 1 if snapshot.alarms else 0
    with Live(view(arguments.run, look(run)), screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(1)
            live.update(view(arguments.run, look(run)), refresh=True)


def view(path: Path, snapshot: "Snapshot"):
    """The panel that is shown, a rich renderable."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.text import Text

    parts = [Text(f"! {alarm}", style="bold red") for alarm in snapshot.alarms]
    if snapshot.status:
        parts.append(_present(snapshot))
        if snapshot.status.get("workers"):
            parts.append(_workers(snapshot.status["workers"]))
    else:
        parts.append(Text("nothing heard yet", style="dim"))
    if snapshot.history:
        parts.append(_history(snapshot.history))
    return Panel(Group(*parts), title=f"zero top · {path}", title_align="left")


def _grid(rows: dict[str, str]):
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for name, text in rows.items():
        table.add_row(name, text)
    return table


def _present(snapshot: "Snapshot"):
    from zero.display import clock

    status = snapshot.status
    rows = {"phase": f"{status['phase']}, heard {snapshot.age:.0f} s ago from process {status['pid']} on "
                     f"{status['host']}"}

    def get(name: str) -> float:
        return status.get(name, 0)

    if "iteration" in status:
        left = clock(get("seconds") * (1 - get("progress")) / get("progress")) if get("progress") else "-"
        rows |= {
            "time": clock(get("seconds")) + ("" if snapshot.over else f", {get('progress'):.0%} of the budget, "
                                                                      f"left {left}"),
            "iteration": f"{get('iteration')}: {get('games'):,} games, {get('positions'):,} positions",
            "throughput": f"{get('positions_per_s'):,.0f} positions/s, {get('sims_per_s'):,.0f} simulations/s, "
                          f"{get('evaluations_per_s'):,.0f} network evaluations/s in batches of {get('batch'):.0f}",
            "workers' time": f"network {get('network_busy'):.0%}, search {get('search_busy'):.0%}, "
                             f"idle {get('idle'):.0%}",
            "replay window": f"{get('window'):,} positions",
            "learner": f"{get('steps'):,} steps, losses: policy {get('policy_loss'):.3f}, value "
                       f"{get('value_loss'):.3f}, lr {get('lr'):.4g}",
            "memory": f"{size(get('memory_bytes'))}, workers {size(get('workers_memory_bytes'))}; "
                      f"{get('memory_free_share'):.0%} of the machine free",
            "disk": f"{size(get('disk_free_bytes'))} free",
        }
        if status.get("outlook") and not snapshot.over:
            rows["as strong as"] = status["outlook"]
    return _grid(rows)


def _workers(workers: list[dict]):
    from rich.table import Table

    table = Table(title_justify="left", box=None, header_style="dim", padding=(0, 2))
    for name in ("worker", "network", "games", "sims/s", "memory", "heard"):
        table.add_column(name, justify="right")
    for w in workers:
        table.add_row(str(w["worker"]), str(w["network"]), str(w["games"]), f"{w['sims_per_s']:,.0f}",
                      size(w["memory_bytes"]), f"{w['seconds_ago']:.0f} s ago")
    return table


def _history(history: list[dict]):
    names = [name for name in history[-1] if name.endswith("_loss")]
    names += ["samples_per_position", "policy_entropy", "game_length", "first_player_score", "window_age",
              "positions_per_s", "memory_bytes"]
    rows = {}
    for name in names:
        values = [line[name] for line in history if isinstance(line.get(name), int | float)]
        if values:
            last = size(values[-1]) if name.endswith("bytes") else f"{values[-1]:,.3g}"
            rows[name.removesuffix("_bytes").replace("_", " ")] = f"{sparkline(values)}  {last}"
    return _grid(rows)


def sparkline(values: list[float]) -> str:
    """The course of a figure as a line of blocks, its oldest values to the left; at most `WIDTH` of them, means."""
    import math

    count = min(WIDTH, len(values))
    cuts = [round(k * len(values) / count) for k in range(count + 1)]
    means = [math.fsum(values[a:b]) / (b - a) for a, b in zip(cuts, cuts[1:], strict=False)]
    known = [mean for mean in means if math.isfinite(mean)]
    low, span = min(known, default=0.0), (max(known, default=0.0) - min(known, default=0.0)) or 1.0
    return "".join(BARS[round((m - low) / span * (len(BARS) - 1))] if math.isfinite(m) else "?" for m in means)


def size(count: float) -> str:
    """Bytes as people say them."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"

"""Live progress of a training: a panel on a terminal, a line every ten seconds elsewhere. Everything on stderr."""

import sys
import time
from dataclasses import dataclass

LINE_SECONDS = 10.0


@dataclass(frozen=True)
class Status:
    """Where a training stands; rates are of the present iteration."""

    phase: str
    iteration: int
    games: int
    positions: int
    window: int
    steps: int
    seconds: float
    progress: float  # share of the budget, 0..1
    positions_per_s: float
    sims_per_s: float
    network_share: float  # of the workers' time spent in the network
    lr: float
    policy_loss: float
    value_loss: float
    outlook: str = ""  # which rung of the ladder comes next, and when (see `zero.planner.Outlook`)


def clock(seconds: float) -> str:
    minutes, seconds = divmod(int(max(0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def time_left(status: Status) -> str:
    """Estimated from the share of the budget spent so far."""
    if not status.progress:
        return "-"
    return clock(status.seconds * (1 - status.progress) / status.progress)


def loss_text(status: Status) -> str:
    if not status.steps:
        return "-"
    return f"policy {status.policy_loss:.3f}  value {status.value_loss:.3f}  lr {status.lr:.4f}"


class Display:
    """Shows what it is told; a context manager that tidies the screen at the end."""

    def __enter__(self) -> "Display":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, status: Status) -> None:
        raise NotImplementedError

    def message(self, text: str) -> None:
        raise NotImplementedError


class LineDisplay(Display):
    """Plain lines, for logs and pipes."""

    def __init__(self) -> None:
        self._last = 0.0

    def update(self, status: Status) -> None:
        now = time.monotonic()
        if now - self._last < LINE_SECONDS:
            return
        self._last = now
        print(
            f"{clock(status.seconds)} iteration {status.iteration} {status.phase}: {status.games} games, "
            f"{status.positions_per_s:.0f} positions/s, {status.sims_per_s:.0f} sims/s, {loss_text(status)}, "
            f"window {status.window} of {status.positions}, left {time_left(status)}"
            f"{status.outlook and ', as strong as ' + status.outlook}",
            file=sys.stderr,
            flush=True,
        )

    def message(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class PanelDisplay(Display):
    """A panel that is redrawn in place."""

    def __init__(self, title: str) -> None:
        from rich.console import Console
        from rich.live import Live

        self._title = title
        self._live = Live(console=Console(stderr=True), refresh_per_second=4)

    def __enter__(self) -> "PanelDisplay":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def update(self, status: Status) -> None:
        self._live.update(self._panel(status))

    def _panel(self, status: Status):
        from rich.panel import Panel
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", no_wrap=True)
        table.add_column()
        rows = {
            "time": f"{clock(status.seconds)}, left {time_left(status)}",
            "iteration": f"{status.iteration}: {status.phase}",
            "games": f"{status.games:,} ({status.positions:,} positions, {status.positions_per_s:,.0f}/s)",
            "search": f"{status.sims_per_s:,.0f} simulations/s, {status.network_share:.0%} of it in the network",
            "replay window": f"{status.window:,} positions",
            "learner": f"{status.steps:,} steps",
            "losses": loss_text(status),
        }
        if status.outlook:
            rows["as strong as"] = status.outlook
        for name, text in rows.items():
            table.add_row(name, text)
        table.add_row("", ProgressBar(total=1.0, completed=status.progress, width=50))
        return Panel(table, title=self._title, title_align="left", expand=False)

    def message(self, text: str) -> None:
        self._live.console.print(text, highlight=False)


def make_display(title: str) -> Display:
    return PanelDisplay(title) if sys.stderr.isatty() else LineDisplay()

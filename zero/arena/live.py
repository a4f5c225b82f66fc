"""The live view of a match: a table that redraws itself on a terminal, plain lines elsewhere. Always on stderr."""

import sys
import time

from zero.arena.match_result import MatchResult, percent


class LiveTable:
    """A context manager; `update` may be called as often as one likes."""

    def __init__(self, games: int):
        self.games = games
        self.began = self.shown = time.monotonic()
        self.live = None

    def __enter__(self) -> "LiveTable":
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self.live = Live(console=Console(stderr=True), refresh_per_second=4, transient=True)
            self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.live:
            self.live.stop()

    def update(self, result: MatchResult) -> None:
        now = time.monotonic()
        if self.live:
            self.live.update(self._table(result))
        elif now - self.shown >= 10:
            self.shown = now
            print(f"{len(result.games)} of {self.games} games: {result.points:g} points, {result.estimate}",
                  file=sys.stderr, flush=True)

    def _table(self, result: MatchResult):
        from rich.table import Table

        fit, counted = result.estimate, len(result.games)
        win, draw, loss = result.wins_draws_losses
        elapsed = time.monotonic() - self.began
        rows = {
            "games": f"{counted} of {self.games}",
            "points": f"{result.points:g} (+{win} ={draw} -{loss})",
            "pairs 0 / ½ / 1 / 1½ / 2": " ".join(map(str, result.pairs)),
            "Elo": str(fit),
            "normalised Elo": f"{fit.nelo:+.0f} ± {fit.nelo_error:.0f}" if counted else "",
            "likelihood of superiority": percent(fit.los),
            "moving first": f"{result.first_player_points:g} points",
        }
        if result.sprt:
            low, high = result.sprt.bounds
            rows["SPRT"] = f"{result.sprt.llr(result.pairs):+.2f} in {low:.2f} .. {high:.2f}"
        if result.broken:
            rows["broken games"] = str(len(result.broken))
        rows["time"] = f"{elapsed:.0f} s"
        table = Table(title=f"{result.a}  —  {result.b}", show_header=False)
        for name, value in rows.items():
            table.add_row(name, value)
        return table

"""Results between many players, kept in a file that can be continued, and the table made of them."""

import json
import os
from collections import defaultdict
from pathlib import Path

from zero.arena.match_result import MatchResult
from zero.arena.rating import Pairing, Ratings, fit_ratings
from zero.errors import UserError


class Results:
    """Wins, draws and losses of the player who moved first, by pairing; every match is one line of `path`."""

    def __init__(self, path: Path | None = None):
        """Raises UserError if the file is damaged."""
        self.counts: dict[Pairing, list[int]] = defaultdict(lambda: [0, 0, 0])
        self.matches: list[dict] = []
        self.path = path
        if path is not None and path.exists():
            try:
                for line in path.read_text().splitlines():
                    if line.endswith("}"):  # the last line may have been cut by a kill
                        self._count(json.loads(line))
            except (ValueError, KeyError) as error:
                raise UserError(f"{path}: damaged ({error!r}); remove it to begin anew") from None

    def add(self, result: MatchResult) -> None:
        """Counts a match and writes it down."""
        firsts = {side: [0, 0, 0] for side in (0, 1)}
        for game in result.games:
            points = game.points if game.first == 0 else 1 - game.points
            firsts[game.first][{1: 0, 0.5: 1, 0: 2}[points]] += 1
        line = {"a": result.a, "b": result.b, "a_first": firsts[0], "b_first": firsts[1], "broken": len(result.broken)}
        self._count(line)
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "a") as file:
                file.write(json.dumps(line) + "\n")
                file.flush()
                os.fsync(file.fileno())

    def _count(self, line: dict) -> None:
        self.matches.append(line)
        for pairing, counts in (((line["a"], line["b"]), line["a_first"]), ((line["b"], line["a"]), line["b_first"])):
            for k in range(3):
                self.counts[pairing][k] += counts[k]

    def games(self, a: str, b: str) -> int:
        return sum(self.counts.get((a, b), (0,))) + sum(self.counts.get((b, a), (0,)))

    def points(self, a: str, b: str) -> float:
        """Points of `a` in all games with `b`."""
        win, draw, _ = self.counts.get((a, b), (0, 0, 0))
        _, draw_second, loss = self.counts.get((b, a), (0, 0, 0))
        return win + loss + (draw + draw_second) / 2

    def rate(self, anchors: dict[str, float] | None = None) -> Ratings:
        known = {name for pairing in self.counts for name in pairing}
        return fit_ratings(self.counts, {k: v for k, v in (anchors or {}).items() if k in known})


def rating_table(results: Results, ratings: Ratings) -> list[dict]:
    """One row a player, the strongest first: rank, player, elo, error (95 %), games, points, LOS against the next."""
    order = sorted(ratings.players, key=lambda player: -ratings[player])
    rows = []
    for rank, player in enumerate(order, 1):
        below = order[rank] if rank < len(order) else None
        rows.append({
            "rank": rank, "player": player, "elo": round(ratings[player], 1), "error": round(ratings.error(player), 1),
            "games": int(ratings.games[ratings.players.index(player)]),
            "points": sum(results.points(player, other) for other in ratings.players if other != player),
            "los": round(ratings.superiority(player, below), 3) if below else None,
        })
    return rows


def table_text(rows: list[dict]) -> str:
    """The table for people."""
    width = max(len(row["player"]) for row in rows)
    lines = [f"{'':>4}  {'player':<{width}}  {'Elo':>6}  {'± 95 %':>7}  {'games':>6}  {'points':>7}  better than next"]
    for row in rows:
        los = "" if row["los"] is None else f"{100 * row['los']:.0f} %"
        lines.append(f"{row['rank']:>4}  {row['player']:<{width}}  {row['elo']:>+6.0f}  {row['error']:>7.0f}  "
                     f"{row['games']:>6}  {row['points']:>7g}  {los:>6}")
    return "\n".join(lines)

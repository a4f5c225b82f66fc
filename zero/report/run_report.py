"""The report of a run: what it learned, how fast, and its games."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mcts_ext.state import Game
from nn.save import write_atomically
from zero.record import GameRecord
from zero.report.boards import SCRIPT, frames, viewer
from zero.report.page import Series, chart, escape, page, table
from zero.run import RunDirectory
from zero.sizes import Sizes

_BINS = 10
_SAMPLES = 6
_OPENING_PLIES = 3


def make_report(run: RunDirectory) -> str:
    """The page. What a run does not have yet is left out or said to be missing."""
    sizes = Sizes(run.config)
    metrics = run.metrics()
    records = list(run.games.read(lambda line: None))
    body = [
        f"<h1>{escape(run.root.name)}: {escape(sizes.own.full_name)}</h1>", _summary(metrics, records),
        f'<h2>Strength</h2><div class="grid">{_elo(run)}</div>{_matches(run.root)}',
        f'<h2>Learning</h2><div class="grid">{_learning(metrics)}</div>',
        f'<h2>Self-play</h2><div class="grid">{_self_play(metrics, records)}</div>',
        "<h2>Openings</h2>" + _openings(sizes.own, [r for r in records if sizes.game(r.seed) is sizes.own]),
        f'<h2>Games</h2><p>Arrow keys step through.</p><div class="grid">{_samples(sizes, records)}</div>',
    ]
    return page(f"{run.root.name} · Zero", "".join(body), SCRIPT)


def _column(metrics: Sequence[dict], name: str) -> list[float]:
    return [float(line.get(name, math.nan)) for line in metrics]


def _summary(metrics: Sequence[dict], records: Sequence[GameRecord]) -> str:
    if not metrics:
        return f"<p>{len(records)} games, no iteration finished yet.</p>"
    last = metrics[-1]
    return (f"<p>{last['games']:,} games, {last['positions']:,} positions, {last['steps']:,} training steps in "
            f"{last['seconds'] / 60:.1f} minutes, {last['iteration']} iterations.</p>")


def _elo(run: RunDirectory) -> str:
    path = run.root / "ladder" / "ladder.json"
    if not path.exists():
        return f"<figure><figcaption>Elo</figcaption><p>no ladder yet: zero ladder {escape(run.root)}</p></figure>"
    players = json.loads(path.read_text())["players"]
    nets = sorted((row for row in players if "cost" in row), key=lambda row: row["version"])
    elo, error = [row["elo"] for row in nets], [row["error"] for row in nets]
    charts = []
    for name in ("games", "network_calls", "hours"):
        label = name.replace("_", " ")
        line = Series("", [row["cost"][name] for row in nets], elo, error, marks=True)
        charts.append(chart(f"Elo against {label}", [line], label))
    rows = [(row["rank"], row["player"], round(row["elo"]), f"± {row['error']:.0f}", row["games"]) for row in players]
    return "".join(charts) + f"<figure>{table(('', 'player', 'Elo', '95 %', 'games'), rows)}</figure>"


def _matches(root: Path) -> str:
    verdicts = []
    for path in sorted(root.glob("matches/*/result.json")):
        try:
            verdicts.append(f"<p>{escape(json.loads(path.read_text())['verdict'])}</p>")
        except (ValueError, KeyError):
            continue
    return "".join(verdicts)


def _learning(metrics: Sequence[dict]) -> str:
    steps = _column(metrics, "steps")
    return "".join((
        chart("Losses", [Series("policy", steps, _column(metrics, "policy_loss")),
                         Series("value", steps, _column(metrics, "value_loss"))], "training steps"),
        chart("Learning rate", [Series("", steps, _column(metrics, "lr"))], "training steps"),
        chart("Gradient norm", [Series("", steps, _column(metrics, "gradient_norm"))], "training steps"),
        chart("Replay window and all positions", [
            Series("window", _column(metrics, "games"), _column(metrics, "window")),
            Series("all", _column(metrics, "games"), _column(metrics, "positions"))], "games"),
    ))


def _self_play(metrics: Sequence[dict], records: Sequence[GameRecord]) -> str:
    minutes = [seconds / 60 for seconds in _column(metrics, "seconds")]
    games = _column(metrics, "games")
    versions, entropy = _entropy(records)
    by_time = (("Positions a second", "positions_per_s", None), ("Simulations a second", "sims_per_s", None),
               ("Share of time in the network", "network_share", (0, 1)))
    by_games = (("Plies in a game", "game_length", None), ("Points of the first player", "first_player_score", (0, 1)))
    charts = [chart(title, [Series("", minutes, _column(metrics, name))], "minutes", y_range)
              for title, name, y_range in by_time]
    charts += [chart(title, [Series("", games, _column(metrics, name))], "games", y_range)
               for title, name, y_range in by_games]
    charts.append(chart("Entropy of the policy targets (nats)", [Series("", versions, entropy)], "network"))
    return "".join(charts) + _calibration(records)


def _entropy(records: Sequence[GameRecord]) -> tuple[list[int], list[float]]:
    """Versions of the network that played, and the mean entropy of their policy targets."""
    sums: dict[int, list[float]] = {}
    for record in records:
        p = record.probs.astype(np.float64)
        targets = np.count_nonzero(record.counts)
        if targets:
            entry = sums.setdefault(record.version, [0.0, 0])
            entry[0] -= float(np.sum(p * np.log(np.maximum(p, 1e-12))))
            entry[1] += targets
    versions = sorted(sums)
    return versions, [sums[v][0] / sums[v][1] for v in versions]


def calibration(records: Sequence[GameRecord]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(mean value, mean result, standard error) of positions whose search value fell into each of ten bins; NaN where
    none did. Values and results are the movers'."""
    values, results = [], []
    for record in records:
        sign = np.where(np.arange(len(record.values)) % 2 == 0, 1.0, -1.0)
        known = np.isfinite(record.values)
        values.append(record.values[known].astype(np.float64))
        results.append(record.result * sign[known])
    value, result = (np.concatenate(part) if part else np.empty(0) for part in (values, results))
    bins = np.clip(((value + 1) / 2 * _BINS).astype(int), 0, _BINS - 1)
    means = np.full((3, _BINS), math.nan)
    for k in range(_BINS):
        inside = bins == k
        if inside.any():
            spread = result[inside].std() / math.sqrt(inside.sum())
            means[:, k] = value[inside].mean(), result[inside].mean(), spread
    return means[0], means[1], means[2]


def _calibration(records: Sequence[GameRecord]) -> str:
    recent = records[-max(200, len(records) // 4):]
    value, result, error = calibration(recent)
    return chart("Value calibration: what the search said, what happened", [
        Series("result", value, result, np.nan_to_num(1.96 * error), marks=True),
        Series("ideal", [-1, 1], [-1, 1])], "value of the search", (-1, 1))


def _openings(game: Game, records: Sequence[GameRecord]) -> str:
    """Shares of the commonest openings in each quarter of the run."""
    if len(records) < 8:
        return "<p>too few games yet</p>"
    quarters = [records[k * len(records) // 4:(k + 1) * len(records) // 4] for k in range(4)]

    def line(record: GameRecord) -> str:
        return " ".join(game.action_to_text(int(action)) for action in record.moves[:_OPENING_PLIES])

    counts = [Counter(map(line, quarter)) for quarter in quarters]
    common = [opening for opening, _ in sum(counts, Counter()).most_common(12)]
    rows = [(opening, *(f"{100 * counts[k][opening] / len(quarters[k]):.1f} %" for k in range(4)))
            for opening in common]
    return table((f"first {_OPENING_PLIES} moves", "1st quarter", "2nd", "3rd", "4th"), rows)


def _samples(sizes: Sizes, records: Sequence[GameRecord]) -> str:
    """Games spread over the run, the last one among them."""
    if not records:
        return "<p>no games yet</p>"
    chosen = np.unique(np.linspace(0, len(records) - 1, _SAMPLES).round().astype(int))
    figures = []
    for k in chosen:
        record, game = records[k], sizes.game(records[k].seed)
        notes = [f"value {value:+.2f}" if math.isfinite(value) else "random" for value in record.values.tolist()]
        winner = {1: "first player won", 0: "draw", -1: "second player won"}[record.result]
        caption = f"game {record.index + 1}, network {record.version}, {len(record.moves)} plies: {winner}"
        shown = frames(game.new_state(), record.moves.tolist(), notes)
        figures.append(viewer(game, shown, caption, start=len(shown) - 1))
    return "".join(figures)


def write_report(run: RunDirectory, path: Path) -> None:
    """Writes the page, or leaves the old one as it is."""
    write_atomically(path, make_report(run).encode())

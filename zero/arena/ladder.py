"""The ladder of a run: all its networks and fixed anchors on one scale, games played where they tell most."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcts_ext.games import family
from mcts_ext.state import Game
from zero.arena.match import default_openings, play_match
from zero.arena.openings import make_openings
from zero.arena.players import parse_player
from zero.arena.rating import ELO_PER_NAT, Ratings
from zero.arena.results import Results
from zero.arena.seats import Limits
from zero.arena.workers import Workers
from zero.protocols.engine import find_program
from zero.run import RunDirectory

ANCHOR = "random"  # stands at 0 Elo
_GNUGO = "gtp:gnugo --mode gtp --level {} --chinese-rules --capture-all-dead --never-resign --positional-superko"


def default_anchors(game: Game) -> list[str]:
    """The fixed players of a game that this machine has, weakest first."""
    anchors = [ANCHOR, "mcts:100", "mcts:1000", "mcts:10000"]
    if game.name == "tictactoe":
        anchors.append("solver")
    if family(game.name) == "go" and find_program("gnugo"):
        anchors += [_GNUGO.format(1), _GNUGO.format(10)]
    if game.name == "othello8" and find_program("gtp-rhino"):
        anchors.append("gtp:gtp-rhino")
    return anchors


def checkpoints(run: RunDirectory, most: int) -> list[int]:
    """At most so many versions of a run's networks, first and last among them, evenly spread."""
    versions = [entry.version for entry in run.weights()]
    chosen = np.linspace(0, len(versions) - 1, min(most, len(versions))).round().astype(int)
    return [versions[k] for k in chosen]


def next_pairing(players: list[str], results: Results, ratings: Ratings | None) -> tuple[str, str]:
    """The pairing whose games shrink the errors most: p (1 - p) times the variance of its Elo difference.

    p (1 - p) is the Fisher information of a game, the variance what is left to learn (D-optimal design). Players
    without games come first, each against its neighbour in the list.
    """
    for k, player in enumerate(players):
        if ratings is None or player not in ratings.players:
            return players[max(0, k - 1)], players[max(1, k)]
    best, most = (players[0], players[1]), -1.0
    for k, a in enumerate(players):
        for b in players[k + 1:]:
            p = 1 / (1 + np.exp((ratings[b] - ratings[a]) / ELO_PER_NAT))
            information = p * (1 - p) * ratings.error(a, b) ** 2
            if information > most:
                best, most = (a, b), float(information)
    return best


@dataclass(frozen=True)
class LadderPlan:
    players: list[str]
    game: Game
    limits: Limits
    games: int  # in all, those of earlier calls among them
    batch: int = 20  # games of a pairing before the next is chosen
    seed: int = 1


def play_ladder(plan: LadderPlan, results: Results, pool: Workers,
                on_match: Callable[[Ratings], None] | None = None) -> Ratings:
    """Plays until `plan.games` are in `results`, and rates them. A call on the same file goes on."""
    players = plan.players
    anchors = {ANCHOR: 0.0} if ANCHOR in players else {players[0]: 0.0}
    while sum(map(sum, results.counts.values())) < plan.games or not _all_met(players, results):
        ratings = results.rate(anchors) if results.counts else None
        a, b = next_pairing(players, results, ratings)
        seed = zlib.crc32(f"{a} {b} {results.games(a, b)} {plan.seed}".encode())
        openings = make_openings(default_openings(plan.game), plan.game, seed, plan.batch // 2)
        results.add(play_match(parse_player(a), parse_player(b), plan.game, plan.batch, seed, openings=openings,
                               limits=plan.limits, pool=pool))
        if on_match:
            on_match(results.rate(anchors))
    return results.rate(anchors)


def _all_met(players: list[str], results: Results) -> bool:
    met = {name for pairing in results.counts for name in pairing}
    return set(players) <= met


@dataclass(frozen=True)
class Effort:
    """What a network of a run had cost when it was made; `samples`: seen by the learner, `hours` of the wall clock."""

    games: int
    network_calls: float
    hours: float
    positions: int = 0
    samples: int = 0


def efforts(run: RunDirectory) -> dict[int, Effort]:
    """By version, from `metrics.jsonl`; version 0 has cost nothing."""
    found = {0: Effort(0, 0.0, 0.0)}
    calls = 0.0
    for line in run.metrics():
        calls += line.get("network_evaluations", 0)
        samples = line["steps"] * run.config.learner.batch
        found[line["iteration"]] = Effort(line["games"], calls, line["seconds"] / 3600, line["positions"], samples)
    return found


def plot_ladder(path: Path, ratings: Ratings, versions: dict[str, int], costs: dict[int, Effort], title: str) -> None:
    """Elo of the networks with 95 % bars against games, network calls and hours; the anchors are lines."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    shown = [player for player in versions if player in ratings.players and versions[player] in costs]
    axes = figure.subplots(1, 3, sharey=True)
    for axis, (name, label) in zip(axes, (("games", "games"), ("network_calls", "network calls"), ("hours", "hours")),
                                   strict=True):
        x = [getattr(costs[versions[player]], name) for player in shown]
        axis.errorbar(x, [ratings[player] for player in shown], [ratings.error(player) for player in shown],
                      marker="o", capsize=3)
        axis.set_xlabel(label)
        axis.grid(alpha=0.3)
        for player in ratings.players:
            if player not in versions:
                axis.axhline(ratings[player], linestyle="--", linewidth=0.8, color="gray")
                axis.annotate(player[:22], (1, ratings[player]), xycoords=("axes fraction", "data"), fontsize=7,
                              ha="right", va="bottom", color="gray")
    axes[0].set_ylabel(f"Elo ({ANCHOR} = 0)")
    figure.savefig(path, dpi=110)

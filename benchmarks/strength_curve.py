"""Strength against time of a finished run: matches of its networks with fixed opponents, a data file, a picture.

    python benchmarks/strength_curve.py runs/connect4 --sims 200 --games 40 --networks 6 --kept 0 100

The points go to zero/curves/NAME.json, which `zero plan` reads, and to docs/results/NAME.png. Every 20 games are stored
when they are played: a second call goes on, and with more games, networks or opponents it adds to what is there.
Opponents are met weakest first; who lost a first 20 games to one, all of them, does not meet the next, and games that
all went one way are not followed by others.
"""

import argparse
import json
import shlex
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
from connect4_solved import interval, judge, read_positions

from zero.arena.ladder import default_anchors, efforts
from zero.arena.match import default_openings, play_match
from zero.arena.openings import make_openings
from zero.arena.players import parse_player
from zero.arena.workers import Workers
from zero.config import to_table
from zero.games import make_game
from zero.planner import short_name
from zero.run import RunDirectory
from zero.strength import CURVES, Curve, Point, Tally

PICTURES = Path(__file__).parent.parent / "docs" / "results"
BATCH = 20  # games
SEED = 1


def spread(run, most):
    """At most so many versions of the run's networks, evenly in the logarithm of the training time, with the untrained
    and the last one."""
    costs = efforts(run)
    versions = [entry.version for entry in run.weights() if entry.version in costs]
    if len(versions) <= most:
        return versions
    hours = np.array([costs[version].hours for version in versions[1:]])
    wanted = np.geomspace(hours[-1], hours[0], most - 1)
    nearest = [int(np.abs(np.log(hours / at)).argmin()) + 1 for at in wanted]
    return sorted({versions[0], *(versions[k] for k in nearest)})


def open_curve(path, run, arguments):
    """The stored curve, with new points where there were none."""
    game, config, machine = make_game(run.config.game), to_table(run.config), machine_of(run)
    said = [f"runs/{run.root.resolve().name}" if word == str(arguments.run) else word for word in sys.argv[1:]]
    words, today = shlex.join(["python", "benchmarks/strength_curve.py", *said]), date.today().isoformat()
    if path.exists():
        curve = Curve.read(path)
        if (curve.sims, curve.machine) != (arguments.sims, machine):
            sys.exit(f"{path}: of another run, or with another --sims ({curve.sims}); give --name, or remove it")
        curve.config, curve.command, curve.date = config, words, today
    else:
        curve = Curve(game.name, arguments.sims, config, machine, today, words)
    known, costs = {point.version for point in curve.points}, efforts(run)
    curve.points += [Point(version, costs[version]) for version in spread(run, arguments.networks)
                     if version not in known]
    curve.points.sort(key=lambda point: point.version)
    return curve


def machine_of(run):
    """Where and when the run began."""
    about = json.loads((run.root / "run.json").read_text())
    return {name: about.get(name) for name in ("started", "cpu", "cores", "commit", "versions")}


def settled(tally):
    """Whether further games would tell little."""
    return tally.games >= BATCH and tally.estimate.score in (0, 1)


def play(curve, point, opponent, run, pool):
    """The next games of a network with an opponent."""
    tally, game = point.matches.setdefault(opponent, Tally()), make_game(run.config.game)
    pairs = tally.games // 2 + BATCH // 2
    openings = make_openings(default_openings(game), game, SEED, pairs)[-BATCH // 2:]
    player = parse_player(f"{run.root}@{point.version}?sims={curve.sims}")
    result = play_match(player, parse_player(opponent), game, BATCH, SEED + tally.games, openings=openings, pool=pool)
    for played in result.games:
        side, points = (tally.second if played.first else tally.first), played.points
        side[{1: 0, 0.5: 1, 0: 2}[points]] += 1
    tally.pairs = [a + b for a, b in zip(tally.pairs, result.pairs, strict=True)]
    if result.broken:
        sys.exit(f"{opponent}: {len(result.broken)} games broke down; the first: {result.broken[0].detail}")


def measure(curve, path, run, arguments):
    began = time.monotonic()

    path.parent.mkdir(exist_ok=True)

    def store(text):
        curve.write(path)
        print(f"{time.monotonic() - began:.0f} s: {text}", flush=True)

    for sims in arguments.kept:
        for point in curve.points:
            if sims not in point.kept:
                kept = judge(f"{run.root}@{point.version}?sims={sims}", read_positions())
                point.kept[sims] = len(kept), int(kept.sum())
                store(f"network {point.version} keeps the value in {kept.mean():.1%} with {sims} simulations")
    ladder = default_anchors(make_game(run.config.game))
    opponents = arguments.opponents or [name for name in ladder if name != "solver"]
    with Workers() as pool:
        for games in range(BATCH, arguments.games + BATCH, BATCH):
            for point in curve.points:
                for opponent in opponents:
                    tally = point.matches.get(opponent, Tally())
                    if tally.games < games and not settled(tally):
                        play(curve, point, opponent, run, pool)
                        tally = point.matches[opponent]
                        score = f"{tally.estimate.score:.1%} of {tally.games} games"
                        store(f"network {point.version} - {opponent}: {score}")
                    if settled(tally) and tally.estimate.score == 0:
                        break


def draw(curve, path, title):
    """Scores, and shares of kept values, against training time and network calls."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5.4), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    lines = {f"points against {short_name(opponent)}":
             [(point, point.matches[opponent].estimate.score, *point.matches[opponent].interval)
              for point in curve.points if opponent in point.matches] for opponent in curve.opponents}
    for sims in sorted({sims for point in curve.points for sims in point.kept}, key=int):
        label = "values kept, network alone" if sims == "0" else f"values kept, {sims} simulations"
        lines[label] = [(point, kept / n, *interval(n, kept)) for point in curve.points if sims in point.kept
                        for n, kept in (point.kept[sims],)]
    spent_on = {"minutes of training": [60 * point.effort.hours for point in curve.points],
              "network calls": [point.effort.network_calls for point in curve.points]}
    axes = figure.subplots(1, 2, sharey=True)
    for axis, (label, spent) in zip(axes, spent_on.items(), strict=True):
        place = dict(zip((point.version for point in curve.points), spent, strict=True))
        for name, points in lines.items():
            x = [place[point.version] for point, *_ in points]
            y, low, high = (np.array(column) for column in list(zip(*points, strict=True))[1:])
            axis.errorbar(x, 100 * y, 100 * np.maximum([y - low, high - y], 0), marker="o", markersize=4, capsize=3,
                          linestyle="--" if name.startswith("values") else "-", label=name)
        first = min(x for x in spent if x > 0)
        axis.set_xscale("symlog", linthresh=first)
        axis.set_xlim(left=-first / 20)
        decades = 10.0 ** np.arange(np.ceil(np.log10(first)), np.log10(max(spent)) + 1e-9)
        axis.set_xticks([0, *decades], ["0", *(f"{x:,.10g}" for x in decades)])
        axis.set_xlabel(f"{label} (linear to the first trained network, then logarithmic)")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel(f"% (networks with {curve.sims} simulations a move; bars: 95 %)")
    axes[0].set_ylim(-2, 102)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--opponents", nargs="*", metavar="PLAYER", help="weakest first [the game's ladder]")
    parser.add_argument("--sims", type=int, default=200, help="simulations a move of the networks [200]")
    parser.add_argument("--games", type=int, default=40, help="of each network with each opponent [40]")
    parser.add_argument("--networks", type=int, default=6, help="at most so many [6]")
    parser.add_argument("--kept", nargs="*", default=[], metavar="SIMS", help="Connect Four: also judge moves")
    parser.add_argument("--name", help="of the files [the run's]")
    arguments = parser.parse_args()
    run = RunDirectory.open(arguments.run)
    if arguments.networks < 2:
        sys.exit("--networks: the untrained and the last one at least, so 2 or more")
    if arguments.kept and run.config.game != "connect4":
        sys.exit("--kept is for Connect Four, the only game with solved positions")
    name = arguments.name or run.root.resolve().name
    data = CURVES / f"{name}.json"
    curve = open_curve(data, run, arguments)
    measure(curve, data, run, arguments)
    network = f"{run.config.network.blocks}x{run.config.network.channels}"
    draw(curve, PICTURES / f"{name}.png", f"{curve.game}, {network}, trained on {curve.machine['cpu']}")
    print(data, PICTURES / f"{name}.png")


if __name__ == "__main__":
    main()

"""How often a player keeps the game-theoretic value of a Connect Four position, judged by a perfect solver.

    python benchmarks/connect4_solved.py 'runs/connect4?sims=100' 'runs/connect4?sims=0' mcts:1000
    python benchmarks/connect4_solved.py --make 800 --plies 8 30
    python benchmarks/connect4_solved.py --make 140 --plies 4 7

The positions lie in connect4_positions.jsonl: 4 to 30 plies, only those where some legal move loses value, half from
random games and half from games of mcts:300 that plays every fourth move at random. They never meet a training.
"""

import argparse
import json
from math import sqrt
from pathlib import Path

import numpy as np

from mcts_ext.connect4_solver import Solver
from mcts_ext.search import Search
from zero.arena.players import parse_player
from zero.arena.seats import DEFAULT_LIMITS, open_seat
from zero.games import make_game

POSITIONS = Path(__file__).with_name("connect4_positions.jsonl")
SEED = 7
EARLY = 12  # plies: before, values are hardest to tell


def random_position(game, search, rng, low, high):
    """The moves of a position after `low` to `high` plies that is not over; `search` plays them if it is one."""
    while True:
        state, moves = game.new_state(), []
        plies = int(rng.integers(low, high + 1))
        if search:
            search.reset(0)
        while len(moves) < plies and not state.terminal:
            if search and rng.random() < 0.75:
                search.start(0, 300)
                search.run("rollout")
                visits = search.result(0).visits
                moves.append(int(rng.choice(len(visits), p=visits / visits.sum())))
            else:
                moves.append(int(rng.choice(state.legal_actions())))
            state.play(moves[-1])
            if search:
                search.play(0, moves[-1])
        if not state.terminal:
            return state, moves


def make(count, low, high):
    """Adds `count` positions after `low` to `high` plies to those there are."""
    game, solver, rng = make_game("connect4"), Solver(table_bits=27), np.random.default_rng(SEED)
    search = Search(game, 1, {"solver": True}, SEED)
    known, added = {position["moves"] for position in read_positions()}, 0
    with open(POSITIONS, "a") as file:
        while added < count:
            played = added % 2 == 1
            state, moves = random_position(game, search if played else None, rng, low, high)
            values = solver.values(state)
            legal = values[values > -2]
            text = "".join(str(move + 1) for move in moves)
            if text in known or (legal == legal.max()).all():
                continue
            known.add(text)
            added += 1
            line = {"moves": text, "values": values.tolist(), "mcts": played}
            file.write(json.dumps(line) + "\n")
            file.flush()
            if added % 10 == 0:
                print(f"{added} positions", flush=True)


def judge(text, positions):
    """bool `[n]`: whether the player's move keeps the value."""
    game = make_game("connect4")
    seat = open_seat(parse_player(text), game, len(positions), DEFAULT_LIMITS)
    for slot, position in enumerate(positions):
        seat.reset(slot, slot)
        for move in position["moves"]:
            seat.play(slot, int(move) - 1)
    choices = seat.choose(list(range(len(positions))))
    seat.close()
    return np.array([p["values"][choices[slot].action] == max(p["values"]) for slot, p in enumerate(positions)])


def interval(n, kept):
    """The 95 % interval of a share of `n` (Wilson 1927)."""
    p, z = kept / n, 1.96
    middle, width = p + z * z / (2 * n), z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (middle - width) / (1 + z * z / n), (middle + width) / (1 + z * z / n)


def share(kept):
    """Percent with its interval."""
    low, high = interval(len(kept), kept.sum())
    return f"{100 * kept.mean():.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def read_positions():
    return [json.loads(line) for line in POSITIONS.read_text().splitlines()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("players", nargs="*", help="players as `zero match` takes them")
    parser.add_argument("--make", type=int, metavar="N", help="add N positions (half an hour for 140 early ones)")
    parser.add_argument("--plies", type=int, nargs=2, default=(8, 30), metavar=("LOW", "HIGH"), help="of the new ones")
    arguments = parser.parse_args()
    if arguments.make:
        make(arguments.make, *arguments.plies)
    positions = read_positions()
    plies = np.array([len(position["moves"]) for position in positions])
    played = np.array([position["mcts"] for position in positions])
    early = plies < EARLY
    print(f"| player | all {len(positions)} | from mcts games ({played.sum()}) | before ply {EARLY} ({early.sum()}) |")
    print("|---|---|---|---|")
    for text in arguments.players:
        kept = judge(text, positions)
        print(f"| {text} | {share(kept)} | {share(kept[played])} | {share(kept[early])} |", flush=True)


if __name__ == "__main__":
    main()

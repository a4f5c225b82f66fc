"""The workload of `make asan`: every game searched, played and thrown away in a build with AddressSanitizer.

Run it by the make target: it sets the sanitizer's options. Exits non-zero on a memory error (at once) or on a leak.
"""
import sys
import time

import numpy as np

from mcts_ext import games
from mcts_ext.cache import EvaluationCache
from mcts_ext.search import Search

OPTIONS = (
    {},
    {"root": "gumbel", "interior": "gumbel"},
    {"solver": True, "transpositions": True, "leaves": 4, "symmetry": "random"},
    {"root": "gumbel", "symmetry": "average", "rollout_weight": 0.5, "forced_playouts": 2.0},
    {"memory": 200_000, "solver": True, "leaves": 3},
)


def network(planes, legal):
    return np.zeros(legal.shape, np.float32), np.zeros(len(planes), np.float32)


def play_games(game, options, plies):
    """A few plies of several games with each evaluator, their trees kept, some searches stopped half way."""
    cache = EvaluationCache(game, 500)
    search = Search(game, 3, options, seed=1, threads=2, cache=cache)
    for ply in range(plies):
        for i in range(3):
            search.start(i, 40)
        if ply % 4 == 3:                      # one batch, then all is dropped
            search.apply(*network(*search.collect()))
            search.collect()
            search.stop(0)
            search.cancel()
        search.run((network, "uniform", "rollout", network)[ply % 4])
        for i in range(3):
            action = search.choose(i, 1.0)
            if action >= 0:
                search.play(i, action)
            else:
                search.reset(i)


def play_out(game, seed):
    """States by hand: copies, planes, hashes, symmetries."""
    state = game.new_state()
    rng = np.random.default_rng(seed)
    while not state.terminal:
        state.encode(), state.hash(), state.stones(), str(state)
        state.play(int(rng.choice(state.legal_actions())))
        state = state.copy()
    return state.outcome()


def main():
    for name in games.names():
        begin = time.perf_counter()
        game = games.make(name)
        plies = 6 if game.rows > 9 else 12
        for options in OPTIONS:
            if game.num_actions * 16 + 200 > options.get("memory", 1 << 30):
                continue
            play_games(game, options, plies)
        play_out(game, 1)
        print(f"{name}: {time.perf_counter() - begin:.1f} s", flush=True)
    begin = time.perf_counter()
    search = Search(games.make("go19"), 1, {"memory": 1 << 29}, seed=1)
    for _ in range(4):
        search.start(0, 250_000)
        search.run("uniform")
        search.play(0, search.result(0).best)
    print(f"go19: 10^6 simulations, {time.perf_counter() - begin:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

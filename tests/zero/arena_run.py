"""A small run directory made without training: two networks, some games, metrics."""

import json

import numpy as np

from mcts_ext.games import make
from zero.arena.workers import Workers
from zero.backends.inline import InlineBackend
from zero.config import Config, NetworkConfig
from zero.network import Network, save_network
from zero.record import GameRecord
from zero.run import RunDirectory

INLINE = Workers(InlineBackend())  # matches in this process, where a test may reach into them
TINY = NetworkConfig(blocks=1, channels=8, policy_channels=2, value_channels=2, value_hidden=8)


def random_record(game, index, rng):
    """A random game whose search values lean towards its result."""
    state, moves = game.new_state(), []
    while not state.terminal:
        moves.append(int(rng.choice(state.legal_actions())))
        state.play(moves[-1])
    outcome = state.outcome() if state.to_move == 0 else -state.outcome()
    n = len(moves)
    values = np.array([outcome * (1 if k % 2 == 0 else -1) for k in range(n)]) * rng.random(n)
    values[0] = np.nan
    actions = np.array([[move, (move + 1) % game.num_actions] for move in moves]).ravel()
    return GameRecord(index, 7, index % 2, n, int(outcome), np.array(moves, np.uint16), values.astype(np.float16),
                      np.full(n, 2, np.uint16), actions.astype(np.uint16), np.tile([0.75, 0.25], n).astype(np.float16),
                      np.zeros(n, np.float16))


def make_run(root, name="connect4", games=24):
    rng, game = np.random.default_rng(1), make(name)
    run = RunDirectory.create(root, Config(game=name, network=TINY), {})
    for version in (0, 1):
        network = Network(game, TINY, np.random.default_rng(version))
        run.publish(version, lambda path, n=network: save_network(path, n, name), version * games, version * 5)
    for index in range(games):
        run.games.append(random_record(game, index, rng))
    run.games.close()
    for k in (1, 2):
        line = {"iteration": k, "seconds": 30.0 * k, "games": 12 * k, "positions": 300 * k, "window": 280 * k,
                "steps": 5 * k, "lr": 0.01, "policy_loss": 2 - 0.2 * k, "value_loss": 0.9, "gradient_norm": 1.0,
                "game_length": 25.0, "first_player_score": 0.55, "network_evaluations": 4000,
                "positions_per_s": 100.0, "sims_per_s": 3200.0, "network_share": 0.9}
        with open(run.root / "metrics.jsonl", "a") as file:
            file.write(json.dumps(line) + "\n")
    return run

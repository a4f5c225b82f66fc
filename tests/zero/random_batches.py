"""Training batches without a training: from random games."""

import numpy as np

from zero.config import Config, from_table
from zero.record import GameRecord
from zero.replay import Replay
from zero.selfplay import game_seed
from zero.sizes import Sizes

NETWORK = {"blocks": 2, "channels": 8, "policy_channels": 4, "value_channels": 2, "value_hidden": 8}


def make_config(game="connect4", sizes=None, **learner):
    learner = {"batch": 30, "ema": 0.9, "reply_weight": 0.3, "moves_left_weight": 0.1} | learner
    free = {"policy_head": "convolutional", "value_pooling": True} if sizes else {}
    table = {"game": game, "network": NETWORK | free, "selfplay": {"sizes": sizes or {}}, "learner": learner}
    return from_table(Config, table, "test")


def batches(config, count, seed=0):
    """Batches of random games of all sizes; a third of the positions has no policy target, unevenly among the ranks."""
    sizes, rng = Sizes(config), np.random.default_rng(seed)
    replay = Replay(sizes.own, config.replay, sizes.others)
    for index in range(12):
        game = sizes.game(game_seed(config.seed, index))
        state, moves, counts, actions = game.new_state(), [], [], []
        while not state.terminal:
            legal = state.legal_actions()
            moves.append(int(rng.choice(legal)))
            given = legal if len(moves) > 5 else []
            counts.append(len(given))
            actions.extend(given)
            state.play(moves[-1])
        result = int(state.outcome()) * (1 if state.to_move == 0 else -1)
        plies = len(moves)
        replay.add(GameRecord(
            index=index, seed=0, version=0, proven=plies, result=result, moves=np.array(moves, np.uint16),
            values=np.zeros(plies, np.float16), counts=np.array(counts, np.uint16),
            actions=np.array(actions, np.uint16), probs=rng.random(len(actions)).astype(np.float16),
            surprises=np.zeros(plies, np.float16),
        ), game)  # fmt: skip
    return [replay.sample(config.learner.batch, rng) for _ in range(count)]


def assert_close(states, other, rtol=2e-4):
    assert states.keys() == other.keys()
    for name, array in states.items():
        scale = np.abs(array).max() + 1e-3
        assert np.abs(array - other[name]).max() <= rtol * scale, name

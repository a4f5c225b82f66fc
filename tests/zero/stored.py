"""Games as self-play would store them, without a network."""

import numpy as np

from zero.record import GameRecord


def random_record(game, index):
    """A random game with a made-up one-move target, and its positions as they were played."""
    rng = np.random.default_rng(index)
    state, moves, planes, legal, movers = game.new_state(), [], [], [], []
    while not state.terminal:
        planes.append(state.encode())
        legal.append(state.legal())
        movers.append(state.to_move)
        moves.append(int(rng.choice(state.legal_actions())))
        state.play(moves[-1])
    result = int(state.outcome() if state.to_move == 0 else -state.outcome())
    n = len(moves)
    values = rng.uniform(-1, 1, n).astype(np.float16)
    values[0] = np.nan  # not searched
    record = GameRecord(
        index, 0, 0, n, result, np.array(moves, np.uint16), values, np.ones(n, np.uint16),
        np.array(moves, np.uint16), np.ones(n, np.float16), np.zeros(n, np.float16),
    )  # fmt: skip
    return record, planes, legal, movers

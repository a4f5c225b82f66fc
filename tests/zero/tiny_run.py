"""A training that takes a second: tic-tac-toe in four iterations of 24 games."""

import numpy as np

from zero import backends
from zero.config import Config, from_table
from zero.display import Display
from zero.run import RunDirectory
from zero.supervisor import Stopped, Supervisor

SETTINGS = {
    "game": "tictactoe",
    "network": {"blocks": 1, "channels": 8, "policy_channels": 4, "value_channels": 2, "value_hidden": 8},
    "search": {"root": "gumbel"},
    "selfplay": {"sims": 4, "games": 24, "lanes": 8, "random_plies": 2},
    "learner": {"batch": 32, "ema": 0.9},
    "budget": {"games": 96},
    "match": {"games": 0},
}
LONGER = {"selfplay": SETTINGS["selfplay"] | {"games": 100, "sims": 64}, "budget": {"games": 300}}


class Quiet(Display):
    def update(self, status):
        pass

    def message(self, text):
        pass


def train(root, workers=1, backend="inline", should_stop=lambda: False, learners=1, **changes):
    """Trains, or goes on with, the run at `root`."""
    if (root / "config.toml").exists():
        run = RunDirectory.open(root)
    else:
        run = RunDirectory.create(root, from_table(Config, SETTINGS | changes, "test"), {})
    Supervisor(run, backends.make(backend), workers, Quiet(), should_stop, learners=learners).train()
    return run


def train_with_stops(root, most, backends=("inline",), **changes):
    """As `train`, but stopped at random up to `most` times and gone on with, on the backends in turn; the run, and how
    often it was stopped."""
    rng, stops = np.random.default_rng(0), 0
    while True:
        left = int(rng.integers(1, 4))

        def soon():
            nonlocal left
            left -= 1
            return left < 0

        try:
            backend = backends[stops % len(backends)]
            return train(root, backend=backend, should_stop=soon if stops < most else bool, **changes), stops
        except Stopped:
            stops += 1


def games(run):
    """All games by number, without the seconds and such."""
    return {record.index: record.to_bytes() for record in run.games.read(print)}


def weights(run):
    return {entry.version: entry.sha256 for entry in run.weights()}

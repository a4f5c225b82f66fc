"""The dual-head residual network: (policy, value) = f(position), and its file.

Silver et al. 2017 (Nature 550, Methods, "Neural network architecture"): a stem of one 3x3 convolution, residual
blocks of two, a policy and a value head; batch normalisation and ReLU after every convolution. That is the default.
"""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np

from mcts_ext.games import family
from mcts_ext.state import Game
from nn import layers, save
from zero.blocks import make_blocks
from zero.config import NetworkConfig, from_table
from zero.errors import UserError
from zero.games import make_game
from zero.heads import VALUE_OUTPUTS, make_policy_head, make_value_head, value_of

FORMAT = "zero-network-1"


class Network(layers.Module):
    """Planes `[n, rows, cols, planes]` -> policy logits `[n, actions]` and values `[n]` in (-1, 1).

    Everything is seen by the player to move. Illegal actions have logits too; who uses them masks them.
    Raises `UserError` if the heads do not fit the game. For `mask`, of size-free networks, see `zero.blocks`.
    """

    def __init__(self, game: Game, config: NetworkConfig, rng: np.random.Generator):
        self.config = config
        self.stem = layers.ConvBN(game.planes, config.channels, 3, rng)
        self.blocks = make_blocks(config, rng)
        self.norm = layers.BatchNorm(config.channels) if config.block == "preactivation" else None
        self.policy = make_policy_head(game, config, rng)
        self.value = make_value_head(game, config, VALUE_OUTPUTS[config.value_head], rng)

    def features(self, x, mask=None):
        """What the heads read: `[n, rows, cols, channels]`."""
        x = self.stem(x, mask=mask)
        for block in self.blocks:
            x = block(x, mask)
        return x if self.norm is None else self.norm(x, relu=True, mask=mask)

    def forward(self, x, mask=None):
        x = self.features(x, mask)
        return self.policy(x, mask), value_of(self.value(x, mask))


def save_network(path: Path, network: Network, game: str, about: dict | None = None) -> None:
    """Writes weights and what is needed to use them: the game, the architecture, and `about` (JSON values)."""
    description = {"game": game, "network": dataclasses.asdict(network.config), "about": about or {}}
    # One entry: safetensors writes several in random order, and equal networks shall be equal files.
    save.save(path, network.state_dict(), {FORMAT: json.dumps(description)})


def read_about(path: str | Path) -> dict:
    """The metadata of a network file: `game`, `network` (dict), `about` (dict). Raises `UserError`."""
    try:
        metadata = save.load_metadata(path)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    except ValueError as error:
        raise UserError(str(error)) from None
    if FORMAT not in metadata:
        raise UserError(f"{path}: not a network of Zero")
    try:
        description = json.loads(metadata[FORMAT])
        return {key: description[key] for key in ("game", "network", "about")}
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path}: its metadata is damaged ({error!r})") from None


def plays(about: dict, game: Game) -> bool:
    """Whether the network of `read_about` can play a game: its own, by other rules too (komi, ko) as long as planes and
    moves are the same, and any size of it if the network is size-free."""
    if about["game"] == game.full_name:
        return True
    trained = make_game(about["game"])
    size_free = from_table(NetworkConfig, about["network"], "network", "network.").size_free
    same_board = (trained.name, trained.num_actions) == (game.name, game.num_actions)
    return family(trained.name) == family(game.name) and trained.planes == game.planes and (same_board or size_free)


def load_network(path: str | Path, game: Game) -> Network:
    """The network of a file. Raises `UserError` if it is unreadable, damaged, or made for another game."""
    about = read_about(path)
    if not plays(about, game):
        raise UserError(f"{path}: this network plays {about['game']}, not {game.full_name}")
    config = from_table(NetworkConfig, about["network"], str(path), "network.")
    network = Network(game, config, np.random.default_rng(0))
    try:
        network.load_state_dict(with_present_names(save.load(path)))
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
    return network.eval()


def with_present_names(state: dict) -> dict:
    """A network's tensors under the names of today: once the parts of the heads were the network's own."""
    return {re.sub(r"^(policy|value)_", r"\1.", name): array for name, array in state.items()}

"""A trained network made larger without changing its answers, so that a run can start small and fast.

Wider: channels are repeated, and what reads a repeated channel shares its weight among the copies, unevenly, so that
they part in training (Net2WiderNet, Chen et al. 2016, "Net2Net", section 2.2). Deeper: new blocks stand behind the
trained ones and add nothing at first (`Block.silence`; as the zero-initialised last layers of Goyal et al. 2017).
"""

import dataclasses
import zlib
from pathlib import Path

import numpy as np

from mcts_ext.state import Game
from nn import save
from nn.layers import Module
from zero.config import NetworkConfig
from zero.errors import UserError
from zero.network import Network, plays, read_about, with_present_names

# Where several groups of channels lie one behind the other: end of the name and axis -> groups.
PARTS = {("se.excite.weight", 1): 2, ("se.excite.bias", 0): 2, ("pooling.out.weight", 0): 3}


def shapes(state: dict) -> dict:
    return {name: np.shape(array) for name, array in state.items()}


def grown(state: dict, module: Module) -> dict:
    """The state of a smaller network (or of its auxiliary heads) as one of `module`, whose new blocks fall silent.

    Raises ValueError if `module` is no larger version of that network.
    """
    added = tuple(
        f"blocks.{i}." for i in range(len(getattr(module, "blocks", ())))
        if not any(name.startswith(f"blocks.{i}.") for name in state)
    )  # fmt: skip
    for start in added:
        module.blocks[int(start.split(".")[1])].silence()
    own = module.state_dict()
    odd = sorted(state.keys() - own.keys()) + [n for n in own if n not in state and not n.startswith(added)]
    if odd:
        raise ValueError(f"a network of another kind: {odd[0]}")
    return own | {name: widened(name, array, own[name].shape) for name, array in state.items()}


def widened(name: str, array: np.ndarray, shape: tuple) -> np.ndarray:
    """`array` with its channels repeated to `shape`: filters `[kh, kw, in, out]`, matrices `[in, out]`, vectors."""
    if array.ndim != len(shape) or any(new < old for new, old in zip(shape, array.shape, strict=True)):
        raise ValueError(f"{name} has shape {list(array.shape)}, which cannot grow to {list(shape)}")
    for axis in range(array.ndim):
        if array.shape[axis] == shape[axis]:
            continue
        parts = next((count for (end, where), count in PARTS.items() if name.endswith(end) and where == axis), 1)
        source = _copies(array.shape[axis], shape[axis], parts)
        array = np.take(array, source, axis)
        if axis == array.ndim - 2:  # the inputs
            weights = np.random.default_rng(zlib.crc32(name.encode())).uniform(0.5, 1.5, len(source))
            shares = weights / np.bincount(source, weights)[source]
            array = array * shares.reshape(-1, 1)
    return array.astype(np.float32)


def _copies(old: int, new: int, parts: int) -> np.ndarray:
    """For each of `new` channels the one of `old` that it copies, within its part."""
    part, channel = np.divmod(np.arange(new), new // parts)
    return part * (old // parts) + channel % (old // parts)


def started(path: Path, game: Game, config: NetworkConfig) -> dict:
    """The state with which a network of `config` starts from that of a file: the same, or grown.

    Raises `UserError` if the file's network plays another game (of another size, if it is not size-free), or differs in
    more than its size.
    """
    about = read_about(path)
    if not plays(about, game):
        raise UserError(f"{path}: this network plays {about['game']}, not {game.name}")
    theirs, ours = ({**dataclasses.asdict(NetworkConfig()), **about["network"]}, dataclasses.asdict(config))
    for name in ours.keys() - {"blocks", "channels"}:
        if theirs[name] != ours[name]:
            raise UserError(f"{path}: has network.{name} = {theirs[name]}, the run {ours[name]}")
    try:
        return grown(with_present_names(save.load(path)), Network(game, config, np.random.default_rng(0)))
    except ValueError as error:
        raise UserError(f"{path}: cannot become the network of this run: {error}") from None

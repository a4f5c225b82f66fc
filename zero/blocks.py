"""The blocks a tower is made of.

Each maps features `[n, rows, cols, channels]` to features of the same shape, and adds to what it was given. `mask`
(bool array `[n, rows, cols]`, None = all) marks the points of each sample's board where boards of several sizes share
a batch: outside all features are 0, so that a small board in a corner of a large array gets what it gets alone.
"""

import math

import numpy as np

from nn import layers, ops
from zero.config import NetworkConfig


def on_board(x, mask):
    """`x [n, rows, cols, c]`, 0 outside the board."""
    return x if mask is None else x * mask[..., None].astype(x.dtype)


def pooled(x, mask):
    """Mean, maximum, and mean scaled by the size of the board, of each channel: `[n, 3 channels]`.

    KataGo's global pooling (arXiv 1902.10565, appendix A.1); the scaled mean tells boards of different size apart.
    """
    both = ops.global_pool(x, mask=mask)
    mean = both[:, : x.shape[3]]
    if mask is None:
        scale = (math.sqrt(x.shape[1] * x.shape[2]) - 14) / 10
    else:
        scale = ((mask.sum((1, 2), dtype=x.dtype)[:, None] ** 0.5 - 14) / 10).astype(x.dtype)
    return ops.concat(both, mean * scale, axis=1)


def spread(x):
    """`[n, channels]` as a value for every point of the board, `[n, 1, 1, channels]`."""
    return x.reshape(x.shape[0], 1, 1, x.shape[1])


class SqueezeExcitation(layers.Module):
    """Scales and shifts each channel by what the whole board looks like (Hu et al. 2018, with lc0's shift):
    `sigmoid(s) * x + b`, where `s` and `b` come from the channels' means through one hidden layer."""

    def __init__(self, channels: int, hidden: int, rng: np.random.Generator):
        self.squeeze = layers.Linear(channels, hidden, rng)
        self.excite = layers.Linear(hidden, 2 * channels, rng)

    def forward(self, x, mask):
        channels = x.shape[3]
        means = ops.mean(x, axis=(1, 2)) if mask is None else ops.global_pool(x, mask=mask)[:, :channels]
        both = self.excite(ops.relu(self.squeeze(means)))
        return spread(ops.sigmoid(both[:, :channels])) * x + spread(both[:, channels:])


class PooledBias(layers.Module):
    """A shift of each channel, `[n, 1, 1, channels]`, from channels of its own pooled over the board (KataGo, arXiv
    1902.10565, appendix A.2): how far points see each other."""

    def __init__(self, channels: int, rng: np.random.Generator):
        width = max(1, channels // 4)
        self.conv = layers.ConvBN(channels, width, 3, rng)
        self.out = layers.Linear(3 * width, channels, rng, bias=False)

    def forward(self, x, mask):
        return spread(self.out(pooled(self.conv(x, mask=mask), mask)))


class Block(layers.Module):
    """Base: `last` names the parameters that scale and shift what the block adds."""

    last = ("second.norm.gamma", "second.norm.beta", "se.excite.weight", "se.excite.bias")

    def silence(self) -> None:
        """Makes the block give back what it gets, until it is trained: so a trained network can grow."""
        for name, parameter in self.named_parameters():
            if name in self.last:
                parameter.data[...] = 0


class ResidualBlock(Block):
    """Two 3x3 convolutions; the input is added before the last ReLU (He et al. 2016)."""

    def __init__(self, channels: int, config: NetworkConfig, pooling: bool, rng: np.random.Generator):
        self.first = layers.ConvBN(channels, channels, 3, rng)
        self.second = layers.ConvBN(channels, channels, 3, rng)
        self.pooling = PooledBias(channels, rng) if pooling else None
        self.se = SqueezeExcitation(channels, config.se, rng) if config.se else None

    def forward(self, x, mask=None):
        if self.pooling is None:
            y = self.first(x, mask=mask)
        else:
            y = on_board(ops.relu(self.first(x, relu=False, mask=mask) + self.pooling(x, mask)), mask)
        if self.se is None:
            return self.second(y, residual=x, mask=mask)
        return on_board(ops.relu(self.se(self.second(y, relu=False, mask=mask), mask) + x), mask)


class PreactivationBlock(Block):
    """Two 3x3 convolutions, each behind its normalisation and ReLU; nothing bends the path around them (He et al.
    2016, "Identity mappings in deep residual networks"). The tower ends with one more normalisation and ReLU."""

    last = ("second.weight", "se.excite.weight", "se.excite.bias")

    def __init__(self, channels: int, config: NetworkConfig, pooling: bool, rng: np.random.Generator):
        self.norm = layers.BatchNorm(channels)
        self.first = layers.ConvBN(channels, channels, 3, rng)
        self.second = layers.Conv2d(channels, channels, 3, rng, bias=False)
        self.pooling = PooledBias(channels, rng) if pooling else None
        self.se = SqueezeExcitation(channels, config.se, rng) if config.se else None

    def forward(self, x, mask=None):
        start = self.norm(x, relu=True, mask=mask)
        if self.pooling is None:
            y = self.first(start, mask=mask)
        else:
            y = on_board(ops.relu(self.first(start, relu=False, mask=mask) + self.pooling(start, mask)), mask)
        y = on_board(self.second(y), mask)
        return (y if self.se is None else on_board(self.se(y, mask), mask)) + x


class BottleneckBlock(Block):
    """KataGo's nested bottleneck (KataGoMethods.md): two residual blocks of half the width between 1x1 convolutions.

    Activations stand behind the sums, as in `ResidualBlock`: their normalisations fold into the convolutions.
    """

    last = ("expand.norm.gamma", "expand.norm.beta")

    def __init__(self, channels: int, config: NetworkConfig, pooling: bool, rng: np.random.Generator):
        half = max(1, channels // 2)
        self.reduce = layers.ConvBN(channels, half, 1, rng)
        self.inner = [ResidualBlock(half, config, pooling, rng), ResidualBlock(half, config, False, rng)]
        self.expand = layers.ConvBN(half, channels, 1, rng)

    def forward(self, x, mask=None):
        y = self.reduce(x, mask=mask)
        for block in self.inner:
            y = block(y, mask)
        return self.expand(y, residual=x, mask=mask)


BLOCKS = {"residual": ResidualBlock, "preactivation": PreactivationBlock, "bottleneck": BottleneckBlock}


def make_blocks(config: NetworkConfig, rng: np.random.Generator) -> list[Block]:
    """The blocks of a tower: every `pool_every`-th with a pooled bias."""
    every = config.pool_every
    pooling = [bool(every) and (i + 1) % every == 0 for i in range(config.blocks)]
    return [BLOCKS[config.block](config.channels, config, p, rng) for p in pooling]

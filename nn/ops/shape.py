"""Operations that move elements without changing them."""

import numpy as np

from nn.backend import array_module
from nn.tensor import op, unbroadcast


@op
def reshape(x, *, shape):
    return x.reshape(shape), lambda g: g.reshape(x.shape)


@op
def transpose(x, *, axes=None):
    """Axes in the order `axes`; reversed without one."""
    inverse = None if axes is None else tuple(np.argsort(axes))
    return x.transpose(axes), lambda g: g.transpose(inverse)


@op
def broadcast_to(x, *, shape):
    return array_module(x).broadcast_to(x, shape), lambda g: unbroadcast(g, x.shape)


@op
def concat(*xs, axis=0):
    ends = np.cumsum([x.shape[axis] for x in xs])[:-1].tolist()
    xp = array_module(xs[0])
    return xp.concatenate(xs, axis), lambda g: tuple(xp.split(g, ends, axis))


@op
def stack(*xs, axis=0):
    """Tensors of one shape along a new axis."""
    xp = array_module(xs[0])
    return xp.stack(xs, axis), lambda g: tuple(xp.moveaxis(g, axis, 0))


@op
def pad(x, *, width, value=0):
    """`x` with a border of `value`; `width` as in `numpy.pad`: one (before, after) per axis."""
    inner = tuple(slice(before, before + n) for (before, _), n in zip(width, x.shape, strict=True))
    return array_module(x).pad(x, width, constant_values=value), lambda g: g[inner]


@op
def index(x, *, key):
    """`x[key]`: slices, integers, None, Ellipsis, integer or bool arrays."""
    parts = key if isinstance(key, tuple) else (key,)
    basic = all(k is None or k is Ellipsis or isinstance(k, slice | int) for k in parts)  # each element at most once

    def pullback(g):
        gx = array_module(g).zeros(x.shape, g.dtype)
        if basic:
            gx[key] = g
        else:
            array_module(g).add.at(gx, key, g)
        return gx

    return x[key], pullback


@op
def flip(x, *, axis=None):
    xp = array_module(x)
    return xp.flip(x, axis), lambda g: xp.flip(g, axis)


for _operation in (reshape, transpose, broadcast_to, concat, stack, index, flip):
    _operation.moves = True

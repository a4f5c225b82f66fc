"""Launches of the batch normalisation kernels."""

import numpy as np

from nn.backend import cupy
from nn.cuda.device import dense, kernel, pointer

_CHUNKS = 256  # partial sums over rows: enough blocks to fill a card
_SHARED = 2 * 256 * 4


def _grids(rows, channels):
    chunks = int(min(_CHUNKS, max(1, rows // 64)))
    return (-(-channels // 32), chunks), (-(-channels // 256),), (-(-rows * channels // 256),), chunks


def _run(name, grid, *arguments, shared=0):
    kernel("norm.cu", name)(grid, (256,), arguments, shared_mem=shared)


def bn_act_forward(y, gamma, beta, residual, eps, relu):
    """See `nn.reference.bn_act_forward`."""
    y, gamma, beta, residual = (dense(a) for a in (y, gamma, beta, residual))
    channels = y.shape[-1]
    rows = y.size // channels
    sums, across, wide, chunks = _grids(rows, channels)
    xp = cupy()
    partial = xp.empty((chunks, 2, channels), np.float32)
    out, mean, inv_std = xp.empty_like(y), xp.empty_like(gamma), xp.empty_like(gamma)
    n, c = np.int64(rows), np.int32(channels)
    _run("moments", sums, y, n, c, partial, shared=_SHARED)
    _run("statistics", across, partial, np.int32(chunks), y, n, c, np.float32(eps), mean, inv_std)
    _run("normalise", wide, y, mean, inv_std, gamma, beta, pointer(residual), np.int32(relu), out, np.int64(y.size), c)
    return out, mean, inv_std


def bn_act_backward(g, out, y, mean, inv_std, gamma, relu, need_residual):
    """See `nn.reference.bn_act_backward`."""
    g, out, y, mean, inv_std, gamma = (dense(a) for a in (g, out, y, mean, inv_std, gamma))
    channels = y.shape[-1]
    rows = y.size // channels
    sums, across, wide, chunks = _grids(rows, channels)
    xp = cupy()
    partial = xp.empty((chunks, 2, channels), np.float32)
    gy, dgamma, dbeta = xp.empty_like(y), xp.empty_like(gamma), xp.empty_like(gamma)
    masked = xp.empty_like(y) if need_residual else None
    kept = pointer(out if relu else None)
    c = np.int32(channels)
    _run("gradient_sums", sums, g, kept, y, mean, np.int64(rows), c, partial, shared=_SHARED)
    _run("gradient_statistics", across, partial, np.int32(chunks), inv_std, c, dgamma, dbeta)
    _run("gradient_apply", wide, g, kept, y, mean, inv_std, gamma, dgamma, dbeta, gy, pointer(masked), np.int64(y.size),
         c)
    return gy, dgamma, dbeta, masked

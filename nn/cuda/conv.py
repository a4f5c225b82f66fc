"""3x3 convolution on tensor cores: our implicit matrix product with whole boards as tiles."""

import functools

import numpy as np

from nn.backend import cupy
from nn.cuda.blocks import choose, padded
from nn.cuda.device import dense, kernel, pointer


@functools.cache
def _block(rows, cols, inputs, outputs):
    block = choose(rows, cols, inputs, outputs, slots=1)
    if block is None:
        raise ValueError(f"conv2d: a {rows}x{cols} image of {inputs} channels does not fit a block's shared memory;"
                         " use set_precision('float32')")
    return block


def pack_filters(w, outputs):
    """`w [3, 3, ci, co]` in the order of boards.cuh for `outputs` >= co outputs, a multiple of 16: uint32."""
    inputs16, outputs16 = padded(w.shape[2]) // 16, outputs // 16
    filters = cupy().empty(9 * inputs16 * outputs16 * 128, np.uint32)
    sizes = (np.int32(w.shape[2]), np.int32(w.shape[3]), np.int32(inputs16), np.int32(outputs16))
    block = _block(1, 1, 16, 16)  # packing does not depend on the block's shape
    pack = kernel("conv.cu", "pack_filters", block.options())
    pack(((filters.size + 255) // 256,), (256,), (dense(w), *sizes, filters))
    return filters


def conv3x3(x, w, bias, residual=None, relu=False, filters=None):
    """`relu(conv2d(x, w, bias) + residual)`, float32 in and out; `filters`: `w` packed for `packed_outputs`."""
    n, rows, cols, inputs = x.shape
    outputs = w.shape[3]
    block = _block(rows, cols, inputs, outputs)
    across = -(-outputs // block.channels)
    if filters is None:
        filters = pack_filters(w, across * block.channels)
    y = cupy().empty((n, rows, cols, outputs), np.float32)
    run = kernel("conv.cu", "conv3x3", block.options(), block.shared_bytes)
    arguments = (dense(x), np.int32(inputs), filters, pointer(dense(bias)), pointer(dense(residual)), np.int32(relu), y,
                 np.int32(outputs), np.int32(n))
    run((-(-n // block.boards), across), (block.threads,), arguments, shared_mem=block.shared_bytes)
    return y


def packed_outputs(rows, cols, inputs, outputs):
    """For how many outputs `conv3x3` wants its filters packed."""
    block = _block(rows, cols, inputs, outputs)
    return -(-outputs // block.channels) * block.channels

"""Inference of a stack of 3x3 convolutions on the GPU: one launch where it fits, else layer by layer."""

import numpy as np

from nn.backend import cupy
from nn.cuda.blocks import MAX_CHANNELS, choose, padded


def assign_slots(residuals):
    """For each layer the buffer of its output: `(slots, how many)`.

    A layer may overwrite the residual that it adds, element by element, but nothing that it or a later one reads.
    """
    count = len(residuals)
    last_use = [l + 1 for l in range(count)]
    for l, residual in enumerate(residuals):
        if residual is not None:
            last_use[residual] = max(last_use[residual], l)
    slots, busy = [], [0]  # slot 0 holds the input, which layer 0 reads
    for l, residual in enumerate(residuals):
        in_place = residual is not None and residual < l - 1 and last_use[residual] == l
        free = [s for s, until in enumerate(busy) if until < l or (in_place and s == slots[residual])]
        slot = free[0] if free else len(busy)
        busy[slot:slot + 1] = [last_use[l]]
        slots.append(slot)
    return slots, len(busy)


class Tower:
    """See `nn.reference.Tower`; `tower(x)` takes and returns CuPy arrays (a numpy `x` is copied to the card).

    "bfloat16" (operands rounded, sums in float32) runs on tensor cores; "float32" as a plain product of patches.
    `kernel` names the route: "tower" (one launch, all layers of one width up to 128), "cudnn", "conv" or "float32".
    """

    def __init__(self, layers, rows, cols, dtype="float32", threads=1, isa=None):
        from nn.cuda.device import dense, has_tensor_cores

        self.rows, self.cols, self.dtype = rows, cols, dtype
        self.layers = [(dense(w), dense(b), residual, relu) for w, b, residual, relu in layers]
        self.kernel, self._run = "float32", self._run_float32
        if dtype != "float32" and has_tensor_cores():
            self._plan_tensor_cores()

    def _plan_tensor_cores(self):
        from nn.cuda.conv import pack_filters, packed_outputs

        block, slots = fused_block(self.layers, self.rows, self.cols)
        if block is not None:
            self._plan_fused(block, slots)
            self.kernel, self._run = "tower", self._run_fused
        elif (plans := self._cudnn_plans()) is not None:
            self.kernel, self._run = "cudnn", plans
        else:
            self._filters = [pack_filters(w, packed_outputs(self.rows, self.cols, w.shape[2], w.shape[3]))
                             for w, *_ in self.layers]
            self.kernel, self._run = "conv", self._run_layers

    def _cudnn_plans(self):
        from nn.cuda import cudnn

        try:
            return cudnn.LayerPlans(self.layers, self.rows, self.cols) if cudnn.available() else None
        except cudnn.NoPlan:
            return None

    def _plan_fused(self, block, slots):
        from nn.cuda.conv import pack_filters

        xp = cupy()
        parts = [pack_filters(w, block.channels) for w, *_ in self.layers]
        self._block, self._filters = block, xp.concatenate(parts)
        self._bias = xp.zeros((len(self.layers), block.channels), np.float32)
        for l, (_, bias, *_) in enumerate(self.layers):
            self._bias[l, :bias.size] = bias
        self._table = xp.asarray(layer_table(self.layers, slots, [p.size for p in parts], block.channels))

    def __call__(self, x):
        x = cupy().asarray(x, np.float32)
        planes = self.layers[0][0].shape[2]
        if x.ndim != 4 or x.shape[1:] != (self.rows, self.cols, planes):
            raise ValueError(f"Tower: input {x.shape}, expected [n, {self.rows}, {self.cols}, {planes}]")
        return self._run(x)

    def _run_fused(self, x):
        from nn.cuda.device import dense, kernel

        block, channels = self._block, self.layers[-1][0].shape[3]
        y = cupy().empty((*x.shape[:3], channels), np.float32)
        run = kernel("tower.cu", "tower", block.options(), block.shared_bytes)
        arguments = (dense(x), np.int32(x.shape[3]), self._filters, self._bias, self._table, np.int32(len(self.layers)),
                     y, np.int32(channels), np.int32(len(x)))
        run((-(-len(x) // block.boards),), (block.threads,), arguments, shared_mem=block.shared_bytes)
        return y

    def _run_layers(self, x):
        from nn.cuda.conv import conv3x3

        outputs = []
        for (w, bias, residual, relu), filters in zip(self.layers, self._filters, strict=True):
            x = conv3x3(x, w, bias, None if residual is None else outputs[residual], relu, filters)
            outputs.append(x)
        return x

    def _run_float32(self, x):
        from nn.cuda.images import conv2d

        outputs = []
        for w, bias, residual, relu in self.layers:
            x = conv2d(x, w, bias, 1, "same")
            if residual is not None:
                x += outputs[residual]
            if relu:
                cupy().maximum(x, 0, out=x)
            outputs.append(x)
        return x


def fused_block(layers, rows, cols):
    """`(Block, slots)` of the one-launch kernel for these layers; `(None, None)` if they are too wide or uneven."""
    widths = {padded(w.shape[3]) for w, *_ in layers}
    planes, width = layers[0][0].shape[2], max(widths)
    if len(widths) > 1 or width > MAX_CHANNELS or padded(planes) > MAX_CHANNELS:
        return None, None
    slots, count = assign_slots([residual for _, _, residual, _ in layers])
    block = choose(rows, cols, planes, width, max(2, count))
    return (block, slots) if block else (None, None)


def layer_table(layers, slots, filter_sizes, channels):
    """The `Layer` structs of tower.cu as int32 `[layers, 7]`; `filter_sizes` in registers of 4 bytes."""
    rows, filters = [], 0
    for l, (w, _, residual, relu) in enumerate(layers):
        source = 0 if l == 0 else slots[l - 1]
        added = -1 if residual is None else slots[residual]
        rows.append((filters // 4, l * channels, padded(w.shape[2]), source, slots[l], added, int(relu)))
        filters += filter_sizes[l]
    return np.array(rows, np.int32)

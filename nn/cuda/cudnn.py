"""Fused convolutions of cuDNN, layer by layer, through `nvidia-cudnn-frontend`: the route for wide networks.

A plan is conv + bias + residual + ReLU in one kernel, channels last, bfloat16 operands, float32 sums. cuDNN may have no
such plan for a shape; then `available` or the constructor says so and our own convolution takes over.
"""

import functools
import importlib

import numpy as np

from nn.backend import cupy


@functools.cache
def _frontend():
    """The module and a handle, or None without the package, cuDNN or a card."""
    try:
        cudnn = importlib.import_module("cudnn")
        return cudnn, cudnn.create_handle()
    except Exception:  # whatever an absent or broken installation raises means "no cuDNN here"
        return None


def available():
    return cupy() is not None and _frontend() is not None


class NoPlan(RuntimeError):
    """cuDNN offers no fused kernel for this layer."""


class LayerPlans:
    """A tower as one fused cuDNN kernel per layer; graphs are built once per batch size. Raises `NoPlan`."""

    def __init__(self, layers, rows, cols):
        import ml_dtypes

        self._dtype = np.dtype(ml_dtypes.bfloat16)
        self._rows, self._cols = rows, cols
        # cuDNN's filters are [out][row][column][in] in memory
        self._layers = [(cupy().ascontiguousarray(w.transpose(3, 0, 1, 2)).astype(self._dtype), b, residual, relu)
                        for w, b, residual, relu in layers]
        self._plans = {}
        self._build(1)

    def _build(self, n):
        if n not in self._plans:
            self._plans[n] = [self._layer_plan(n, *layer) for layer in self._layers]
        return self._plans[n]

    def _layer_plan(self, n, weight, bias, residual, relu):
        cudnn, handle = _frontend()
        out, _, _, channels = weight.shape
        graph = cudnn.pygraph(io_data_type=cudnn.data_type.BFLOAT16, intermediate_data_type=cudnn.data_type.FLOAT,
                              compute_data_type=cudnn.data_type.FLOAT, handle=handle)

        def image(name, c):  # logical order n, c, h, w; channels last in memory
            area = self._rows * self._cols
            return graph.tensor(name=name, dim=[n, c, self._rows, self._cols], stride=[area * c, 1, self._cols * c, c])

        x = image("x", channels)
        w = graph.tensor(name="w", dim=[out, channels, 3, 3], stride=[9 * channels, 1, 3 * channels, channels])
        b = graph.tensor(name="b", dim=[1, out, 1, 1], stride=[out, 1, out, out], data_type=cudnn.data_type.FLOAT)
        y = graph.conv_fprop(image=x, weight=w, padding=[1, 1], stride=[1, 1], dilation=[1, 1])
        y = graph.bias(input=y, bias=b)
        added = None
        if residual is not None:
            added = image("residual", out)
            y = graph.add(a=y, b=added)
        if relu:
            y = graph.relu(input=y)
        y.set_output(True).set_data_type(cudnn.data_type.BFLOAT16)
        try:
            graph.build([cudnn.heur_mode.A, cudnn.heur_mode.FALLBACK])
        except Exception as error:
            raise NoPlan(f"cuDNN: no fused 3x3 convolution {channels} -> {out} on {self._rows}x{self._cols}") from error
        workspace = cupy().empty(max(1, graph.get_workspace_size()), np.uint8)
        return graph, (x, w, b, added, y), workspace

    def __call__(self, x):
        cudnn, handle = _frontend()
        cudnn.set_stream(handle=handle, stream=cupy().cuda.get_current_stream().ptr)
        value, outputs = cupy().ascontiguousarray(x).astype(self._dtype), []
        for (graph, names, workspace), layer in zip(self._build(len(x)), self._layers, strict=True):
            weight, bias, residual, _ = layer
            y = cupy().empty((*x.shape[:3], weight.shape[0]), self._dtype)
            added = None if residual is None else outputs[residual]
            arrays = zip(names, (value, weight, bias, added, y), strict=True)
            buffers = {name: int(array.data.ptr) for name, array in arrays if array is not None}
            graph.execute(buffers, int(workspace.data.ptr), handle=handle)
            outputs.append(y)
            value = y
        return value.astype(np.float32)

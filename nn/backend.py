"""Where arrays live: numpy on the "cpu", CuPy on "cuda".

Generic code asks `array_module(x)` for the module of an array and writes `xp.exp(x)`; kernels that are worth
writing per device come from `kernels(x)`, which has the names of `nn.reference`. CuPy is looked up when a tensor
is first put on the GPU; without it, or without a driver, the package works on the CPU and says nothing.
"""

import ctypes
import functools
import importlib
import sys

import numpy as np

from nn import reference

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


def _keep_freed_memory():
    """Have glibc keep freed blocks up to 32 MB (its limit) instead of giving them back to the system.

    A training step allocates and frees the same activations every time; getting them afresh costs a page fault per
    4 KB, a quarter of the step of a 5 x 64 network (see docs/tensor-engine.md).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return  # not glibc
    mallopt(_M_MMAP_THRESHOLD, 32 << 20)
    mallopt(_M_TRIM_THRESHOLD, 1 << 30)


if sys.platform == "linux":
    _keep_freed_memory()


@functools.cache
def cupy():
    """The CuPy module, or None without CuPy, driver or card."""
    try:
        module = importlib.import_module("cupy")
        return module if module.is_available() else None
    except Exception:  # a broken CUDA installation raises many things; all of them mean "no GPU here"
        return None


def module_of(device):
    """The array module of `device` ("cpu" or "cuda"). Raises ValueError for an unknown or absent device."""
    if device == "cpu":
        return np
    if device != "cuda":
        raise ValueError(f"device {device!r}: must be 'cpu' or 'cuda'")
    if cupy() is None:
        raise ValueError("device 'cuda': needs an NVIDIA card, its driver and CuPy (pip install 'zero-engine[gpu]')")
    return cupy()


def cards():
    """How many cards this process can use."""
    return 0 if cupy() is None else cupy().cuda.runtime.getDeviceCount()


def use_card(number):
    """What the calling thread puts on "cuda" from now on lies on that card; past the last it begins again with the
    first. Raises ValueError if there is none."""
    module_of("cuda").cuda.Device(number % cards()).use()


def dtype_of(dtype):
    """`dtype` as numpy's; "bfloat16" is that of the package ml_dtypes, imported when it is first asked for."""
    if dtype == "bfloat16":
        importlib.import_module("ml_dtypes")  # which makes the name known to numpy
    return np.dtype(dtype)


def array_module(array):
    return np if isinstance(array, np.ndarray | np.generic) else cupy()


def device_of(array):
    return "cpu" if isinstance(array, np.ndarray | np.generic) else "cuda"


def as_array(value):
    """`value` with numpy's scalars (what reductions return) as arrays of no dimensions."""
    return value if hasattr(value, "__setitem__") else np.asarray(value)


class _Kernels:
    """The kernels of one device; `nn.reference` stands in for what the device's module lacks."""

    def __init__(self, module_name):
        try:
            self._module = importlib.import_module(module_name)
        except ImportError:
            self._module = reference

    def __getattr__(self, name):
        kernel = getattr(self._module, name, None) or getattr(reference, name)
        setattr(self, name, kernel)
        return kernel


@functools.cache
def _kernels(device):
    return _Kernels("nn.cpu" if device == "cpu" else "nn.cuda")


def kernels(array):
    """The numeric kernels (names of `nn.reference`) for the device of `array`."""
    return _kernels(device_of(array))

"""Compilation and launch of the CUDA sources beside this file, through CuPy."""

import functools
from pathlib import Path

import numpy as np

from nn.backend import cupy

SOURCES = Path(__file__).parent
NULL = np.uint64(0)  # a null pointer as a kernel's argument
OPTIONS = ("-std=c++17",)


@functools.cache
def source(name):
    """Text of a source with its includes in place (NVRTC reads no files)."""
    lines = []
    for line in (SOURCES / name).read_text().splitlines():
        if line.startswith('#include "'):
            lines.append(source(line.split('"')[1]))
        elif line != "#pragma once":
            lines.append(line)
    return "\n".join(lines)


@functools.cache
def kernel(name, function, options=(), shared_bytes=0):
    """The compiled kernel `function` of source `name`; `shared_bytes` of dynamic shared memory are allowed for."""
    compiled = cupy().RawModule(code=source(name), options=OPTIONS + options).get_function(function)
    if shared_bytes > 48 << 10:
        compiled.max_dynamic_shared_size_bytes = shared_bytes
    return compiled


@functools.cache
def has_tensor_cores():
    """Whether the card has bfloat16 tensor cores (compute capability 8.0 or later)."""
    return int(cupy().cuda.Device().compute_capability) >= 80


def pointer(array):
    return NULL if array is None else array


def dense(array):
    """`array` or None as a contiguous float32 CuPy array or None."""
    return None if array is None else cupy().ascontiguousarray(array, np.float32)

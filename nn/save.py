"""Tensors in files: safetensors, written atomically, read without running code from the file."""

import json
import os
import struct

import numpy as np
import safetensors
import safetensors.numpy

from nn.backend import dtype_of

_DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
    "I16": "int16", "I8": "int8", "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip


def save(path, tensors, metadata=None):
    """Write `tensors` (name -> array) and `metadata` (str -> str) to `path`.

    The file appears whole or not at all: it is written under a temporary name, synced, then renamed.
    """
    arrays = {name: np.asarray(a, order="C") for name, a in tensors.items()}
    write_atomically(os.fspath(path), safetensors.numpy.save(arrays, metadata))


def write_atomically(path, content):
    """Write bytes to a temporary file beside `path`, sync it, and rename it to `path`."""
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
    _sync_directory(os.path.dirname(path) or ".")


def _sync_directory(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)  # the rename itself must survive a power cut
    finally:
        os.close(descriptor)


def load(path):
    """The tensors of a file: name -> numpy array. Raises ValueError for a damaged file, OSError as `open`."""
    path = os.fspath(path)
    with open(path, "rb") as file:
        content = file.read()
    try:
        parts = dict(safetensors.deserialize(content))
    except Exception as error:  # the reader raises its own, undocumented, error types
        raise ValueError(f"{path}: {_fault(content)} ({error})") from None
    for name, part in parts.items():
        if part["dtype"] not in _DTYPES:
            raise ValueError(f"{path}: tensor {name} is of dtype {part['dtype']}; must be one of {', '.join(_DTYPES)}")
    return {name: _array(part) for name, part in parts.items()}


def _array(part):
    return np.frombuffer(part["data"], dtype_of(_DTYPES[part["dtype"]])).reshape(part["shape"])


def load_metadata(path):
    """The `metadata` of a file, {} if it has none. Raises like `load`."""
    path = os.fspath(path)
    with open(path, "rb") as file:
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else -1
        content = file.read(length) if 0 <= length <= os.path.getsize(path) else b""
    try:
        return json.loads(content).get("__metadata__", {})
    except ValueError:
        raise ValueError(f"{path}: not a safetensors file") from None


def _fault(content):
    """Why the bytes of a file are no safetensors: cut short, or never one."""
    try:
        length = struct.unpack("<Q", content[:8])[0]
        header = json.loads(content[8 : 8 + length])
        for name, entry in header.items():
            if name != "__metadata__" and 8 + length + entry["data_offsets"][1] > len(content):
                return f"the file is truncated within tensor {name}"
    except (struct.error, ValueError, KeyError, TypeError, AttributeError):
        pass
    return "not a whole safetensors file"


def load_module(path, module, strict=True):
    """Load a file's tensors into `module`. Raises ValueError naming the file and the tensors at fault."""
    state = load(path)
    try:
        module.load_state_dict(state, strict)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from None
    return module

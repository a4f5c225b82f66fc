"""NVRTC without CuPy: compiles CUDA source to a cubin where no driver is installed."""

import ctypes
import importlib.util
from pathlib import Path


def library():
    """libnvrtc from the wheel nvidia-cuda-nvrtc or from the system, or None."""
    spec = importlib.util.find_spec("nvidia")
    folders = [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []
    found = [str(path) for folder in folders for path in sorted(folder.glob("*/lib/libnvrtc.so.*"))]
    for name in [*found, "libnvrtc.so"]:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def _text(lib, kind, program):
    size = ctypes.c_size_t()
    getattr(lib, f"nvrtcGet{kind}Size")(program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    getattr(lib, f"nvrtcGet{kind}")(program, buffer)
    return buffer.raw


def compile_source(lib, source, options):
    """`(cubin, log)`; raises ValueError with the compiler's log if it refuses."""
    program = ctypes.c_void_p()
    assert lib.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernel.cu", 0, None, None) == 0
    try:
        encoded = [option.encode() for option in options]
        failed = lib.nvrtcCompileProgram(program, len(encoded), (ctypes.c_char_p * len(encoded))(*encoded))
        log = _text(lib, "ProgramLog", program).rstrip(b"\0").decode()
        if failed:
            raise ValueError(log)
        return _text(lib, "CUBIN", program), log
    finally:
        lib.nvrtcDestroyProgram(ctypes.byref(program))

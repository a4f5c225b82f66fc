"""Writing files so that a reader, or the next start, never meets half of one."""

import fcntl
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import IO

from nn.save import write_atomically


def sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, value: object) -> None:
    write_atomically(path, (json.dumps(value, indent=1) + "\n").encode())


def rename_directory(temporary: Path, path: Path) -> None:
    """Puts a finished directory in its place, durably."""
    for file in temporary.iterdir():
        handle = os.open(file, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
    if path.exists():
        shutil.rmtree(path)
    os.rename(temporary, path)
    sync_directory(path.parent)


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def append_whole(file: IO, data: bytes) -> None:
    """Writes at the end of an unbuffered file. Raises OSError if the disk refuses it; the file is as before then."""
    rest, start = memoryview(data), file.tell()
    try:
        while rest:  # a disk that is about to be full takes a part of it
            rest = rest[file.write(rest) :]
    except OSError:
        os.ftruncate(file.fileno(), start)
        file.seek(start)
        raise


def lock(path: Path, mode: str = "w") -> IO | None:
    """The file, which is held until it is closed, or the process dies by whatever death; None if another holds it.

    Unbuffered if it is binary.
    """
    file = open(path, mode, buffering=0 if "b" in mode else -1)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file

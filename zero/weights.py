"""Networks on their way to a worker: by number, as bytes, checked by their SHA-256; no shared file system."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


class DamagedWeights(RuntimeError):
    """What arrived is not what was sent."""


@dataclass(frozen=True)
class Weights:
    """Network number `version` of a run: the bytes of its file and their SHA-256 in hexadecimal."""

    version: int
    data: bytes
    sha256: str

    @classmethod
    def read(cls, path: Path, version: int) -> "Weights":
        data = path.read_bytes()
        return cls(version, data, hashlib.sha256(data).hexdigest())

    @contextmanager
    def as_file(self) -> Iterator[str]:
        """A temporary file with the network. Raises `DamagedWeights`."""
        if hashlib.sha256(self.data).hexdigest() != self.sha256:
            raise DamagedWeights(f"network {self.version} arrived damaged (its SHA-256 is another)")
        with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
            file.write(self.data)
            file.flush()
            yield file.name

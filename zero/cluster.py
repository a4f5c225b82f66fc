"""Is a cluster fit for a training? What `zero cluster doctor` finds out, node by node."""

import hashlib
import os
import platform
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from zero.admission import Admission, Refused
from zero.backends import WorkerDied
from zero.backends.ray import Node, RayBackend
from zero.config import Config
from zero.doctor import Check
from zero.network import Network, save_network
from zero.selfplay import SelfPlayWorker
from zero.weights import Weights

PATIENCE = 90.0  # seconds until a node must have answered; a first start of Python over a slow disk takes some
CLOCK_SECONDS = 2.0
ROOM = 1 << 30  # bytes
CARGO = 4 << 20  # bytes sent to a node and back
PACKAGES = ("zero-engine", "ray", "numpy")


def code_digest() -> str:
    """SHA-256 over the Python sources of the three packages: equal versions of a checkout may differ in code."""
    root = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for package in ("mcts_ext", "nn", "zero"):
        for path in sorted((root / package).rglob("*.py*")):
            if path.suffix in (".py", ".pyx", ".pxd"):
                digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return digest.hexdigest()


class Inspector(SelfPlayWorker):
    """A self-play worker that also tells about the machine it is on."""

    def versions(self) -> dict[str, str]:
        found = {"python": platform.python_version(), "code": code_digest()[:12]}
        for package in PACKAGES:
            try:
                found[package] = version(package)
            except PackageNotFoundError:
                found[package] = "none"
        return found

    def clock(self) -> float:
        return time.time()

    def room(self) -> dict[str, int]:
        """Free bytes where temporary files lie, and all bytes of shared memory, where Ray's objects lie."""
        shared = Path("/dev/shm")
        return {
            "disk": shutil.disk_usage(tempfile.gettempdir()).free,
            "shared memory": shutil.disk_usage(shared).total if shared.exists() else ROOM,
        }

    def store(self, directory: str) -> str | None:
        """What keeps a replay store from having its copies there, if anything."""
        path = Path(directory).expanduser()
        if not path.is_dir():
            return f"{path}: there is no such directory"
        try:
            with tempfile.TemporaryFile(dir=path) as file:
                file.write(bytes(1 << 20))
        except OSError as error:
            return f"{path}: {error.strerror}"
        free = shutil.disk_usage(path).free
        return f"{path}: only {free >> 20} MB free" if free < ROOM else None

    def echo(self, cargo: np.ndarray) -> np.ndarray:
        return cargo


def examine(backend: RayBackend, config: Config, stores: str | None = None) -> Iterator[tuple[str, Check]]:
    """Pairs (node or "cluster", check) of all there is to check. `stores`: the directory of replay stores, if any."""
    for check in check_token():
        yield "cluster", check
    nodes = backend.nodes()
    cores = sum(node.cores for node in nodes)
    fault = None if cores else "no node gives cores to roles: start some with ray start --address=..."
    yield "cluster", Check(f"{len(nodes)} nodes, {cores} cores", fault)
    if stores:
        fault = None if backend.disks() else """none but the driver's: ray start ... --resources='{"disk": 1}'"""
        yield "cluster", Check("nodes with a disk", fault)
    here = Inspector(config)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "untrained.safetensors"
        save_network(path, Network(here.sizes.own, config.network, np.random.default_rng(0)), config.game)
        weights = backend.share(Weights.read(path, version=0))
    for node in nodes:
        for check in examine_node(backend, node, config, weights, here, stores if node.disk else None):
            yield f"{node.address} {node.id[:6]}", check


def check_token() -> Iterator[Check]:
    """Is nobody let in without the token, and can nobody else on this machine read it?"""
    on = os.environ.get("RAY_AUTH_MODE", "").lower() == "token"
    yield Check("token", None if on else "RAY_AUTH_MODE is not token: whoever reaches a port runs code here")
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    if on and path.exists():
        open_to_others = path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
        yield Check("token file", f"others can read it: chmod 600 {path}" if open_to_others else None)


def examine_node(
    backend: RayBackend, node: Node, config: Config, weights: object, here: Inspector, stores: str | None
) -> Iterator[Check]:
    """All checks of one node; the first that gets no answer is the last."""
    handle = backend.spawn_on(node, Inspector, config)

    def ask(method: str, *args: object):
        call = backend.call(handle, method, *args)
        if not backend.wait([call], timeout=PATIENCE):
            raise TimeoutError(f"no answer in {PATIENCE:.0f} s: is a firewall between the nodes? (docs/cluster.md)")
        return call.result()

    def versions() -> str | None:
        theirs, ours = ask("versions"), here.versions()
        return ", ".join(f"{name} is {theirs[name]}, here {ours[name]}" for name in ours if theirs[name] != ours[name])

    def clock() -> str | None:
        before = time.time()
        theirs = ask("clock")
        after = time.time()
        off = max(0.0, before - theirs, theirs - after)
        return f"off by {off:.0f} s: turn time synchronisation on" if off > CLOCK_SECONDS else None

    def room() -> str | None:
        short = [f"only {free >> 20} MB of {what}" for what, free in ask("room").items() if free < ROOM]
        return ", ".join(short)

    def transport() -> str | None:
        cargo = np.random.default_rng(0).integers(0, 256, CARGO, np.uint8)
        came_back = ask("echo", backend.share(cargo))
        return None if np.array_equal(cargo, came_back) else "what was sent came back changed"

    def game() -> str | None:
        ask("load", weights)
        report, began = ask("play", 0.0, [0]), time.monotonic()
        while not report.records and time.monotonic() - began < PATIENCE:
            report = ask("play", 1.0, [])
        if not report.records:
            return f"not finished in {PATIENCE:.0f} s"
        Admission(config).admit(report.records[0], 0, {0})
        return None

    try:
        checks: dict[str, Callable[[], str | None]] = {
            "versions": versions, "clock": clock, "room": room, "transport": transport, "a game": game,
        }  # fmt: skip
        if stores:
            checks["store"] = lambda: ask("store", stores)
        for name, check in checks.items():
            try:
                yield Check(name, check() or None)
            except (WorkerDied, TimeoutError) as error:
                yield Check(name, str(error))
                return
            except Refused as error:
                yield Check(name, f"it broke the rules: {error}")
    finally:
        backend.kill(handle)

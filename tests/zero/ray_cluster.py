"""Ray nodes for tests: really started, ended by killing what was started and nothing else."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def descendants(pid):
    """The processes below one, deepest last."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # ended meanwhile
            continue
        parents.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found, rank = [], [pid]
    while rank:
        rank = [child for parent in rank for child in parents.get(parent, [])]
        found += rank
    return found


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Cluster:
    """A head that gives no cores, and nodes that do; `prefix` is put before every command (a network namespace)."""

    def __init__(self, **settings):
        self.directory = Path(tempfile.mkdtemp(prefix="zr", dir="/tmp"))  # short: it holds the names of Unix sockets
        token = self.directory / "token"
        token.write_text(secrets.token_hex(16))
        token.chmod(0o600)
        here, self.cache = Path(__file__).parent, self.directory / "cache"
        self.environment = dict(
            os.environ, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=str(token), RAY_TMPDIR=str(self.directory),
            PYTHONPATH=f"{here}{os.pathsep}{os.environ.get('PYTHONPATH', '')}", OPENBLAS_NUM_THREADS="1",
            RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S="0", XDG_CACHE_HOME=str(self.cache), **settings,
        )  # fmt: skip
        self.nodes = []
        self.port = free_port()

    def start(self, arguments, prefix=()):
        common = ["--block", "--disable-usage-stats", "--object-store-memory=100000000"]
        command = [*prefix, sys.executable, "-m", "ray.scripts.scripts", "start", *arguments, *common]
        log = open(self.directory / f"node{len(self.nodes)}.log", "w")
        node = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, start_new_session=True)
        self.nodes.append(node)
        return node

    def start_head(self, address=None, prefix=()):
        host = address or socket.gethostbyname(socket.gethostname())
        self.address = f"{host}:{self.port}"
        arguments = ["--head", f"--port={self.port}", "--num-cpus=0", "--include-dashboard=false"]
        self.start(arguments + ([f"--node-ip-address={address}"] if address else []), prefix)
        self._wait_for("Ray runtime started", 0)

    def start_node(self, cores=2, address=None, prefix=(), more=()):
        arguments = [f"--address={self.address}", f"--num-cpus={cores}", *more]
        node = self.start(arguments + ([f"--node-ip-address={address}"] if address else []), prefix)
        self._wait_for("Ray runtime started", len(self.nodes) - 1)
        return node

    def _wait_for(self, text, node, seconds=120):
        path, deadline = self.directory / f"node{node}.log", time.monotonic() + seconds
        while text not in path.read_text():
            if self.nodes[node].poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"a Ray node did not start:\n{path.read_text()}")
            time.sleep(0.1)

    def kill(self, node):
        """Ends a node as a power cut would: all its processes at once."""
        for pid in [node.pid, *descendants(node.pid)]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        node.wait()

    def stop(self, node):
        """Ends a node as `ray stop` would: the head knows at once."""
        node.terminate()
        node.wait(timeout=60)

    def roles(self, name):
        """Process ids of the roles of a class, on all nodes."""
        found = []
        for pid in (pid for node in self.nodes if node.poll() is None for pid in descendants(node.pid)):
            try:
                if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(f"ray::{name}".encode()):
                    found.append(pid)
            except OSError:
                pass
        return found

    def run(self, *arguments, prefix=(), **options):
        command = [*prefix, sys.executable, "-m", *map(str, arguments)]
        return subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, **options)  # fmt: skip

    def close(self):
        for node in reversed(self.nodes):
            if node.poll() is None:
                self.kill(node)
        shutil.rmtree(self.directory, ignore_errors=True)

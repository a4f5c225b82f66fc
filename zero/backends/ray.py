"""Roles as Ray actors, on as many machines as the cluster has. Nothing but this file imports Ray.

Ray starts a role again on no account: a role that died is `WorkerDied`, and who spawned it decides.
"""

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from zero.backends import WorkerDied
from zero.errors import UserError

# Ray reads it when it is imported. Unset, it turns itself on or off by whether a token lies about.
os.environ.setdefault("RAY_AUTH_MODE", "token")

try:
    import ray
    from ray import exceptions
except ImportError as error:
    raise UserError(f"--cluster needs Ray ({error}); install it: pip install 'zero-engine[cluster]'") from None


HELP = (
    ". The head is started by `RAY_AUTH_MODE=token ray start --head`; ~/.ray/auth_token, Python and Ray must be the "
    "same on all machines (docs/cluster.md)"
)


class Host:
    """The actor: holds one role. Exceptions are answers, so that what Ray raises is always a death."""

    def __init__(self, role: Callable[..., Any], *args: Any):
        self.role = role(*args)

    def call(self, method: str, *args: Any) -> tuple[Any, Exception | None]:
        try:
            return getattr(self.role, method)(*args), None
        except Exception as error:
            return None, error


@dataclass(eq=False)
class RayCall:
    handle: Any
    answer: Any  # ObjectRef of (value, error)

    def result(self) -> Any:
        try:
            value, error = ray.get(self.answer)
        except exceptions.RayError as death:
            raise WorkerDied(f"a worker of the cluster died: {summary(death)}") from None
        if error is not None:
            raise error
        return value


def summary(error: Exception) -> str:
    """One line of Ray's paragraphs: what failed while a role was made, or else what happened and on which machine."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if "creation task" in lines[0]:
        return lines[-1]
    machine = next((f" ({line})" for line in lines if line.startswith("ip: ")), "")
    return lines[0] + machine


def check_reachable(address: str) -> None:
    """Raises `UserError` at once where Ray would try for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except ValueError:
        raise UserError(f"--cluster {address}: must be auto or HOST:PORT") from None
    except OSError as error:
        raise UserError(f"--cluster {address}: {error.strerror or error}; nothing answers there{HELP}") from None


@dataclass(frozen=True)
class Node:
    """A machine of the cluster."""

    address: str
    id: str
    cores: int  # that it gives to roles


class RayBackend:
    """Joins the cluster at `address`: `auto` is the one this machine is a node of, else HOST:PORT of its head.

    Raises `UserError` if there is none, or if it does not let us in.
    """

    def __init__(self, address: str):
        check_reachable(address)
        try:
            # "critical": a worker's death is reported by who spawned it, in a line instead of a paragraph
            ray.init(address=address, log_to_driver=False, logging_level="critical", ignore_reinit_error=True)
        except (ConnectionError, RuntimeError, ValueError, exceptions.RayError) as error:
            raise UserError(f"--cluster {address}: {summary(error)}{HELP}") from None
        self._actor = ray.remote(Host)

    @property
    def capacity(self) -> int:
        """The cores the cluster has now. Raises `UserError` if it has none to give."""
        cores = int(ray.cluster_resources().get("CPU", 0))
        if not cores:
            raise UserError(f"the cluster has no cores to give: start nodes with ray start --address=...{HELP}")
        return cores

    @property
    def cards(self) -> int:
        """The graphics cards the cluster has now."""
        return int(ray.cluster_resources().get("GPU", 0))

    def nodes(self) -> list[Node]:
        """The nodes that are alive."""
        found = [n for n in ray.nodes() if n["Alive"]]
        return [Node(n["NodeManagerAddress"], n["NodeID"], int(n["Resources"].get("CPU", 0))) for n in found]

    def spawn(self, role: Callable[..., Any], *args: Any) -> Any:
        """On a core of its own, and with the cards `role.gpus` asks for, on whichever node has the most to spare."""
        cards = getattr(role, "gpus", 0)
        return self._spawn(role, args, num_cpus=1, num_gpus=cards, scheduling_strategy="SPREAD")

    def spawn_on(self, node: Node, role: Callable[..., Any], *args: Any) -> Any:
        """On that node and no other, beside whatever runs there."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        there = NodeAffinitySchedulingStrategy(node.id, soft=False)
        return self._spawn(role, args, num_cpus=0, scheduling_strategy=there)

    def _spawn(self, role: Callable[..., Any], args: tuple, **placement: Any) -> Any:
        return self._actor.options(max_restarts=0, max_task_retries=0, **placement).remote(role, *args)

    def share(self, value: Any) -> Any:
        return ray.put(value)

    def call(self, handle: Any, method: str, *args: Any) -> RayCall:
        return RayCall(handle, handle.call.remote(method, *args))

    def wait(self, calls: Sequence[RayCall], timeout: float | None = None) -> list[RayCall]:
        answers = [call.answer for call in calls]
        ready, _ = ray.wait(answers, num_returns=1, timeout=timeout)
        if ready:  # the first woke us; others may have ended since
            ready, _ = ray.wait(answers, num_returns=len(answers), timeout=0)
        return [call for call in calls if call.answer in ready]

    def kill(self, handle: Any) -> None:
        ray.kill(handle)

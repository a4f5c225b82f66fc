"""Roles as Ray actors, on as many machines as the cluster has. Nothing but this file imports Ray.

Ray starts a role again on no account: a role that died is `WorkerDied`, and who spawned it decides.
"""

import functools
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
    from ray.util.placement_group import placement_group, remove_placement_group
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy
except ImportError as error:
    raise UserError(f"--cluster needs Ray ({error}); install it: pip install 'zero-engine[cluster]'") from None


HELP = (
    ". The head is started by `RAY_AUTH_MODE=token ray start --head`; ~/.ray/auth_token, Python and Ray must be the "
    "same on all machines (docs/cluster.md)"
)

MEMORY = 256 << 20  # bytes that a learner asks a node for, so that one with little left is passed over
PATIENCE = 60.0  # seconds until learners must have found their places


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


@functools.cache
def actor(role: type) -> Any:
    """`Host` under the name of the role, which `ps` and Ray's tools then show."""
    return ray.remote(type(role.__name__, (Host,), {}))


@dataclass(frozen=True)
class Node:
    """A machine of the cluster."""

    address: str
    id: str
    cores: int  # that it gives to roles
    disk: bool  # whether replay stores may use its disk


@dataclass(frozen=True)
class Bundle:
    """A reserved place: one of a placement group."""

    group: Any
    index: int


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
        found = [(n["NodeManagerAddress"], n["NodeID"], n["Resources"]) for n in ray.nodes() if n["Alive"]]
        return [Node(address, id, int(has.get("CPU", 0)), "disk" in has) for address, id, has in found]

    def disks(self) -> list[Node]:
        """Nodes other than the driver's that were started with `--resources '{"disk": 1}'`."""
        here = ray.get_runtime_context().get_node_id()
        return [node for node in self.nodes() if node.disk and node.id != here]

    def spawn(self, role: Callable[..., Any], *args: Any) -> Any:
        """On a core of its own, and with the cards `role.gpus` asks for, on whichever node has the most to spare."""
        cards = getattr(role, "gpus", 0)
        return self._spawn(role, args, num_cpus=1, num_gpus=cards, scheduling_strategy="SPREAD")

    def reserve(self, role: Callable[..., Any], count: int) -> list[Bundle]:
        """Roles with cards come together on as few machines as can be, for what they say to each other goes fastest
        inside one; others are spread, for each computes with all the cores it finds."""
        cards = getattr(role, "gpus", 0)
        bundle = {"GPU": cards} if cards else {"memory": MEMORY}
        group = placement_group([bundle] * count, strategy="PACK" if cards else "SPREAD")
        if not group.wait(PATIENCE):
            remove_placement_group(group)
            what = f"{cards} graphics card" if cards else f"{MEMORY >> 20} MB of memory"
            raise UserError(f"the cluster has no room for {count} learners: each needs {what}")
        return [Bundle(group, index) for index in range(count)]

    def release(self, places: Sequence[Bundle]) -> None:
        remove_placement_group(places[0].group)

    def spawn_on(self, place: Node | Bundle, role: Callable[..., Any], *args: Any) -> Any:
        if isinstance(place, Node):
            where = NodeAffinitySchedulingStrategy(place.id, soft=False)
        else:
            where = PlacementGroupSchedulingStrategy(place.group, placement_group_bundle_index=place.index)
        return self._spawn(role, args, num_cpus=0, num_gpus=getattr(role, "gpus", 0), scheduling_strategy=where)

    def _spawn(self, role: Callable[..., Any], args: tuple, **placement: Any) -> Any:
        return actor(role).options(max_restarts=0, max_task_retries=0, **placement).remote(role, *args)

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

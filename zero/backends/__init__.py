"""Where roles run. A backend has four verbs: spawn, call, wait, kill; roles are plain classes that know none of it."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol


class WorkerDied(RuntimeError):
    """A role's process ended without answering."""


class Call(Protocol):
    """A method call under way; `result()` is valid once `wait` has returned it."""

    handle: Any

    def result(self) -> Any:
        """What the method returned. Raises what it raised, or `WorkerDied`."""


class Backend(Protocol):
    capacity: int  # roles that can run at once, each on a core of its own
    cards: int  # roles that can run at once, each on a graphics card of its own

    def spawn(self, role: Callable[..., Any], *args: Any) -> Any:
        """Makes `role(*args)` somewhere and returns a handle to it."""

    def share(self, value: Any) -> Any:
        """What to give in place of `value` to calls, where many get the same large one."""

    def call(self, handle: Any, method: str, *args: Any) -> Call:
        """Starts a method; one call at a time for each handle."""

    def wait(self, calls: Sequence[Call], timeout: float | None = None) -> list[Call]:
        """Those of `calls` that are done, after at least one is, or `timeout` seconds have passed."""

    def kill(self, handle: Any) -> None:
        """Ends the role at once."""

    def reserve(self, role: Callable[..., Any], count: int) -> Sequence[Any]:
        """Places for `count` such roles that work together: all of them or, as `UserError`, none. The cores there are
        not theirs alone."""

    def spawn_on(self, place: Any, role: Callable[..., Any], *args: Any) -> Any:
        """`spawn` there and nowhere else; a place takes several roles, and another one after one died."""

    def release(self, places: Sequence[Any]) -> None:
        """Gives reserved places back."""

    def disks(self) -> Sequence[Any]:
        """Places on other machines that have a disk to keep things on."""


class OneMachine:
    """What backends of this machine have in common: any place is as good as another."""

    def reserve(self, role: Callable[..., Any], count: int) -> Sequence[Any]:
        return [None] * count

    def spawn_on(self, place: Any, role: Callable[..., Any], *args: Any) -> Any:
        return self.spawn(role, *args)

    def release(self, places: Sequence[Any]) -> None:
        pass

    def disks(self) -> Sequence[Any]:
        return []


def make(name: str) -> Backend:
    """`inline` (this process), `process` (one for each role on this machine), or the address of a Ray cluster:
    `auto` or HOST:PORT. Raises `UserError` if Ray is not installed or there is no cluster."""
    if name == "inline":
        from zero.backends.inline import InlineBackend

        return InlineBackend()
    if name == "process":
        from zero.backends.process import ProcessBackend

        return ProcessBackend()
    from zero.backends.ray import RayBackend

    return RayBackend(name)

"""Roles in this process: a call is done when it returns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from nn.backend import cards
from zero.backends import OneMachine


@dataclass(eq=False)
class InlineCall:
    handle: Any
    value: Any = None
    error: Exception | None = None

    def result(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.value


class InlineBackend(OneMachine):
    capacity = 1

    @property
    def cards(self) -> int:
        return min(1, cards())

    def spawn(self, role: Callable[..., Any], *args: Any) -> Any:
        return role(*args)

    def share(self, value: Any) -> Any:
        return value

    def call(self, handle: Any, method: str, *args: Any) -> InlineCall:
        try:
            return InlineCall(handle, value=getattr(handle, method)(*args))
        except Exception as error:  # handed to whoever asks for the result, as the other backends do
            return InlineCall(handle, error=error)

    def wait(self, calls: Sequence[InlineCall], timeout: float | None = None) -> list[InlineCall]:
        return list(calls)

    def kill(self, handle: Any) -> None:
        pass

"""Handing what was made ready to a flow that is called in the same context.

Prefect's server, Ray and the models each take many seconds to come up. Whoever calls a flow in this process therefore
plans first and starts workers in the background; the flow, whose parameters are a form's, picks both up from here. A
flow run that came from a deployment finds nothing, and makes its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Generic, TypeVar

__all__ = ["Handover"]

T = TypeVar("T")


class Handover(Generic[T]):
    """One place, seen only by what is called inside `giving`: other threads and other contexts have none of it."""

    def __init__(self, name: str) -> None:
        self._place: ContextVar[list[T] | None] = ContextVar(name, default=None)

    @contextmanager
    def giving(self, value: T) -> Iterator[None]:
        """Offer `value` to what is called inside the block, and to nobody after it."""
        offered = [value]
        token = self._place.set(offered)
        try:
            yield
        finally:
            offered.clear()  # a context that was copied inside the block outlives it
            self._place.reset(token)

    def take(self, suits: Callable[[T], bool]) -> T | None:
        """Return what is offered here, once, if it `suits`."""
        offered = self._place.get()
        return offered.pop() if offered and suits(offered[0]) else None

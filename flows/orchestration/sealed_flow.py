"""Flows whose runs keep no secret: their parameters are looked at before Prefect puts them into its tables.

A flow that is called from Python has its parameters stored first, and validated when the run has begun
[read in prefect.flow_engine 3.8.8: create_flow_run serializes what it was given, begin_run validates it].
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ParamSpec, TypeVar

from prefect import Flow

from flows.orchestration.forms.addresses import refuse_secrets

__all__ = ["flow"]

P = ParamSpec("P")
R = TypeVar("R")


class _SealedFlow(Flow[P, R]):
    """A flow that refuses addresses with secrets before it has a run."""

    def serialize_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return what Prefect stores. Raises BadInput where it would hold a secret."""
        for name, text in _texts(parameters):
            refuse_secrets(**{name: text})
        return super().serialize_parameters(parameters)

    def with_options(self, **options: Any) -> Flow[P, R]:
        """Return a copy with other options, which refuses the same."""
        changed: Flow[P, R] = super().with_options(**options)
        changed.__class__ = _SealedFlow  # Prefect makes a plain one
        return changed


def flow(**options: Any) -> Callable[[Callable[P, R]], Flow[P, R]]:
    """Make a flow as Prefect's decorator of this name does."""
    return lambda function: _SealedFlow(fn=function, **options)


def _texts(parameters: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in parameters.items():
        for it in value if isinstance(value, list | tuple) else (value,):
            if isinstance(it, str):
                yield name, it

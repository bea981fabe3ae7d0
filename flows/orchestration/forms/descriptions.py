"""What a function's parameters mean, read from its annotations; and a docstring that says so, for Prefect's form.

Prefect 3.8.8 takes a field's description from the flow's docstring and drops the one of a pydantic `Field`
[read in prefect.utilities.callables: it sets the description to the docstring's, None included].
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from pydantic.fields import FieldInfo

__all__ = ["described", "fields_of", "hints_of"]

F = TypeVar("F", bound=Callable[..., Any])


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of the parameters, in their order, `Annotated` and all."""
    hints = get_type_hints(function, include_extras=True)
    return {name: hints[name] for name in inspect.signature(function).parameters}


def fields_of(hint: Any) -> list[FieldInfo]:
    """The pydantic fields of an annotation, the inmost first; what a later one says counts."""
    if get_origin(hint) is not Annotated:
        return []
    return [it for it in get_args(hint)[1:] if isinstance(it, FieldInfo)]


def described(flow: F) -> F:
    """Complete the docstring of a flow's function with the descriptions of its parameters; goes below `@flow`.

    Raises:
        TypeError: a parameter has none, and the form would show a bare name.
    """
    lines = []
    for name, hint in hints_of(flow).items():
        descriptions = [field.description for field in fields_of(hint) if field.description]
        if not descriptions:
            raise TypeError(f"{flow.__name__}: parameter '{name}' has no description; annotate it with a Field")
        lines.append(f"    {name}: {descriptions[-1]}")
    flow.__doc__ = "\n".join([inspect.getdoc(flow) or "", "", "Args:", *lines])
    return flow

"""Help and bounds of a command's options, from the pydantic fields that their annotations hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar, get_args

from cyclopts import Parameter
from cyclopts.validators import Number
from pydantic.fields import FieldInfo

from flows.orchestration.forms.descriptions import fields_of, hints_of

__all__ = ["with_help"]

C = TypeVar("C", bound=Callable[..., Any])

# The bounds of a pydantic field, and what cyclopts calls them.
_BOUNDS = {"ge": "gte", "gt": "gt", "le": "lte", "lt": "lt"}


def with_help(command: C) -> C:
    """Give a command the help and the bounds that the pydantic fields of its annotations hold, as a flow's do
    (flows/orchestration/forms/fields.py): cyclopts reads only its own `Parameter`, one of which goes before.
    """
    command.__annotations__ = command.__annotations__ | {
        name: _with_parameter(hint) for name, hint in hints_of(command).items()
    }
    return command


def _with_parameter(hint: Any) -> Any:
    fields = fields_of(hint)
    if not fields:
        return hint
    base, *metadata = get_args(hint)
    return Annotated[(base, _parameter(fields), *metadata)]


def _parameter(fields: list[FieldInfo]) -> Parameter:
    said: dict[str, Any] = {}
    descriptions = [field.description for field in fields if field.description]
    if descriptions:
        said["help"] = descriptions[-1]
    bounds = {
        cyclopts_name: getattr(bound, name)
        for field in fields
        for bound in field.metadata
        for name, cyclopts_name in _BOUNDS.items()
        if hasattr(bound, name)
    }
    if bounds:
        said["validator"] = Number(**bounds)
    return Parameter(**said)

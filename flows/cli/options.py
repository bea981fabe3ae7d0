"""Options that several commands have; and help and bounds of a command's options, from the pydantic fields that their
annotations hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar, get_args

from cyclopts import Parameter
from cyclopts.validators import Number
from pydantic.fields import FieldInfo

from flows.orchestration.deployments import NightlyOptions
from flows.orchestration.forms.descriptions import fields_of, hints_of

__all__ = ["NightCron", "NightManifest", "NightOutput", "NightZone", "with_help"]

C = TypeVar("C", bound=Callable[..., Any])

_NIGHT = NightlyOptions()

#: What `up` and `deploy` are told of the night; `night_of_options` (flows/cli/night.py) reads it.
NightManifest = Annotated[
    str | None,
    Parameter(help="manifest of the night, such as s3://bucket/manifests/{date}.parquet: switches `nightly` on"),
]
NightOutput = Annotated[
    str | None, Parameter(name=["--output", "-o"], help="where the night goes, such as s3://bucket/nights/{date}")
]
NightCron = Annotated[str | None, Parameter(help=f"when the night begins (default: {_NIGHT.cron})")]
NightZone = Annotated[str | None, Parameter(help=f"of that time (default: {_NIGHT.time_zone})")]

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

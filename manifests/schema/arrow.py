"""The row's schema in Arrow's terms, derived from ManifestRow; null means `not given`."""

from __future__ import annotations

import types
from collections.abc import Iterable
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pyarrow as pa
from pydantic import BaseModel

from manifests.schema.row import ManifestRow

_SCALARS: dict[Any, pa.DataType] = {int: pa.int64(), float: pa.float64(), str: pa.string(), bool: pa.bool_()}


@cache
def arrow_schema() -> pa.Schema:
    """The columns of a manifest: nested settings as structs, lists as lists of structs, descriptions as metadata."""
    return pa.schema(_fields(ManifestRow))


def row_to_arrow(row: ManifestRow) -> dict[str, Any]:
    """`row` as the plain values of `arrow_schema()`; what the author left unset is absent."""
    return row.model_dump(exclude_unset=True)


def rows_to_table(rows: Iterable[ManifestRow]) -> pa.Table:
    """Rows as a table of `arrow_schema()`; what the author left unset is null."""
    return pa.Table.from_pylist([row_to_arrow(row) for row in rows], schema=arrow_schema())


def _fields(model: type[BaseModel]) -> list[pa.Field[Any]]:
    return [
        pa.field(
            name,
            _arrow_type(field.annotation),
            metadata={"description": field.description} if field.description else None,
        )
        for name, field in model.model_fields.items()
    ]


def _arrow_type(annotation: Any) -> pa.DataType:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return pa.struct(_fields(annotation))
    if origin is Annotated:
        return _arrow_type(arguments[0])
    if origin is Literal:
        return _arrow_type(type(arguments[0]))
    if origin in (Union, types.UnionType):
        (kept,) = (argument for argument in arguments if argument is not type(None))
        return _arrow_type(kept)
    if origin is tuple:
        return pa.list_(_arrow_type(arguments[0]))
    raise TypeError(f"no Arrow type is known for {annotation}; add it to manifests.schema.arrow")

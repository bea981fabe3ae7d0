"""Fields of a form that may stay empty.

From `int | None` Prefect draws two buttons, "int" and "None", and says of the field that it 'is type "None"'. From the
schema of a plain `int` it draws a field for a number; but its server then refuses null, which the parameters of a run
hold that is copied, if null is the default of the schema as well: only where a schema has no default does the server
take null for "left empty" [read in Prefect 3.8.8, prefect.utilities.schema_tools.validation, and seen].
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import GetJsonSchemaHandler
from pydantic_core import CoreSchema

__all__ = ["MayBeEmpty"]


class _WithoutNullDefault(dict[str, Any]):
    """A schema that null can't become the default of: pydantic sets the default last, on what an annotation gave."""

    def __setitem__(self, key: str, value: Any) -> None:
        if key != "default" or value is not None:
            super().__setitem__(key, value)


@dataclass(frozen=True)
class MayBeEmpty:
    """In the `Annotated` of a parameter that may be None: the JSON schema of what it is otherwise."""

    schema: Mapping[str, Any]

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return _WithoutNullDefault(self.schema)

    def __hash__(self) -> int:
        return hash(tuple(self.schema.items()))

"""What all parts of a manifest row share: frozen, closed to unknown names, and exact about what the author gave."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict

from manifests.errors import ErrorKind, NightreelError
from manifests.masking import address_without_secrets, without_secrets


class SettingsError(NightreelError, ValueError):
    """A value that is wrong because of another one; `column` names the field to correct."""

    kind = ErrorKind.BAD_INPUT

    def __init__(self, column: str, message: str) -> None:
        super().__init__(message)
        self.column = column

    def __reduce__(self) -> tuple[type[SettingsError], tuple[str, str]]:
        return type(self), (self.column, str(self))


class Settings(BaseModel):
    """A frozen pydantic model: unknown names are errors, and `model_fields_set` holds just what the author wrote. Its
    repr and str, which end in logs and messages, hold no secrets."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        coerce_numbers_to_str=True,  # a spreadsheet turns the video_id "0042" or the prompt "1984" into a number
        ser_json_inf_nan="strings",
    )

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            # the whole of a text may be an address
            yield name, without_secrets(address_without_secrets(value)) if isinstance(value, str) else value

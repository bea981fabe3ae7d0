"""What all parts of a manifest row share: frozen, closed to unknown names, and exact about what the author gave."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from manifests.errors import ErrorKind, NightreelError


class SettingsError(NightreelError, ValueError):
    """A value that is wrong because of another one; `column` names the field to correct."""

    kind = ErrorKind.BAD_INPUT

    def __init__(self, column: str, message: str) -> None:
        super().__init__(message)
        self.column = column

    def __reduce__(self) -> tuple[type[SettingsError], tuple[str, str]]:
        return type(self), (self.column, str(self))


class Settings(BaseModel):
    """A frozen pydantic model: unknown names are errors, and `model_fields_set` holds just what the author wrote."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        coerce_numbers_to_str=True,  # a spreadsheet turns the video_id "0042" or the prompt "1984" into a number
        ser_json_inf_nan="strings",
    )

"""What a training's folder holds as JSON. It may be an older version's, damaged, or anybody's: it is believed after a
look, and no more of it is read than one of ours may have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from renderers.config_file import problems_of
from renderers.errors import BadInput

__all__ = ["Progress", "Report", "read_object", "read_progress", "read_report"]

#: Bytes: a report names its pictures, up to 64 that were held out and 2,000 that are broken.
MOST_BYTES = 4 << 20


class _Document(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


class Report(_Document):
    """What must be in the report of a fine-tuning for its results to be told and registered."""

    name: str
    base: str
    steps: int
    seconds: float
    psnr_before: float
    psnr_after: float
    training_pictures: int
    held_out_pictures: list[str]
    broken_pictures: dict[str, str]
    hardware: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Progress(_Document):
    """How far a training is."""

    step: int
    steps: int = Field(ge=1)
    seconds_left: float
    loss: float | None = None
    psnr: float | None = None


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in the file at `path`.

    Raises:
        OSError: it can't be read.
        ValueError: it is no regular file of a few megabytes that holds one.
    """
    if path.exists() and not path.is_file():
        raise ValueError("it is no regular file")
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
    try:
        found = json.loads(data)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    return found


def read_report(path: Path) -> dict[str, Any] | None:
    """Return the report of a fine-tuning that has ended; None where there is none yet.

    Raises:
        BadInput: something else lies there.
    """
    try:
        found = read_object(path)
        Report.model_validate(found)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        why = problems_of(error) if isinstance(error, ValidationError) else str(error)
        raise BadInput(
            f"'{path}' is not the report of a fine-tuning ({why}): move it away, or name another folder"
        ) from error
    return found


def read_progress(path: Path) -> dict[str, Any] | None:
    """Return how far a training is, by what its first worker has written; None while nobody knows."""
    try:
        found = read_object(path)
        Progress.model_validate(found)
    except (OSError, ValueError):
        return None
    return found

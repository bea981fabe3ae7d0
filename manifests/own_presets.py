"""Presets of one's own: a YAML file of columns, with `summary` and `notes` if one likes."""

from __future__ import annotations

from typing import Any

import yaml

from manifests.checking import check_row, drop_unset, nest, not_unicode
from manifests.errors import first_line
from manifests.results import ManifestError, RowProblem
from manifests.schema.describe import known_columns
from manifests.schema.presets import ABOUT, NOT_IN_PRESETS, Preset, preset_of
from manifests.schema.texts import did_you_mean, short
from manifests.sources.plain_yaml import check_size

__all__ = ["read_preset"]

LONGEST = 100_000  # bytes
MOST_VALUES = 2_000
DEEPEST = 5


def read_preset(data: bytes, name: str) -> Preset:
    """Return the preset that the bytes of a file hold; `name` is the file's, for messages.

    Raises:
        ManifestError: it is no YAML of columns, has such as say what a video shows, or values that are not allowed; the
            message names the column.
    """
    if len(data) > LONGEST:
        raise ManifestError(f"{name}: a preset has at most {LONGEST:,} bytes, and this file {len(data):,}")
    document = _document(data, name)
    settings = nest(drop_unset({key: value for key, value in document.items() if key not in ABOUT}))
    for column in settings:
        if column in NOT_IN_PRESETS:
            raise ManifestError(
                f"{name}: a preset can't hold '{column}': it says how a video is drawn, not what it shows"
            )
        if column not in known_columns():
            hint = f"; {hint}" if (hint := did_you_mean(column, known_columns() - NOT_IN_PRESETS)) else ""
            raise ManifestError(f"{name}: '{short(column)}' is no column of a row{hint}")
    if settings.get("init") == "image":
        raise ManifestError(f"{name}: a preset can't hold init 'image': the picture is the row's")
    for result in check_row({"video_id": "preset", "prompt": "a preset", **settings}, file=name, number=1):
        if isinstance(result, RowProblem):
            allowed = f" (allowed: {result.allowed})" if result.allowed else ""
            raise ManifestError(f"{name}: {result.message}{allowed}")
    about = {key: short(str(document.get(key) or ""), 1000) for key in ABOUT}
    return preset_of(name, {**about, **settings})


def _document(data: bytes, name: str) -> dict[str, Any]:
    try:
        text = data.decode("utf-8-sig")
        check_size(text, name, MOST_VALUES, DEEPEST, "a preset has")
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        # what PyYAML raises for values that look like dates, numbers or keys and are none
        if isinstance(error, ManifestError):
            raise
        raise ManifestError(f"{name}: not valid YAML ({short(first_line(error), 200)})") from error
    if not isinstance(document, dict) or not document:
        raise ManifestError(f"{name}: a preset is a block of columns, such as 'steps_first: 200'")
    if odd := [key for key in document if not isinstance(key, str) or not_unicode(key)]:
        raise ManifestError(f"{name}: '{short(repr(odd[0]))}' is no column of a row")
    return document

"""A row resolved: what it leaves unset comes from its model's defaults, and from the schema's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from manifests.schema import ManifestRow
from renderers.errors import BadInput
from renderers.registry import ModelEntry

__all__ = ["resolve"]


def resolve(row: ManifestRow, entry: ModelEntry) -> ManifestRow:
    """Fill what `row` leaves unset from the model's defaults, then from the schema's.

    Raises:
        BadInput: the size is no multiple of the model's downsampling, or a value does not go with one of the model's.
    """
    merged = _merge(entry.defaults, row.model_dump(exclude_unset=True))
    if "init" not in row.model_fields_set and row.init_image is not None:
        merged["init"] = "image"  # a picture given goes before the model's usual start
    if row.travel and "crossfade" not in row.model_fields_set:
        merged.pop("crossfade", None)  # a model's usual one says nothing of a row that has none
    if merged.get("candidates", 1) == 1:
        merged.pop("candidates_share", None)  # it says nothing of one
    try:
        resolved = ManifestRow.model_validate(merged)
    except ValidationError as error:
        # each is valid by itself: a limit that the row moves may lie beyond the other one, which the model sets.
        wrong = "; ".join(problem["msg"] for problem in error.errors())
        raise BadInput(
            f"video '{row.video_id}' does not go with the defaults of model '{entry.name}': {wrong}"
        ) from error
    if resolved.candidates > 1 and resolved.init == "image" and not resolved.optimiser.latent_noise:
        raise BadInput(
            f"candidates {resolved.candidates} of video '{row.video_id}': all of them would start from the same "
            "picture; give optimiser.latent_noise, another init, or one candidate"
        )
    for column in ("width", "height"):
        size, unit = getattr(resolved, column), entry.downsampling
        if size % unit:
            near = max(unit, round(size / unit) * unit)
            raise BadInput(
                f"{column} {size} of video '{row.video_id}' is not a multiple of {unit}, "
                f"the pixels per token of model '{entry.name}': take {near}"
            )
    return resolved


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid on `base`, nested settings key by key."""
    merged = dict(base)
    for key, value in over.items():
        nested = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if nested else value
    return merged

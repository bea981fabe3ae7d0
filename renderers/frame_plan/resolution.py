"""A row resolved: what it leaves unset comes from its preset, then from its model's defaults, then the schema's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from manifests.masking import address_without_secrets
from manifests.schema import CutoutSettings, ManifestRow
from manifests.schema.describe import wrong_in
from manifests.schema.presets import Preset, is_file, shipped_preset
from manifests.schema.regions import LEAST_CUTOUTS
from manifests.schema.texts import short
from renderers.errors import BadInput
from renderers.registry import ModelEntry

__all__ = ["fill", "preset_for", "resolve"]


def resolve(row: ManifestRow, entry: ModelEntry) -> ManifestRow:
    """Fill what `row` leaves unset from its preset, then from the model's defaults, then from the schema's.

    A resolved row names no preset: it is what its settings are, whatever a later release has under that name.

    Raises:
        BadInput: the size is no multiple of the model's downsampling, or a value does not go with one of the model's or
            of the preset's; or the preset is a file, which `fill` was to be given before.
    """
    counted = "number" in row.cutouts.model_fields_set  # by the author
    if row.preset is not None:
        row = fill(row, preset_for(row.preset, entry))
    merged = _merge(entry.defaults, row.model_dump(exclude_unset=True))
    if row.regions:
        merged["cutouts"] = _with_regions(merged.get("cutouts", {}), row, counted=counted)
    if "init" not in row.model_fields_set and row.init_image is not None:
        merged["init"] = "image"  # a picture given goes before the model's usual start
    if row.travel and "crossfade" not in row.model_fields_set:
        merged.pop("crossfade", None)  # a model's usual one says nothing of a row that has none
    if row.continues is not None or row.source.video is not None:
        merged = _without_starts(merged, row)
    if merged.get("candidates", 1) == 1:
        merged.pop("candidates_share", None)  # it says nothing of one
    if not merged.get("warm", {}).get("fit"):
        merged.get("warm", {}).pop("fit_rate", None)  # nothing is fitted at any rate
    try:
        resolved = ManifestRow.model_validate(merged)
    except ValidationError as error:
        # each is valid by itself: a limit that the row moves may lie beyond the other one, which the model sets.
        raise BadInput(
            f"video '{row.video_id}' does not go with the defaults of model '{entry.name}': {wrong_in(error)}"
        ) from error
    if resolved.candidates > 1 and resolved.init == "image" and not resolved.optimiser.latent_noise:
        raise BadInput(
            f"candidates {resolved.candidates} of video '{row.video_id}': all of them would start from the same "
            "picture; give optimiser.latent_noise, another init, or one candidate"
        )
    if resolved.depth.shape == "model" and entry.depth is None:
        raise BadInput(
            f"depth.shape model of video '{row.video_id}': model '{entry.name}' has no depth model; name one that has, "
            f"as `nightreel models add NAME --from {entry.name} --depth LOADER` adds it, or another depth.shape"
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


def _with_regions(cutouts: Mapping[str, Any], row: ManifestRow, *, counted: bool) -> dict[str, Any]:
    """Settings of cutouts that are enough for a row's regions: a model's or a preset's number is raised to that, one
    that the author has `counted` is not."""
    parts = 1 + len(row.regions or ())
    number, least = cutouts.get("number", CutoutSettings.model_fields["number"].default), LEAST_CUTOUTS * parts
    if counted and number < least:
        raise BadInput(
            f"cutouts.number {number} of video '{row.video_id}' is too small for its {parts - 1} regions: each of "
            f"them, and the whole, takes {LEAST_CUTOUTS} at least; give it {least} or more, or leave it out"
        )
    return {**cutouts, "number": max(number, least)}


def preset_for(name: str, entry: ModelEntry) -> Preset:
    """Return the preset of the package called `name`, as it suits the model `entry`.

    Raises:
        BadInput: there is none of that name.
    """
    if is_file(name):
        shown = short(address_without_secrets(name), 300)
        raise BadInput(
            f"the preset '{shown}' is a file, which has not been read: a row that names one is planned by a job"
        )
    try:
        preset = shipped_preset(name)
    except ValueError as error:
        raise BadInput(str(error)) from error
    own = entry.presets.get(name)
    return replace(preset, settings=_merge(preset.settings, own)) if own else preset


def fill(row: ManifestRow, preset: Preset) -> ManifestRow:
    """Return `row` with what it leaves unset as `preset` says; it names no preset then.

    Raises:
        BadInput: a value does not go with one of the preset's.
    """
    usual, given = dict(preset.settings), row.model_dump(exclude_unset=True)
    given.pop("preset", None)
    if row.init_image is not None:
        usual.pop("init", None)  # as with a model's
        usual.pop("candidates", None)  # they would all start from the picture
    if row.continues is not None or row.source.video is not None:
        usual = _without_starts(usual, row)
    if row.travel:
        usual.pop("crossfade", None)
    try:
        return ManifestRow.model_validate(_merge(usual, given))
    except ValidationError as error:
        raise BadInput(
            f"video '{row.video_id}' does not go with the preset '{preset.name}': {wrong_in(error)}"
        ) from error


def _without_starts(settings: Mapping[str, Any], row: ManifestRow) -> dict[str, Any]:
    """`settings` of a row that continues another video, or is drawn over a film, without what a model or a preset says
    of cold starts."""
    return {
        name: value
        for name, value in settings.items()
        if name not in ("init", "init_image", "candidates", "candidates_share") or name in row.model_fields_set
    }


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid on `base`, nested settings key by key."""
    merged = dict(base)
    for key, value in over.items():
        nested = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if nested else value
    return merged

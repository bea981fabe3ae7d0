"""What of a row is not neutral: a digest holds only what differs from the value at which a setting changes nothing.

Each column says itself what that value is, and whether it may change in time (`manifests.schema.neutral`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

from manifests.schema import ImagePrompt, Keyframes, ManifestRow, NoisePrompt
from manifests.schema.camera import CAMERA_LIMITS
from manifests.schema.hold import HOLD_LIMITS, HoldSettings
from manifests.schema.neutral import Neutral, NoPicture
from manifests.schema.regions import Region
from manifests.schema.renew import RENEW_LIMITS, RenewSettings
from manifests.schema.scenes import Prompt, Scene, plain_number
from manifests.schema.settings import CUTOUT_LIMITS, LOSS_LIMITS, CutoutSettings, LossSettings
from manifests.schema.source import SOURCE_LIMITS, SourceSettings
from renderers.canonical import differing, fields_of

__all__ = [
    "CAMERA_AXES", "NEUTRAL", "NOT_IN_PICTURES", "PER_FRAME", "SCHEDULED", "at_rest", "constant_of",
    "deviations",
    "root_deviations", "text_of",
]  # fmt: skip

_CLASSES: Mapping[str, type[BaseModel]] = {
    "": ManifestRow, "prompt.": Prompt, "image_prompt.": ImagePrompt, "noise_prompt.": NoisePrompt,
    "scene.": Scene, "region.": Region,
}  # fmt: skip


def _marked(kind: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Neutral | NoPicture]]:
    """What the columns of a class say of themselves, those of nested settings by their dotted names."""
    for name, field in kind.model_fields.items():
        if isinstance(field.default, BaseModel):
            yield from _marked(type(field.default), f"{prefix}{name}.")
        for mark in field.metadata:
            if isinstance(mark, Neutral | NoPicture):
                yield prefix + name, mark


_MARKS = {name: mark for prefix, kind in _CLASSES.items() for name, mark in _marked(kind, prefix)}

NEUTRAL: Mapping[str, Any] = {name: mark.value for name, mark in _MARKS.items() if isinstance(mark, Neutral)} | {
    # constants of the code, see `renderers.frame_plan.handoff` and `renderers.frame_plan.crops`
    "pull": 300.0,
    "hold": 2,
    "leap": 3,
    "image_prompt.crops": 1,
}

# Columns that say how the camera moves from one frame to the next; a frame's motion is made of their values there.
CAMERA_AXES = tuple(CAMERA_LIMITS)

# All columns that hold keyframes, by their dotted names.
SCHEDULED = (
    *CAMERA_AXES, *(f"renew.{name}" for name in RENEW_LIMITS), *(f"loss.{name}" for name in LOSS_LIMITS),
    *(f"hold.{name}" for name in HOLD_LIMITS), *(f"cutouts.{name}" for name in CUTOUT_LIMITS),
    *(f"source.{name}" for name in SOURCE_LIMITS),
)  # fmt: skip

# What may change in time: not part of what all frames of a video share, but of each frame, as what it comes to there.
PER_FRAME = frozenset(name for name, mark in _MARKS.items() if isinstance(mark, Neutral) and mark.in_time)

# What decides no picture: it names the video, or comes after its frames; or only what expressions come to at a frame.
# The model does, by a digest of its own.
NOT_IN_PICTURES = frozenset(name for name, mark in _MARKS.items() if isinstance(mark, NoPicture))


# What columns say when a row leaves them out, where that is what is neutral: nothing has to be parsed for them.
_DEFAULTS = {name: field.default for name, field in ManifestRow.model_fields.items()} | {
    f"{group}.{name}": field.default
    for group, settings in (
        ("renew", RenewSettings),
        ("loss", LossSettings),
        ("hold", HoldSettings),
        ("cutouts", CutoutSettings),
        ("source", SourceSettings),
    )
    for name, field in settings.model_fields.items()
}
_AT_REST = {name: _DEFAULTS[name] for name in SCHEDULED if Keyframes.parse(_DEFAULTS[name]).constant == NEUTRAL[name]}


def text_of(row: ManifestRow, name: str) -> str:
    """What a row says in one of `SCHEDULED`."""
    if name in row.__dict__:
        return str(row.__dict__[name])
    group, _, rest = name.partition(".")
    return str(getattr(getattr(row, group), rest))


def at_rest(row: ManifestRow, name: str) -> bool:
    """Whether a row says nothing in one of `SCHEDULED`, or what is neutral in the very words of the default."""
    return text_of(row, name) == _AT_REST.get(name)


def constant_of(row: ManifestRow, name: str) -> float | None:
    """The value of one of `SCHEDULED`, if it is the same at every frame, else None."""
    text = text_of(row, name)
    if text == _AT_REST.get(name):
        return float(NEUTRAL[name])
    return Keyframes.parse(text, row.timeline).constant


def root_deviations(row: ManifestRow) -> dict[str, Any]:
    """What of a resolved `row` decides all its frames alike and is not neutral, by the names of `NEUTRAL`."""
    columns = _root_columns(type(row), PER_FRAME)
    return {name: value for name, value in _columns(row, columns).items() if name not in PER_FRAME}


@lru_cache
def _root_columns(kind: type[BaseModel], per_frame: frozenset[str]) -> tuple[str, ...]:
    """The columns of a row that may be part of a root: a plan of many rows asks for these alone."""
    return tuple(
        name
        for name, field in kind.model_fields.items()
        if (not isinstance(field.default, BaseModel) and name not in per_frame)
        or (
            isinstance(field.default, BaseModel)
            and not {f"{name}.{inner}" for inner in type(field.default).model_fields} <= per_frame
        )
    )


def deviations(row: ManifestRow) -> frozenset[str]:
    """The names of all settings of a resolved `row` that decide pictures and are not at their neutral value."""
    found = set(_columns(row)) - {*SCHEDULED}
    found |= {name for name in SCHEDULED if constant_of(row, name) != NEUTRAL[name]}
    prompts: dict[str, Iterable[BaseModel]] = {
        "prompt": [prompt for scene in row.all_scenes for prompt in scene.prompts],
        "image_prompt": [*(row.image_prompts or ()), *(it for scene in row.scenes for it in scene.images or ())],
        "noise_prompt": [*(row.noise_prompts or ()), *(it for scene in row.scenes for it in scene.noise or ())],
    }
    for kind, given in prompts.items():
        for prompt in given:
            found |= {f"{kind}.{name}" for name in differing(_numbers(prompt), NEUTRAL, f"{kind}.")}
    for scene in row.scenes:
        found |= {f"scene.{name}" for name in differing(scene, NEUTRAL, "scene.")} & {*NEUTRAL}
    return frozenset(found)


def _numbers(prompt: BaseModel) -> dict[str, Any]:
    """The fields of a prompt, numbers as such; what changes in time is no number, by a name of its own."""
    found = fields_of(prompt)
    for name in ("weight", "stop"):
        if name in found and (number := plain_number(found[name])) is not None:
            found[name] = number
        elif name in found:
            found[f"{name} in time"] = found.pop(name)
    return found


def _columns(row: ManifestRow, columns: Iterable[str] | None = None) -> dict[str, Any]:
    """The columns, or those of `columns`, that decide pictures and are not neutral; of nested settings each by
    itself."""
    found: dict[str, Any] = {}
    for column in type(row).model_fields if columns is None else columns:
        if column in NOT_IN_PICTURES:
            continue
        value = getattr(row, column)
        if isinstance(value, BaseModel):
            prefix = f"{column}."
            found |= {prefix + name: it for name, it in differing(value, NEUTRAL, prefix).items()}
        elif column not in NEUTRAL or NEUTRAL[column] != value:
            found[column] = value
    return found

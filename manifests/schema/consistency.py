"""What of a row's columns goes together: a value may be wrong because of another one."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from manifests.schema import camera
from manifests.schema.base import SettingsError
from manifests.schema.effort import Computed, check_effort
from manifests.schema.hold import HOLD_LIMITS, HoldSettings
from manifests.schema.keyframes import Keyframes, uses_frames, uses_steps
from manifests.schema.limits import check_values, check_within
from manifests.schema.palette import colours_in
from manifests.schema.renew import RENEW_LIMITS, RenewSettings
from manifests.schema.scenes import PromptError, order_scenes
from manifests.schema.settings import CUTOUT_LIMITS, LOSS_LIMITS, LossSettings
from manifests.schema.source import SOURCE_LIMITS, check_source
from manifests.schema.texts import short

if TYPE_CHECKING:
    from manifests.schema.row import ManifestRow

__all__ = ["check_consistent", "limited_columns"]

# Columns whose values may change from step to step.
_WITHIN_FRAMES = frozenset(f"cutouts.{name}" for name in CUTOUT_LIMITS)


def check_consistent(row: ManifestRow, given: Collection[str]) -> None:
    """Raise SettingsError where columns of `row` contradict each other, or a value in time is not what it may be;
    `given` are those that its author wrote."""
    _check_story(row)
    _check_travel(row, given)
    _check_loop(row)
    _check_continues(row)
    _check_values(row, given)
    _check_warm(row)
    _check_palette(row)
    _check_hold(row)
    _check_mask(row)
    _check_regions(row)
    if "source" in given:
        check_source(row, given)


def _check_story(row: ManifestRow) -> None:
    if (row.prompt is None) == (row.prompts is None):
        state = "neither is" if row.prompt is None else "both are"
        raise SettingsError("prompt", f"give either 'prompt' or 'prompts', not both; here {state} given")
    if row.prompts is not None:
        try:
            order_scenes(row.prompts)
        except PromptError as error:
            raise SettingsError("prompts", str(error)) from error
    if row.prompts is not None or ":" in (row.prompt or ""):
        last = row.own_scenes[-1].at
        if last >= row.frames and not row.length_unknown:
            raise SettingsError(
                "frames",
                f"a scene starts at frame {last}, but the video ends with frame {row.frames - 1}; "
                f"give it more frames, or an earlier scene",
            )
    if row.prefix is not None or row.suffix is not None:
        try:
            _ = row.scenes
        except PromptError as error:
            raise SettingsError("prefix" if row.suffix is None else "suffix", str(error)) from error


def _check_values(row: ManifestRow, given: Collection[str]) -> None:
    computed: list[Computed] = []
    for value in row.changing_values():
        try:
            value.check(row.timeline)
        except ValueError as error:
            raise SettingsError(value.column, f"{value.name}: {error}") from error
        computed.append(Computed(value.column, value.name, value.text, len(value.shown)))
    for name, text, (low, high) in _limited(row, given):
        try:
            # the camera of a loop moves on to its first frame
            check_values(text, row.frames + row.loop, row.timeline, low, high)
            if name in _WITHIN_FRAMES:
                check_within(text, row.timeline, low, high)
        except ValueError as error:
            raise SettingsError(name, str(error)) from error
        many = row.frames
        if name in _WITHIN_FRAMES and uses_steps(text):
            many = row.steps_first + (row.frames if uses_frames(text) else 2) * row.steps
        computed.append(Computed(name, name, text, many))
    check_effort(computed, row.timeline)


def limited_columns(row: ManifestRow, given: Collection[str]) -> Iterator[str]:
    """Yield what columns say that were given and may change in time."""
    return (text for _, text, _ in _limited(row, given))


def _limited(row: ManifestRow, given: Collection[str]) -> Iterator[tuple[str, str, tuple[float, float]]]:
    """Yield the columns that were given and change in time, each with its text and its limits."""
    for name, limits in camera.CAMERA_LIMITS.items():
        if name in given:
            yield name, getattr(row, name), limits
    for name in row.renew.model_fields_set & RENEW_LIMITS.keys() if "renew" in given else ():
        yield f"renew.{name}", getattr(row.renew, name), RENEW_LIMITS[name]
    for name in row.cutouts.model_fields_set & CUTOUT_LIMITS.keys() if "cutouts" in given else ():
        yield f"cutouts.{name}", getattr(row.cutouts, name), CUTOUT_LIMITS[name]
    for name in row.loss.model_fields_set & LOSS_LIMITS.keys() if "loss" in given else ():
        yield f"loss.{name}", getattr(row.loss, name), LOSS_LIMITS[name]
    for name in row.source.model_fields_set & SOURCE_LIMITS.keys() if "source" in given else ():
        yield f"source.{name}", getattr(row.source, name), SOURCE_LIMITS[name]
    for name in row.hold.model_fields_set & HOLD_LIMITS.keys() if "hold" in given else ():
        yield f"hold.{name}", getattr(row.hold, name), HOLD_LIMITS[name]


def _check_travel(row: ManifestRow, given: Collection[str]) -> None:
    if not row.travel:
        if row.travel_hold:
            raise SettingsError("travel_hold", "travel_hold waits on the way of travel, which is off; set travel")
        return
    if len(row.scenes) == 1:
        raise SettingsError("travel", "travel goes from scene to scene, but there is one scene; give it another")
    if "crossfade" in given or any(scene.crossfade is not None for scene in row.scenes):
        raise SettingsError(
            "travel", "travel and crossfade exclude each other: with travel the way between two keys is the fade"
        )


def _check_warm(row: ManifestRow) -> None:
    if row.warm.start != "codes":
        return
    for name in RENEW_LIMITS:
        text = getattr(row.renew, name)
        neutral = RenewSettings.model_fields[name].default
        # a column of floats has 0.0 in the rows that renew nothing
        if text != neutral and Keyframes.parse(text, row.timeline).constant != float(neutral):
            raise SettingsError(
                f"renew.{name}",
                f"renew.{name} '{short(text)}' mends the moved picture, but with warm.start codes no frame starts "
                "from it: leave out one of them",
            )


def _check_palette(row: ManifestRow) -> None:
    weight = row.loss.palette
    if weight == LossSettings.model_fields["palette"].default or colours_in(row.loss.palette_colours):
        return
    if Keyframes.parse(weight, row.timeline).constant != 0.0:
        raise SettingsError(
            "loss.palette_colours",
            f"loss.palette '{short(weight)}' draws the picture to colours, but no palette_colours are given: name "
            "some, such as '#102030 #ffcc00'",
        )


def _check_hold(row: ManifestRow) -> None:
    weight = row.hold.init
    if weight == HoldSettings.model_fields["init"].default or row.init_image is not None:
        return
    if Keyframes.parse(weight, row.timeline).constant != 0.0:
        raise SettingsError(
            "hold.init",
            f"hold.init '{short(weight)}' holds frames to init_image, but none is given: name a picture, or leave out "
            "hold.init (hold.picture holds frames to the one before)",
        )


def _check_mask(row: ManifestRow) -> None:
    if row.mask is None:
        if row.mask_moves:
            raise SettingsError("mask_moves", "mask_moves lets a mask go with the camera, but no mask is given")
        return
    if row.init_image is None and row.continues is None and row.source.video is None:
        raise SettingsError(
            "mask",
            "a mask keeps parts of what a video begins with, but it begins with nothing: give it an init_image or "
            "source.video, or let it continue another one",
        )
    if row.mask_moves and row.source.video is not None:
        raise SettingsError(
            "mask_moves",
            "a mask goes with the camera, but with source.video the film moves and no camera: leave out one of them",
        )
    if row.mask_moves and row.depth.shape != "plane":
        raise SettingsError(
            "mask_moves",
            f"a mask goes with a camera before a plane, but depth.shape is {row.depth.shape}: leave out one of them",
        )


def _check_regions(row: ManifestRow) -> None:
    for number, region in enumerate(row.regions or ()):
        last = region.scenes[-1].at
        if last >= row.frames and not row.length_unknown:
            raise SettingsError(
                f"regions[{number}].prompts",
                f"a scene of the region starts at frame {last}, but the video ends with frame {row.frames - 1}: give "
                "it more frames, or an earlier scene",
            )
        if region.moves and row.depth.shape != "plane":
            raise SettingsError(
                f"regions[{number}].moves",
                f"a region goes with a camera before a plane, but depth.shape is {row.depth.shape}: leave out one of "
                "them",
            )
        if region.moves and row.source.video is not None:
            raise SettingsError(
                f"regions[{number}].moves",
                "a region goes with the camera, but with source.video the film moves and no camera: leave out one of "
                "them",
            )
    if row.regions:
        try:
            _ = row.region_scenes
        except PromptError as error:
            raise SettingsError("prefix" if row.suffix is None else "suffix", str(error)) from error


def _check_loop(row: ManifestRow) -> None:
    if row.loop and row.depth.shape != "plane":
        among = "what a depth model finds" if row.depth.shape == "model" else f"a {row.depth.shape}"
        raise SettingsError(
            "loop",
            f"the last frames of a loop are led back to its first, but a camera's way through {among} "
            "(depth.shape) can't be taken back: choose one of them, or depth.shape plane",
        )
    closing = row.closing(row.handoff)
    if row.frames < 3 * closing and not row.length_unknown:
        raise SettingsError(
            "loop",
            f"the last {closing} frames of a loop lead back to its first, and it takes three times as many at "
            f"least, {3 * closing}; here frames is {row.frames}: give it more, or handoff keyframes with a "
            "smaller keyframe_every",
        )


def _check_continues(row: ManifestRow) -> None:
    parent = row.parent
    if parent is None:
        return
    if parent.video_id == row.video_id:
        raise SettingsError("continues", f"'{row.continues}' is a frame of this very video; name another one's")
    if row.init_image is not None:
        raise SettingsError(
            "continues", "a video that continues another one starts from its frame, but init_image is given too"
        )
    if row.candidates > 1:
        raise SettingsError(
            "continues",
            f"a video that continues another one has one start, its frame, but candidates is {row.candidates}",
        )

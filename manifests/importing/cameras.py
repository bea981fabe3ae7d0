"""Cameras of Deforum and its kin: OpenCV's in the plane, and one that turns and walks before a plane at depth 1, which
is what their 3D warp comes to without a depth model."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Mapping
from functools import partial

from manifests.importing.curves import Curve, baked, is_long
from manifests.importing.draft import Draft
from manifests.importing.moves import shifts_after
from manifests.importing.source import Source
from manifests.schema import KeyframeError
from manifests.schema.texts import short

__all__ = ["AXES_2D", "AXES_3D", "in_plane", "in_space", "read_curve"]

AXES_2D = {"zoom": 1.0, "angle": 0.0, "translation_x": 0.0, "translation_y": 0.0}
AXES_3D = {
    "rotation_3d_x": 0.0, "rotation_3d_y": 0.0, "rotation_3d_z": 0.0, "translation_x": 0.0, "translation_y": 0.0,
    "translation_z": 0.0,
}  # fmt: skip
_SCALE = 200.0  # of their pixels: one of depth, "matches Disco"
_ORDER = "zoomed and turned as well, since nightreel shifts last"
_PLANE = "as before a plane at depth 1"
_EDGES = "the middle goes as there; its edges go further than a turning camera's"


def read_curve(source: Source, draft: Draft, key: str, default: float, names: Mapping[str, str]) -> Curve:
    """The number in time under `key`; one that can't be read is dropped, and `default` taken."""
    value = source.get(key)
    if value is None or value == "":
        return draft.curve(default)
    try:
        return draft.curve(value, dict(names))
    except KeyframeError as error:
        source.account.dropped([key], f"it can't be read: {short(str(error), 300)}")
        return draft.curve(default)


def in_plane(
    source: Source, draft: Draft, names: Mapping[str, str], size: tuple[float, float],
    axes: Mapping[str, str] | None = None, centre: tuple[str, str] | None = None,
) -> None:  # fmt: skip
    """Say a camera in the plane: zoom, angle, and a shift before them. `axes` are the source's keys for them."""
    keys = axes or {it: it for it in AXES_2D}
    zoom, angle, x, y = (read_curve(source, draft, keys[it], AXES_2D[it], names) for it in AXES_2D)
    _say(source, draft, "zoom", zoom, 1.0, keys["zoom"])
    _say(source, draft, "angle", angle, 0.0, keys["angle"])
    pivot = _pivot(source, draft, names, centre)
    own = pivot is not None and not all(it.is_always(0.5) for it in pivot)
    moved = None
    if own and pivot is not None and centre is not None:
        if draft.knows("centre_x") and draft.knows("centre_y"):
            for column, curve, key in zip(("centre_x", "centre_y"), pivot, centre, strict=True):
                _say(source, draft, column, curve, 0.5, key)
        else:
            moved = tuple(_pixels(it, side) for it, side in zip(pivot, size, strict=True))
            source.account.approximated(source.has(*centre), "translate_x, translate_y: the shift that it comes to")
    elif centre is not None:
        source.account.mapped(source.has(*centre), "the middle, as here")
    try:
        say = partial(source.account.approximated, source.has(keys["translation_x"], keys["translation_y"]))
        both = shifts_after(zoom, angle, x, y, draft.frames, moved, say)  # type: ignore[arg-type]
    except KeyframeError as error:
        source.drop([keys["translation_x"], keys["translation_y"]], f"the shift can't be written: {error}")
        return
    for column, text, axis, curve in zip(
        ("translate_x", "translate_y"), both, ("translation_x", "translation_y"), (x, y), strict=True
    ):
        rule = _ORDER if text not in (curve.text, "0") else ""
        if text != "0" or keys[axis] in source:
            _put(source, draft, column, text, keys[axis], rule, exact=True)


def _pixels(share: Curve, side: float) -> Curve:
    """A place in a picture, as a share of its side, in pixels from the middle."""
    text = f"(({share.single}) - .5)*{side:g}" if share.single is not None else None
    if text is None or is_long(text):
        frames = share.timeline.frames
        text = baked(lambda at: (share.at(at) - 0.5) * side, frames)
    return Curve(text, share.timeline)


def _pivot(
    source: Source, draft: Draft, names: Mapping[str, str], centre: tuple[str, str] | None
) -> tuple[Curve, Curve] | None:
    if centre is None or not source.has(*centre):
        return None
    return read_curve(source, draft, centre[0], 0.5, names), read_curve(source, draft, centre[1], 0.5, names)


def _say(source: Source, draft: Draft, column: str, curve: Curve, neutral: float, key: str) -> None:
    """Say a curve by a column; one that changes nothing is not written."""
    if source.account.fate(key) == "dropped":  # it could not be read
        return
    if curve.is_always(neutral):
        source.account.mapped(source.has(key), f"{column} {neutral:g}, as without it")
        return
    _put(source, draft, column, curve.text, key, "")


def _put(source: Source, draft: Draft, column: str, text: str, key: str, rule: str, *, exact: bool = False) -> None:
    remainder = "of negative numbers % has the other sign here" if "%" in str(source.get(key, "")) else ""
    if text == "0":
        if source.account.fate(key) is None:
            source.account.mapped(source.has(key), f"{column} 0, as without it")
        return
    if draft.put(column, text, *source.has(key), rule=remainder) and exact and rule:
        draft.notes[column] = rule
        if not remainder:
            source.account.mapped(source.has(key), f"{column}, {rule}")


def in_space(
    source: Source, draft: Draft, names: Mapping[str, str], size: tuple[float, float],
    axes: Mapping[str, str] | None = None, fov: tuple[str, float] = ("fov_schedule", 70.0),
) -> None:  # fmt: skip
    """Say a camera in space: turns, and steps before a plane at depth 1, as Deforum computes it without a depth model:
    there a picture grows by 1/(1 - (1/(1 - z/200) - 1)/tan(fov/2)), and shifts by x/200/tan(fov/2) of its half side.

    It samples a point `p`, from -1 to 1, at `p - (R*p - p)/tan(fov/2)`: a turn `R` about the axis of view turns by more
    than it says below 90 degrees of view, and makes the picture a little smaller. Turns to the side and up are those of
    a true camera in the middle, and go further at the edges there."""
    keys = axes or {it: it for it in AXES_3D}
    curves = {it: read_curve(source, draft, keys[it], AXES_3D[it], names) for it in AXES_3D}
    view = read_curve(source, draft, fov[0], fov[1], names)
    for axis, column in (("rotation_3d_y", "pan"), ("rotation_3d_x", "tilt")):
        _say(source, draft, column, curves[axis], 0.0, keys[axis])
        if column in draft.columns:
            source.account.approximated(source.has(keys[axis]), _EDGES)
    if "pan" in draft.columns or "tilt" in draft.columns:
        _say(source, draft, "field_of_view", view, 60.0, fov[0])

    def lens(at: int) -> float:
        return math.tan(math.radians(min(179.0, max(1.0, view.at(at)))) / 2)

    def grows(at: int) -> float:
        left = 1.0 - min(0.99, max(-100.0, curves["translation_z"].at(at) / _SCALE))
        rest = 1.0 - (1.0 / left - 1.0) / lens(at)
        return 1.0 / rest if rest > 0.01 else 100.0

    def turned(at: int) -> complex:
        # what a point to the right is sampled at, as a number of the plane, y up
        turn = math.radians(curves["rotation_3d_z"].at(at))
        return complex(1 + (1 - math.cos(turn)) / lens(at), -math.sin(turn) / lens(at))

    shifts = {
        # the camera steps to the right and up, so the picture goes to the left and down
        "translate_x": ("translation_x", lambda at: -curves["translation_x"].at(at) / _SCALE / lens(at) * size[0] / 2),
        "translate_y": ("translation_y", lambda at: curves["translation_y"].at(at) / _SCALE / lens(at) * size[1] / 2),
    }
    made = {
        "angle": (("rotation_3d_z",), lambda at: -math.degrees(cmath.phase(turned(at)))),
        "zoom": (("translation_z", "rotation_3d_z"), lambda at: grows(at) / abs(turned(at))),
        **{column: ((axis,), value) for column, (axis, value) in shifts.items()},
    }
    for column, (of, value) in made.items():
        given = [axis for axis in of if keys[axis] in source and source.account.fate(keys[axis]) != "dropped"]
        moving = [axis for axis in given if not curves[axis].is_always(0.0)]
        still = [keys[axis] for axis in given if axis not in moving and axis == of[0]]
        source.account.mapped(source.has(*still), f"{column}, as without it")
        if not moving:
            continue
        named = [keys[axis] for axis in moving]
        try:
            parts = [*(curves[axis] for axis in moving), view]
            text = _in_time(value, parts, draft.frames, partial(source.account.approximated, named))
        except KeyframeError as error:
            source.drop(named, f"it can't be written: {short(str(error), 300)}")
            continue
        draft.put(column, text, *named, rule=_PLANE)
    if source.account.fate(fov[0]) is None:
        source.account.approximated(source.has(fov[0]), "zoom, translate_x, translate_y are computed with it")


def _in_time(value: object, parts: list[Curve], frames: int, say: Callable[[str], object]) -> str:
    """A column's text for what is computed of `parts`: one number where all are constant, else frame by frame."""
    assert callable(value)
    if all(it.constant is not None for it in parts):
        return baked(value, 1)
    return baked(value, frames, say)

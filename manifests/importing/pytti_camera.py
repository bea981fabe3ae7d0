"""The camera of pytti's settings, in a plane and in space."""

from __future__ import annotations

import math
from collections.abc import Callable

from manifests.importing.cameras import read_curve
from manifests.importing.curves import Curve, baked
from manifests.importing.draft import Draft
from manifests.importing.moves import shifts_after
from manifests.importing.source import Source
from manifests.schema import KeyframeError
from manifests.schema.texts import short

__all__ = ["BORDERS", "NAMES", "read_camera"]

#: Its formulas count seconds; so do these.
NAMES = {"t": "s"}
BORDERS = {"mirror": "reflect", "wrap": "wrap", "black": "black", "smear": "replicate", "clamp": "replicate"}


def read_camera(source: Source, draft: Draft, size: tuple[float, float]) -> None:
    """Put the columns of its camera; `size` is that of its pictures, in its pixels."""
    flat, deep = ("rotate_2d", "zoom_x_2d", "zoom_y_2d"), ("rotate_3d", "translate_z_3d", "field_of_view")
    mode = source.text("animation_mode", "off")
    if mode == "2D":
        _plane(source, draft, size)
        source.drop(deep, "it belongs to the mode 3D", shows=False)
    elif mode == "3D":
        _space(source, draft, size)
        source.drop(flat, "it belongs to the mode 2D", shows=False)
    else:
        words = f"in the mode {short(mode, 20)} no camera moves there either"
        source.drop((*flat, *deep, "translate_x", "translate_y", "infill_mode"), words, shows=False)
    if "animation_mode" in source and source.account.fate("animation_mode") is None:
        source.account.mapped(["animation_mode"], f"the columns of {short(mode, 20)}")
    if mode in ("2D", "3D"):
        value = source.text("infill_mode", "wrap")
        draft.put("border", BORDERS.get(value, "wrap"), *source.has("infill_mode"))


def _plane(source: Source, draft: Draft, size: tuple[float, float]) -> None:
    """Zooms in pixels of a side, degrees, and shifts to the right and up, before the zoom."""
    zoom_x, zoom_y = (read_curve(source, draft, it, 0.0, NAMES) for it in ("zoom_x_2d", "zoom_y_2d"))
    angle = read_curve(source, draft, "rotate_2d", 0.0, NAMES)
    x, up = (read_curve(source, draft, it, 0.0, NAMES) for it in ("translate_x", "translate_y"))
    try:
        both = [_zoom(it, side) for it, side in zip((zoom_x, zoom_y), size, strict=True)]
        y = Curve(f"-({up.single})", up.timeline) if up.single else Curve(
            baked(lambda at: -up.at(at), draft.frames), up.timeline)  # fmt: skip
        same = both[0].text == both[1].text
        if not same:
            same = all(abs(both[0].at(at) - both[1].at(at)) < 1e-9 for at in range(min(2000, draft.frames)))
        if same:
            zoom = both[0]
            _say(source, draft, "zoom", zoom, 1.0, "zoom_x_2d", "zoom_y_2d")
        else:
            zoom = _uneven(source, draft, both)
        _say(source, draft, "angle", angle, 0.0, "rotate_2d")
        shifts = shifts_after(zoom, angle, x, y, draft.frames)
        if "zoom_x" in draft.columns or "zoom_y" in draft.columns:  # by these, too
            shifts = _scaled(shifts[0], both[0]), _scaled(shifts[1], both[1])
    except KeyframeError as error:
        source.drop(("translate_x", "translate_y", "zoom_x_2d", "zoom_y_2d"), f"it can't be written: {error}")
        return
    for column, text, key in zip(("translate_x", "translate_y"), shifts, ("translate_x", "translate_y"), strict=True):
        if text == "0":
            if source.account.fate(key) is None:
                source.account.mapped(source.has(key), f"{column} 0, as without it")
        elif draft.put(column, text, *source.has(key)):
            draft.notes[column] = "zoomed and turned as well, since nightreel shifts last; y is down here"


def _zoom(pixels: Curve, side: float) -> Curve:
    """`side/(side - pixels)`: pixels of the side that go beyond the picture."""
    if pixels.single is not None:
        if pixels.constant is None:
            return Curve(f"{side:g}/({side:g} - ({pixels.single}))", pixels.timeline)
        left = side - pixels.constant
        return Curve(side / left if left else 1.0, pixels.timeline)
    return Curve(baked(lambda at: side / (side - pixels.at(at)), pixels.timeline.frames), pixels.timeline)


def _scaled(shift: str, zoom: Curve) -> str:
    moved = Curve(shift, zoom.timeline)
    return shift if moved.is_always(0.0) else baked(lambda at: moved.at(at) * zoom.at(at), zoom.timeline.frames)


def _uneven(source: Source, draft: Draft, both: list[Curve]) -> Curve:
    """Zooms that differ from axis to axis: by columns of their own, or by their mean."""
    keys = ("zoom_x_2d", "zoom_y_2d")
    if draft.knows("zoom_x") and draft.knows("zoom_y"):
        for column, curve, key in zip(("zoom_x", "zoom_y"), both, keys, strict=True):
            _say(source, draft, column, curve, 1.0, key)
        return draft.curve(1.0)
    mean = Curve(
        baked(lambda at: math.sqrt(max(1e-6, both[0].at(at) * both[1].at(at))), draft.frames), both[0].timeline
    )
    draft.put("zoom", mean.text, *source.has(*keys), rule="the mean of both axes: nightreel has no zoom per axis yet")
    return mean


def _say(source: Source, draft: Draft, column: str, curve: Curve, neutral: float, *keys: str) -> None:
    wanted = [it for it in source.has(*keys) if source.account.fate(it) != "dropped"]
    if curve.is_always(neutral):
        source.account.mapped(wanted, f"{column} {neutral:g}, as without it")
    else:
        draft.put(column, curve.text, *wanted)


def _space(source: Source, draft: Draft, size: tuple[float, float]) -> None:
    """A turn by a quaternion, and steps before a plane as far as the lens is long."""
    rule = "as before a plane: nightreel has no depth model yet"
    view = source.number("field_of_view", 60, 10, 150)
    far = size[1] / 2 / math.tan(math.radians(view) / 2)
    try:
        turn = _quaternion(source, draft)
    except KeyframeError as error:
        source.drop(["rotate_3d"], f"it can't be read: {short(str(error), 200)}")
        turn = None
    if turn is not None:
        _turn(source, draft, turn, view)
    for column, key, sign in (("translate_x", "translate_x", 1), ("translate_y", "translate_y", -1)):
        curve = read_curve(source, draft, key, 0.0, NAMES)
        if curve.is_always(0.0):
            if source.account.fate(key) is None:
                source.account.mapped(source.has(key), f"{column} 0, as without it")
            continue
        _computed(source, draft, column, lambda at, it=curve, by=sign: by * it.at(at), [curve], key, rule)  # type: ignore[misc]
    walk = read_curve(source, draft, "translate_z_3d", 0.0, NAMES)
    if walk.is_always(0.0):
        if source.account.fate("translate_z_3d") is None:
            source.account.mapped(source.has("translate_z_3d"), "as without it")
    elif draft.knows("dolly"):
        draft.put("dolly", walk.text, *source.has("translate_z_3d"), rule=rule)
    else:
        _computed(
            source, draft, "zoom", lambda at: far / max(far / 100, far - walk.at(at)), [walk], "translate_z_3d", rule
        )
    if source.account.fate("field_of_view") is None:
        source.account.approximated(source.has("field_of_view"), "zoom is computed with it")


def _computed(
    source: Source, draft: Draft, column: str, value: Callable[[int], float], parts: list[Curve], key: str, rule: str
) -> None:
    try:
        text = baked(value, 1 if all(it.constant is not None for it in parts) else draft.frames)
    except KeyframeError as error:
        source.drop([key], f"it can't be written: {short(str(error), 200)}")
        return
    draft.put(column, text, *source.has(key), rule=rule)


def _quaternion(source: Source, draft: Draft) -> list[Curve] | None:
    """The four parts of `[w, x, y, z]`, each a formula."""
    value = source.get("rotate_3d", "[1, 0, 0, 0]")
    if isinstance(value, list):
        parts = [str(it) for it in value]
    else:
        text = str(value).strip()
        if not (text.startswith("[") and text.endswith("]")):
            raise KeyframeError("it is no list of four")
        parts = _parts(text[1:-1])
    if len(parts) != 4:
        raise KeyframeError(f"it has {len(parts)} parts, and a turn has four")
    return [draft.curve(it, NAMES) for it in parts]


def _parts(text: str) -> list[str]:
    """A list cut at the commas outside brackets."""
    parts, depth = [""], 0
    for sign in text:
        depth += (sign == "(") - (sign == ")")
        if sign == "," and not depth:
            parts.append("")
        else:
            parts[-1] += sign
    return parts


def _turn(source: Source, draft: Draft, parts: list[Curve], view: float) -> None:
    """The angles of a small turn: twice the shares of its axes."""

    def degrees(number: int) -> Callable[[int], float]:
        def at_frame(at: int) -> float:
            w, x, y, z = (it.at(at) for it in parts)
            axis = math.sqrt(x * x + y * y + z * z)
            if axis == 0.0:
                return 0.0
            return math.degrees(2 * math.atan2(axis, w)) * (x, y, z)[number] / axis

        return at_frame

    rule = "the angles of its axes, one after the other"
    any_turn = False
    for column, number in (("tilt", 0), ("pan", 1), ("angle", 2)):
        constant = all(it.constant is not None for it in parts)
        try:
            text = baked(degrees(number), 1 if constant else draft.frames)
        except KeyframeError as error:
            source.drop(["rotate_3d"], f"it can't be written: {short(str(error), 200)}")
            return
        if text in ("0", "-0"):
            continue
        any_turn = True
        if draft.put(column, text, *source.has("rotate_3d"), rule=rule) and column != "angle" and view != 60:
            draft.put("field_of_view", f"{view:g}", *source.has("field_of_view"))
    if not any_turn:
        source.account.mapped(source.has("rotate_3d"), "as without it")

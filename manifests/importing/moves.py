"""The order of moves. nightreel zooms and turns about the middle, and then shifts: `p' = zoom*R*p + shift`. Deforum,
Disco and chigozienri's notebook multiply OpenCV's rotation with a translation, and pytti samples alike:
`p' = zoom*R*(p + shift)`. So the shift of a row is theirs, zoomed and turned (FEATURES.md, 3.1)."""

from __future__ import annotations

import math
from collections.abc import Callable

from manifests.importing.curves import Curve, baked, is_long
from manifests.schema.expressions import KeyframeError

__all__ = ["shifts_after"]


def shifts_after(
    zoom: Curve, angle: Curve, x: Curve, y: Curve, frames: int, centre: tuple[Curve, Curve] | None = None,
    say: Callable[[str], object] | None = None,
) -> tuple[str, str]:  # fmt: skip
    """`translate_x` and `translate_y` of a row that moves as `zoom*R*(p + (x, y))` does; degrees counter-clockwise, y
    down. `centre` is where it zooms and turns, in pixels from the middle, if that is not the middle itself.

    One expression each where all parts are single expressions; otherwise keyframes that are baked frame by frame, of
    which `say` hears where they are thinned.

    Raises:
        KeyframeError: they can't be baked, or have no value at a frame.
    """
    if centre is None:
        if x.is_always(0.0) and y.is_always(0.0):
            return "0", "0"
        if angle.is_always(0.0) and zoom.is_always(1.0):
            return x.text, y.text
        if (written := _expressions(zoom, angle, x, y)) is not None:
            return written

    def shifted(at: int) -> tuple[float, float]:
        z, a = zoom.at(at), math.radians(angle.at(at))
        cos, sin = z * math.cos(a), z * math.sin(a)
        u, v = x.at(at), y.at(at)
        p, q = (centre[0].at(at), centre[1].at(at)) if centre is not None else (0.0, 0.0)
        # zoom*R*(p - c + shift) + c
        return cos * (u - p) + sin * (v - q) + p, cos * (v - q) - sin * (u - p) + q

    found = [shifted(at) for at in range(frames)]
    return baked([it[0] for it in found], frames, say), baked([it[1] for it in found], frames, say)


def _expressions(zoom: Curve, angle: Curve, x: Curve, y: Curve) -> tuple[str, str] | None:
    singles = [it.single for it in (zoom, angle, x, y)]
    if None in singles:
        return None
    z, a, u, v = (f"({it})" for it in singles)
    z = "" if zoom.is_always(1.0) else f"{z}*"
    if angle.is_always(0.0):
        made = (_product(z, u, x), _product(z, v, y))
    else:
        cos, sin = f"cos({a}*pi/180)", f"sin({a}*pi/180)"
        made = (_sum(z, cos, u, x, "+", sin, v, y), _sum(z, cos, v, y, "-", sin, u, x))
    if any(map(is_long, made)):
        return None
    try:
        for text in made:
            Curve(text, zoom.timeline)
    except KeyframeError:  # nested too deeply, or without a value at a frame: then the frames themselves say so
        return None
    return made


def _product(zoom: str, text: str, curve: Curve) -> str:
    if curve.is_always(0.0):
        return "0"
    return f"{zoom}{text}" if zoom else curve.text


def _sum(zoom: str, one: str, u: str, x: Curve, sign: str, other: str, v: str, y: Curve) -> str:
    parts = [] if x.is_always(0.0) else [f"{one}*{u}"]
    if not y.is_always(0.0):
        parts.append(f"{sign} {other}*{v}" if parts else f"{'-' if sign == '-' else ''}{other}*{v}")
    return f"{zoom}({' '.join(parts)})" if parts else "0"

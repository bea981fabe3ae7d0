"""What the axes of a camera come to from one frame to the next: one homography.

In this order: the picture, in its plane, is sheared, made larger, turned, all about the centre that the row names, and
shifted; the plane tips about the picture's middle; the camera comes nearer; and it turns. A camera that turns about
itself sees a homography of what it saw, whatever the depth of things (Hartley, Zisserman: Multiple View Geometry, 2nd
edition, 2004, section 8.4: `K R K^-1`), and so does one that moves before a plane (section 13.1). The picture is taken
for such a plane, at the distance at which the camera sees just its height.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from renderers.frame_plan.motion import Homography, Motion
from renderers.frame_plan.parallax import Parallax

__all__ = ["FLAT_AXES", "camera_motion"]

FLAT_AXES = ("zoom", "angle", "translate_x", "translate_y")
"""What a camera does that shows no depth: these are always named, the others only where they are not at rest."""

_AT_REST = {
    "zoom": 1.0, "angle": 0.0, "translate_x": 0.0, "translate_y": 0.0, "zoom_x": 1.0, "zoom_y": 1.0, "shear_x": 0.0,
    "shear_y": 0.0, "centre_x": 0.5, "centre_y": 0.5, "pan": 0.0, "tilt": 0.0, "field_of_view": 60.0, "plane_x": 0.0,
    "plane_y": 0.0, "dolly": 0.0,
}  # fmt: skip

Rotation = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]


def camera_motion(
    values: Mapping[str, float], width: float, height: float, shape: str = "plane", model: str = ""
) -> Motion:
    """The motion from one frame to the next of pictures of `width` x `height` pixels, by the values of the axes there.

    Those of `FLAT_AXES` are there; what else is left out is at rest. Where the picture shows another `shape` than a
    plane, the shift and the dolly are moves of the camera among what is near and far, and come before all else; of
    the shape "model" the depth model of digest `model` says what that is.

    Raises:
        ValueError: nothing is left of the picture; in words.
    """
    if len(values) == 4 and shape == "plane":  # `FLAT_AXES`, as most are
        return Homography.of(**values)
    if shape != "plane":
        return _among(shape, model, {**_AT_REST, **values}, width, height)
    return _before_plane({**_AT_REST, **values}, width, height)


def _among(shape: str, model: str, at: Mapping[str, float], width: float, height: float) -> Motion:
    view = _before_plane({**at, "translate_x": 0.0, "translate_y": 0.0, "dolly": 0.0}, width, height)
    shift, nearer = (at["translate_x"], at["translate_y"]), at["dolly"]
    if not (shift[0] or shift[1] or nearer):
        return view
    return Parallax(shape, shift, nearer, _focal(at, height), view, model)


def _focal(at: Mapping[str, float], height: float) -> float:
    """How far away the picture is, in pixels."""
    return height / 2 / math.tan(math.radians(at["field_of_view"]) / 2)


def _before_plane(at: Mapping[str, float], width: float, height: float) -> Homography:
    motion = _in_its_plane(at, (at["centre_x"] - 0.5) * width, (at["centre_y"] - 0.5) * height)
    focal = _focal(at, height)
    if at["plane_x"] or at["plane_y"] or at["dolly"]:
        motion = motion.compose(_tipped(at["plane_x"], at["plane_y"], at["dolly"], focal))
    if at["pan"] or at["tilt"]:
        motion = motion.compose(_turned(at["pan"], at["tilt"], focal))
    return motion


def _in_its_plane(at: Mapping[str, float], x: float, y: float) -> Homography:
    """Shear, zoom and turn about the point `(x, y)`, in pixels from the middle, and then the shift."""
    shift_x, shift_y = at["translate_x"], at["translate_y"]
    if at["zoom_x"] == at["zoom_y"] == 1.0 and not (at["shear_x"] or at["shear_y"]):
        flat = Homography.of(at["zoom"], at["angle"], shift_x, shift_y)
    else:
        turn = math.radians(at["angle"])
        cos, sin = math.cos(turn), math.sin(turn)
        wider, higher = at["zoom"] * at["zoom_x"], at["zoom"] * at["zoom_y"]
        aside, up = math.tan(math.radians(at["shear_x"])), math.tan(math.radians(at["shear_y"]))
        # one shear after the other, so that no two of them leave a line of the picture; y points down
        a, b, c, d = wider * (1.0 + aside * up), -wider * aside, -higher * up, higher
        flat = Homography(
            (cos * a + sin * c, cos * b + sin * d, shift_x, cos * c - sin * a, cos * d - sin * b, shift_y, 0, 0, 1)
        )
    if not (x or y):
        return flat
    a, b, shift_x, c, d, shift_y, *_ = flat.entries
    # what stands still is this point instead of the middle
    return Homography((a, b, shift_x + (x - (a * x + b * y)), c, d, shift_y + (y - (c * x + d * y)), 0, 0, 1))


def _tipped(up: float, right: float, nearer: float, focal: float) -> Homography:
    """The plane tips about the picture's middle, its upper and its right edge away, and the camera comes `nearer`."""
    if nearer >= focal:
        raise ValueError(
            f"dolly {nearer:g} takes the camera to the picture or through it, which lies {focal:.6g} pixels away "
            "(height / 2 / tan(field_of_view / 2)): let it stay below"
        )
    turn = _rotation(-up, -right)
    (a, b, _), (c, d, _), (g, h, _) = turn
    return Homography((focal * a, focal * b, 0, focal * c, focal * d, 0, g, h, focal - nearer))


def _turned(right: float, up: float, focal: float) -> Homography:
    """The camera turns about itself."""
    (a, b, c), (d, e, f), (g, h, i) = _rotation(-up, -right)
    return Homography((a, b, c * focal, d, e, f * focal, g / focal, h / focal, i))


def _rotation(x: float, y: float) -> Rotation:
    """So many degrees about the axes x (to the right) and y (down), at once: about the axis between them, so that the
    opposite angles take it back (Rodrigues' formula)."""
    degrees = math.hypot(x, y)
    if not degrees:
        return (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
    x, y = x / degrees, y / degrees
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    rest = 1.0 - cos
    return (
        (cos + rest * x * x, rest * x * y, sin * y),
        (rest * x * y, cos + rest * y * y, -sin * x),
        (-sin * y, sin * x, cos),
    )

"""Columns of a row that say what form its pictures have: tiles, mirror images, the shape of a picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import Field

from manifests.schema.base import SettingsError
from manifests.schema.camera import CAMERA_LIMITS
from manifests.schema.keyframes import Keyframes
from manifests.schema.neutral import NO_PICTURE, Neutral
from manifests.schema.texts import short

if TYPE_CHECKING:
    from manifests.schema.row import ManifestRow

__all__ = ["SizeFrom", "Symmetry", "Tile", "check_form", "moving_axes"]

Tile: TypeAlias = Annotated[
    Literal["none", "x", "y", "xy"],
    Neutral("none"),
    Field(
        description="Pictures that can be laid side by side without a seam: across (x), one above the other (y), or "
        "both. What the camera uncovers is the other side then (border wrap)."
    ),
]
Symmetry: TypeAlias = Annotated[
    Literal["none", "x", "y", "both"],
    Neutral("none"),
    Field(
        description="Mirror images, to the pixel: the right half is the left one's (x), the lower the upper one's (y), "
        "or both. The camera rests or zooms. To draw pictures towards it only: loss.mirror_x and mirror_y."
    ),
]

SizeFrom: TypeAlias = Annotated[
    Literal["row", "init_image"],
    NO_PICTURE,  # width and height are, which it comes to
    Field(
        description="Whose shape the frames have: that of width and height, or init_image's, at as many pixels as "
        "width x height are, each side rounded to whole tokens of the model."
    ),
]

# What a camera may do to a tile, and it stays one: after ten frames of zoom 1.04 its seam was five times as steep as
# what lies within (the embedded pair), after ten shifts as steep as that.
_SHIFTS = frozenset({"translate_x", "translate_y"})
# What a camera may do to a mirror image, about its middle, and it stays one.
_EVEN = frozenset({"zoom", "zoom_x", "zoom_y", "dolly", "field_of_view"})


def check_form(row: ManifestRow, given: set[str]) -> None:
    """Raise SettingsError where the form of a row's pictures does not go with its camera, its mask or its film; `given`
    are the columns that its author wrote."""
    if row.size_from == "init_image" and row.init_image is None:
        raise SettingsError(
            "size_from", "size_from init_image gives frames the shape of init_image, but none is given: name a picture"
        )
    if row.tile != "none":
        _check_tile(row, given)
    if row.symmetry != "none":
        _check_symmetry(row)


def moving_axes(row: ManifestRow) -> Iterator[str]:
    """Yield the columns of a row's camera that are not at rest."""
    for axis in CAMERA_LIMITS:
        text, rest = getattr(row, axis), type(row).model_fields[axis].default
        if text != rest and Keyframes.parse(text, row.timeline).constant != float(rest):
            yield axis


def _check_tile(row: ManifestRow, given: set[str]) -> None:
    if row.regions:
        raise SettingsError(
            "tile", f"tile {row.tile} draws pictures without a seam, but regions end at their edges: leave out one"
        )
    if row.source.video is not None:
        raise SettingsError(
            "tile", f"tile {row.tile} draws pictures without a seam, but those of source.video have one: leave out one"
        )
    axes = list(moving_axes(row))
    for axis in axes:
        if axis not in _SHIFTS:
            raise SettingsError(
                "tile",
                f"tile {row.tile} draws pictures without a seam, but with {axis} '{short(getattr(row, axis))}' the "
                "camera shows parts of them, which have one: it may only shift (translate_x, translate_y); or leave "
                "out tile",
            )
    if row.depth.shape != "plane":
        raise SettingsError(
            "tile",
            f"tile {row.tile} draws pictures without a seam, but depth.shape {row.depth.shape} moves their parts "
            "apart: leave out one of them",
        )
    if not axes:
        return
    axis = axes[0]
    if "border" in given and row.border != "wrap":
        raise SettingsError(
            "border",
            f"tile {row.tile} draws pictures that go on at their other side, but the camera moves ({axis} "
            f"'{short(getattr(row, axis))}') over border {row.border}: leave out border, or give wrap",
        )
    row.__dict__["border"] = "wrap"


def _check_symmetry(row: ManifestRow) -> None:
    mirrored = f"symmetry {row.symmetry} draws mirror images"
    if row.regions:
        raise SettingsError("symmetry", f"{mirrored}, but regions draw their own parts: leave out one of them")
    if row.source.video is not None:
        raise SettingsError("symmetry", f"{mirrored}, but the pictures of source.video are none: leave out one of them")
    if row.mask is not None:
        raise SettingsError("symmetry", f"{mirrored}, but a mask keeps a picture as it is: leave out one of them")
    for axis in moving_axes(row):
        if axis not in _EVEN:
            raise SettingsError(
                "symmetry",
                f"{mirrored}, but with {axis} '{short(getattr(row, axis))}' the camera turns or shifts them: it may "
                "only zoom (zoom, zoom_x, zoom_y, dolly) about the middle; or leave out symmetry",
            )
    if row.depth.shape != "plane":
        raise SettingsError(
            "symmetry", f"{mirrored}, but depth.shape {row.depth.shape} moves their parts apart: leave out one of them"
        )

"""Frames of the shape of a picture: the size of a row whose `size_from` asks for its init_image's."""

from __future__ import annotations

import math

from pydantic import ValidationError

from manifests.schema import ManifestRow
from manifests.schema.describe import wrong_in
from renderers.errors import BadInput
from renderers.frame_plan.resolution import resolve
from renderers.registry import ModelEntry

__all__ = ["shaped"]


def shaped(row: ManifestRow, entry: ModelEntry, size: tuple[int, int]) -> ManifestRow:
    """Return `row`, an unresolved one, with the shape of a picture of `size` (width, height) and as many pixels as it
    would have had, each side a whole number of the model's tokens; its width and height say so, and nothing else.

    Raises:
        BadInput: a side comes to less or more than a frame may have.
    """
    given = row.model_dump(exclude_unset=True)
    given.pop("size_from", None)
    usual = resolve(ManifestRow.model_validate(given), entry)
    area = usual.width * usual.height
    ratio = size[0] / size[1]
    width, height = (
        max(1, round(math.sqrt(area * share) / entry.downsampling)) * entry.downsampling for share in (ratio, 1 / ratio)
    )
    try:
        return ManifestRow.model_validate({**given, "width": width, "height": height})
    except ValidationError as error:
        raise BadInput(
            f"size_from init_image of video '{row.video_id}': a picture of {size[0]} x {size[1]} pixels makes frames "
            f"of {width} x {height}, which may not be ({wrong_in(error)}): give another width and height, whose "
            "product is kept, or crop the picture"
        ) from error

"""Columns of a row that say which part of its pictures may change."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from manifests.schema.neutral import Neutral
from manifests.schema.scenes import Uri

__all__ = ["Mask", "MaskMoves"]

Mask: TypeAlias = Annotated[
    Uri | None,
    Neutral(None),
    Field(
        description="Picture of what may change: white may, black stays as the video begins, and what is transparent "
        "is white; of the shape of the frames. A URI, or a path (from the manifest's folder). It takes an init_image, "
        "a video that this one continues, or source.video, whose own frames stay where it is black."
    ),
]
MaskMoves: TypeAlias = Annotated[
    bool,
    Neutral(False),
    Field(description="The mask goes with the camera, as the picture does; otherwise it stands still in the frame."),
]

"""When a finished video is to be looked at by a person: the nested settings `review`. None of them decides a picture,
so that a limit may be moved after the frames are there."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from manifests.schema.base import Settings
from manifests.schema.neutral import NO_PICTURE

__all__ = ["ReviewSettings"]


class ReviewSettings(Settings):
    """What a frame's scores must not pass: a video with one frame that does is listed as one to review, by the report,
    `nightreel status` and the live page. What is unset here is as the run has it (NIGHTREEL_REVIEW_...)."""

    likeness_below: Annotated[float | None, NO_PICTURE] = Field(
        None,
        ge=-1,
        le=1,
        description="Review a video with a frame whose likeness to what it was drawn to (a mean cosine, -1 to 1) is "
        "below this; without a judge that is its fit.",
    )
    flicker_above: Annotated[float | None, NO_PICTURE] = Field(
        None,
        ge=0,
        le=255,
        description="Review a video with a frame that differs by more than this from the frame before it moved by the "
        "camera, in levels of 255.",
    )
    sharpness_below: Annotated[float | None, NO_PICTURE] = Field(
        None,
        ge=0,
        le=1_000_000,
        description="Review a video with a frame whose sharpness (the variance of the Laplacian of its luma, in levels "
        "of 255) is below this.",
    )
    judge: Annotated[str | None, NO_PICTURE] = Field(
        None,
        min_length=1,
        max_length=200,
        description="Model of the registry whose perceptors measure the likeness, those that did not draw; without one "
        "the perceptors that drew do, on crops of their own, and it is called fit.",
    )

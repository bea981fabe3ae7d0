"""What a frame is held to besides its prompts: the nested settings `hold`."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from manifests.schema.base import Settings
from manifests.schema.keyframe_text import KeyframeText
from manifests.schema.neutral import Neutral
from manifests.schema.texts import did_you_mean, short

__all__ = ["HOLD_LIMITS", "MOST_STAIRS", "HoldSettings", "stairs_of"]

# Weights that may change in time, and between what.
HOLD_LIMITS = dict.fromkeys(("picture", "edges", "latent", "meaning", "init"), (0.0, 1000.0))
MOST_STAIRS = 100

_FADES = ("none", "linear", "inverse")


def stairs_of(fade: str) -> int:
    """The number of stairs in which a hold of this `init_fade` falls; 0 for one that falls otherwise, or not at all."""
    _, _, stairs = fade.partition("steps:")
    return int(stairs) if stairs else 0


def _check_fade(text: str) -> str:
    if text in _FADES:
        return text
    stairs = re.fullmatch(r"steps:\s*(\d{1,9})", text.strip())
    if stairs is None:
        hint = did_you_mean(text, (*_FADES, "steps:5"))
        raise ValueError(
            f"'{short(text)}' is neither none, linear nor inverse, nor a number of stairs such as steps:5"
            + (f"; {hint}" if hint else "")
        )
    number = int(stairs[1])
    if not 1 <= number <= MOST_STAIRS:
        raise ValueError(f"'{short(text)}' asks for {number} stairs; allowed is 1 to {MOST_STAIRS}")
    return f"steps:{number}"


class HoldSettings(Settings):
    """What a frame is held to besides its prompts: its own start, which is the picture of the frame before it moved by
    the camera, and init_image. Weights, each beside the prompts' own."""

    picture: Annotated[KeyframeText, Neutral(0.0, in_time=True)] = Field(
        "0", description="Weight, 0 to 1000, of how far the pixels of a later frame are from its start's."
    )
    edges: Annotated[KeyframeText, Neutral(0.0, in_time=True)] = Field(
        "0",
        description="Weight, 0 to 1000, of how far the edges of a later frame are from its start's; not its colours.",
    )
    latent: Annotated[KeyframeText, Neutral(0.0, in_time=True)] = Field(
        "0", description="Weight, 0 to 1000, of how far the latent of a later frame is from its start's."
    )
    meaning: Annotated[KeyframeText, Neutral(0.0, in_time=True)] = Field(
        "0", description="Weight, 0 to 1000, of how far what a later frame shows is from what its start shows."
    )
    init: Annotated[KeyframeText, Neutral(0.0, in_time=True)] = Field(
        "0", description="Weight, 0 to 1000, of how far each frame, the first among them, is from init_image."
    )
    init_as: Annotated[Literal["picture", "edges", "latent", "meaning"], Neutral("picture", in_time=True)] = Field(
        "picture", description="What of init_image: its pixels, its edges, its latent, or what it shows."
    )
    init_fade: Annotated[
        Annotated[str, Field(max_length=100), AfterValidator(_check_fade)], Neutral("none", in_time=True)
    ] = Field(
        "none",
        description="How that weight falls over the steps of a frame: none, not at all; linear, to 0; inverse, to a "
        "third, a fifth and so on; steps:5, in five stairs, at each of which what the latent has come to takes the "
        "place of init_image and Adam begins anew, as in EleutherAI's MSE notebook.",
        json_schema_extra={"allowed": f"none, linear, inverse, or 1 to {MOST_STAIRS} stairs as in steps:5"},
    )

"""What is done to a moved picture before the next frame begins: the nested settings `renew`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from manifests.schema.base import Settings
from manifests.schema.keyframe_text import KeyframeText
from manifests.schema.neutral import Neutral
from manifests.schema.scenes import Uri
from manifests.schema.texts import did_you_mean, short

__all__ = ["RENEW_LIMITS", "RenewSettings", "names_picture"]

RENEW_LIMITS = {
    "colours": (0.0, 1.0),
    "contrast": (0.5, 1.5),
    "sharpen": (0.0, 2.0),
    "detail": (0.0, 1.0),
    "noise": (0.0, 1.0),
}

_FRAMES = ("first", "scene")


def names_picture(colours_from: str) -> bool:
    """Whether it is the address of a picture."""
    return colours_from not in _FRAMES


def _check_colours_from(text: str) -> str:
    if names_picture(text) and not any(sign in text for sign in "./"):
        hint = did_you_mean(text, _FRAMES)
        raise ValueError(
            f"'{short(text)}' is neither first nor scene, nor the address of a picture, which has an ending or a folder"
            + (f"; {hint}" if hint else "")
        )
    return text


Reference = Annotated[Uri, AfterValidator(_check_colours_from)]


class RenewSettings(Settings):
    """How the picture that a frame starts from is renewed after the camera has moved it: a zoom enlarges what is there,
    again and again, until nothing fine is left to go on with, and the colours drift."""

    colours: Annotated[KeyframeText, Neutral(0.0, in_time=True)] = Field(
        "0",
        description="Share, 0 to 1, of the way by which the colours' means and spreads go back to colours_from's.",
    )
    colours_from: Annotated[Reference, Neutral("scene", in_time=True)] = Field(
        "scene",
        description="Whose colours and detail: those of the first frame; of the frame that first shows the scene "
        "alone; or of a picture, a URI or a path (from the manifest's folder).",
        json_schema_extra={"allowed": "first, scene, or the address of a picture"},
    )
    contrast: Annotated[KeyframeText, Neutral(1.0, in_time=True)] = Field(
        "1", description="Factor, 0.5 to 1.5, of what differs from mid grey."
    )
    sharpen: Annotated[KeyframeText, Neutral(0.0, in_time=True)] = Field(
        "0", description="Strength, 0 to 2, of an unsharp mask: what differs from the picture blurred is added."
    )
    detail: Annotated[KeyframeText, Neutral(0.0, in_time=True)] = Field(
        "0",
        description="Share, 0 to 1, of the way by which the sharpness goes back to colours_from's, by as much of an "
        "unsharp mask, or of a blur, as that takes.",
    )
    noise: Annotated[KeyframeText, Neutral(0.0, in_time=True)] = Field(
        "0", description="Standard deviation, 0 to 1, of noise that gives the perceptor something to see things in."
    )
    grain: Annotated[Literal["white", "fractal"], Neutral("fractal", in_time=True)] = Field(
        "fractal",
        description="What that noise is: each pixel for itself, or brighter and darker spots of all sizes.",
    )

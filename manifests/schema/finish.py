"""The columns of what is done with finished frames, and of sound: how long a video is, what is heard under it, how it
is encoded. None of them decides a picture, but for what schedules hear (manifests/schema/audio.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from manifests.schema import audio, formats
from manifests.schema.base import Settings, SettingsError
from manifests.schema.camera import CAMERA_LIMITS
from manifests.schema.keyframes import Keyframes
from manifests.schema.neutral import NO_PICTURE
from manifests.schema.scenes import Uri
from manifests.schema.texts import short

if TYPE_CHECKING:
    from manifests.schema.row import ManifestRow

__all__ = [
    "UPSCALER_PATTERN",
    "Audio",
    "AudioGain",
    "AudioRelease",
    "AudioStart",
    "Bands",
    "Between",
    "Codec",
    "FinishSettings",
    "Format",
    "HeardInAudio",
    "Quality",
    "Seconds",
    "check_finish",
]  # fmt: skip

Seconds = Annotated[
    audio.Seconds | None,
    NO_PICTURE,
    Field(
        description="Length of the video instead of frames: a number, or audio, for as long as the audio is.",
        json_schema_extra={"allowed": "a number of seconds above 0, or audio"},
    ),
]
Audio = Annotated[
    Uri | None,
    NO_PICTURE,
    Field(
        description="Sound under the video, and what its schedules hear: a file of music, or a film with sound, a URI "
        "or a path (from the manifest's folder)."
    ),
]
AudioStart = Annotated[
    float,
    NO_PICTURE,
    Field(ge=0, le=100_000, description="Seconds of the audio that are left out before the video begins."),
]
AudioGain = Annotated[
    float, NO_PICTURE, Field(ge=-60, le=60, description="Decibels by which the sound under the video is made louder.")
]
AudioRelease = Annotated[
    float,
    NO_PICTURE,
    Field(
        ge=0,
        le=60,
        description="Seconds in which loud, bass, mid, high, onset and bands die away, by a factor of e.",
    ),
]
Bands = Annotated[
    tuple[audio.Band, ...] | None,
    NO_PICTURE,
    Field(max_length=32, description="Bands of frequencies that expressions know besides bass, mid and high."),
]
HeardInAudio = Annotated[
    audio.Heard | None,
    NO_PICTURE,
    Field(description="What was heard in the audio; written when the row is planned."),
]
Format = Annotated[
    formats.VideoFormat,
    NO_PICTURE,
    Field(description="Format of the result; a still is a png unless another is given."),
]
Codec = Annotated[
    formats.VideoCodec | None,
    NO_PICTURE,
    Field(
        description="How the video is encoded: h264, h265 or av1 in an mp4, vp9 or av1 in a webm, prores in a mov; the "
        "first of them unless given."
    ),
]
Quality = Annotated[
    formats.Quality,
    NO_PICTURE,
    Field(description="How much of the pictures is kept by an mp4, webm, mov or webp, at what size."),
]


Between = Literal["none", "blend", "motion"]

MOST_SHOWN = 1_000_000
"""frames of a finished video"""
UPSCALER_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


def _check_smooth(frames: int) -> int:
    if frames not in (0, 3, 5, 7):
        raise ValueError("allowed is 0, 3, 5 or 7")
    return frames


class FinishSettings(Settings):
    """What is done with drawn frames before they are encoded. No frame changes by it."""

    fps: Annotated[float | None, NO_PICTURE] = Field(
        None,
        gt=0,
        le=240,
        description="Frames per second of the finished video, where it is to show more than `fps` are drawn.",
    )
    between: Annotated[Between, NO_PICTURE] = Field(
        "motion",
        description="What finish.fps shows between two drawn frames: none, the first of them again; blend, a cross-"
        "fade; motion, blocks of both moved along, as by ffmpeg's minterpolate.",
    )
    smooth: Annotated[Annotated[int, AfterValidator(_check_smooth)], NO_PICTURE] = Field(
        0,
        json_schema_extra={"allowed": "0, 3, 5 or 7"},
        description="Frames that are averaged into each, its neighbours moved into place by the camera: less flicker, "
        "and less detail.",
    )
    smooth_centre: Annotated[float, NO_PICTURE] = Field(
        0.7,
        ge=0.05,
        le=1,
        description="With finish.smooth, the weight c of the frame itself: a neighbour k frames away has c (1 - c)^k.",
    )
    paste_mask: Annotated[bool, NO_PICTURE] = Field(
        False,
        description="Show what a mask keeps as init_image has it, to the pixel, and not as the model draws it.",
    )
    mask_soften: Annotated[int, NO_PICTURE] = Field(
        8,
        ge=0,
        le=256,
        description="With finish.paste_mask, the pixels over which what is kept fades in, from the mask's edge on.",
    )
    upscaler: Annotated[str | None, NO_PICTURE] = Field(
        None,
        pattern=UPSCALER_PATTERN,
        description="Net that enlarges the frames by `upscale`, instead of Lanczos: see `nightreel models "
        "add-upscaler`.",
        json_schema_extra={"allowed": "the name of an upscaler: 1 to 64 letters, digits, '.', '_' or '-'"},
    )


# Axes of the camera that move the picture, each with the value at which it does not.
MOVING = dict.fromkeys(CAMERA_LIMITS.keys() - {"centre_x", "centre_y", "field_of_view"}, 0.0)
MOVING |= dict.fromkeys(("zoom", "zoom_x", "zoom_y"), 1.0)


def check_finish(row: ManifestRow) -> None:
    """Raise SettingsError where what is to be done with finished frames does not go together."""
    finish = row.finish
    if finish.fps is not None:
        if finish.fps < row.fps:
            raise SettingsError(
                "finish.fps",
                f"finish.fps {finish.fps:g} is below fps {row.fps:g}, at which frames are drawn: it puts frames "
                f"between; for a slower video choose fps {finish.fps:g}",
            )
        shown = row.frames * finish.fps / row.fps
        if row.frames > 1 and shown > MOST_SHOWN:
            raise SettingsError(
                "finish.fps",
                f"finish.fps {finish.fps:g} makes {shown:,.0f} frames of {row.frames:,} drawn at fps {row.fps:g}; at "
                f"most {MOST_SHOWN:,} are shown",
            )
    if finish.smooth and row.depth.shape != "plane":
        raise SettingsError(
            "finish.smooth",
            f"finish.smooth {finish.smooth} moves neighbours into place by the camera, which it can't where "
            f"depth.shape is {row.depth.shape}: leave it out, or choose depth.shape plane",
        )
    if finish.paste_mask:
        _check_paste(row)
    if finish.upscaler is not None and row.upscale == 1 and "upscale" not in row.model_fields_set:
        raise SettingsError(
            "finish.upscaler",
            f"finish.upscaler {finish.upscaler} enlarges, and by how much is not said: give upscale, 2 to 8",
        )


def _check_paste(row: ManifestRow) -> None:
    if row.mask is None or row.init_image is None:
        missing = "mask" if row.mask is None else "init_image"
        raise SettingsError(
            "finish.paste_mask",
            f"finish.paste_mask shows what a mask keeps as init_image has it, but no {missing} is given: name one, or "
            "leave it out",
        )
    if row.mask_moves:
        return
    for axis, still in MOVING.items():
        text = getattr(row, axis)
        if Keyframes.parse(text, row.timeline).constant != still:
            raise SettingsError(
                "finish.paste_mask",
                f"finish.paste_mask pastes init_image where the mask is, but {axis} '{short(text)}' moves what is "
                "under it: set mask_moves, so that both go with the camera, or keep the camera still",
            )

"""The columns of what is done with finished frames, and of sound: how long a video is, what is heard under it, how it
is encoded. None of them decides a picture, but for what schedules hear (manifests/schema/audio.py)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from manifests.schema import audio, formats
from manifests.schema.neutral import NO_PICTURE
from manifests.schema.scenes import Uri

__all__ = [
    "Audio", "AudioGain", "AudioRelease", "AudioStart", "Bands", "Codec", "Format", "HeardInAudio", "Quality",
    "Seconds",
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

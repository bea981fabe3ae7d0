"""What a finished video may be: its formats, their codecs, and what each can hold. How they are encoded:
infra/video/encoding.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from manifests.schema.base import SettingsError

if TYPE_CHECKING:
    from manifests.schema.row import ManifestRow

__all__ = [
    "CODECS",
    "FORMATS_WITH_QUALITY",
    "FORMATS_WITH_SOUND",
    "Quality",
    "VideoCodec",
    "VideoFormat",
    "check_format",
]

VideoFormat = Literal["mp4", "webm", "gif", "png", "mov", "webp"]
VideoCodec = Literal["h264", "h265", "av1", "vp9", "prores"]
Quality = Literal["draft", "good", "best"]

CODECS: Mapping[VideoFormat, tuple[VideoCodec, ...]] = {
    "mp4": ("h264", "h265", "av1"), "webm": ("vp9", "av1"), "mov": ("prores",),
}  # fmt: skip
"""The codecs of each format that has a choice, or could have: the first one is what it has where none is given."""
FORMATS_WITH_SOUND: tuple[VideoFormat, ...] = ("mp4", "webm", "mov")
FORMATS_WITH_QUALITY: tuple[VideoFormat, ...] = ("mp4", "webm", "mov", "webp")


def check_format(row: ManifestRow) -> None:
    """Raise SettingsError where a row asks its format for what that can't hold."""
    codecs = CODECS.get(row.format, ())
    if row.codec is not None and row.codec not in codecs:
        of = [name for name, known in CODECS.items() if row.codec in known]
        has = f"holds {' or '.join(codecs)}" if codecs else "has no choice of codecs"
        raise SettingsError(
            "codec", f"codec {row.codec} is none of a {row.format}, which {has}: choose format {' or '.join(of)}"
        )
    if row.quality != "good" and row.format not in FORMATS_WITH_QUALITY:
        raise SettingsError(
            "quality",
            f"quality {row.quality}: a {row.format} has one quality; levels have {', '.join(FORMATS_WITH_QUALITY)}",
        )
    if row.audio is None or row.length_unknown or row.format in FORMATS_WITH_SOUND:
        return
    what = "a still" if row.frames == 1 and "format" not in row.model_fields_set else f"a {row.format}"
    raise SettingsError(
        "audio", f"{what} holds no sound: leave out audio, or choose format {' or '.join(FORMATS_WITH_SOUND)}"
    )

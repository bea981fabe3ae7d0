"""What a video is encoded as: the table of formats, and an `Encoding`, which is one of them with its settings.

Pure data. To add a format: an entry of `FORMATS`, and its name in the manifest's schema (`VideoFormat`). To add a
column that decides how frames are encoded: the column (marked NO_PICTURE), a field of `Encoding` of the same name whose
default changes nothing, and its effect on the arguments. Keys, seals and the comparison of segments follow from those.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Self

from infra.video.codecs import AV1, FFV1, H264, H265, PRORES, VP9, Codec
from infra.video.errors import EncodingInvalid
from manifests.schema.formats import CODECS, Quality, VideoCodec, VideoFormat
from manifests.schema.row import ManifestRow

__all__ = ["FORMATS", "Encoding", "FileType", "Format", "VideoFormat", "exact_rate", "format_of", "with_sound"]

FASTEST = 1000  # frames a second that any format holds
GREATEST_UPSCALE = 8


@dataclass(frozen=True)
class FileType:
    """How a finished file is named, and its media type for players and object metadata."""

    extension: str
    mime_type: str


@dataclass(frozen=True, kw_only=True)
class Format:
    """How one format is written, and what it can hold."""

    file: FileType
    sequence: FileType | None = None
    """what several frames lie in, where a file of the format itself holds one picture only"""
    codec: Codec | None = None
    """of a segment's stream, where the row names none; None where segments are numbered pictures in a zip"""
    others: Mapping[str, Codec] = field(default_factory=dict)
    """those that a row may name, by their names"""
    join: Literal["copy", "palette", "anew", "pictures"]
    """`copy`: the segments' packets are copied; `palette`: lossless segments are decoded, enlarged and encoded with one
    palette for all frames; `anew`: they are encoded as one picture that moves; `pictures`: the segments' pictures are
    copied under new numbers"""
    container: tuple[str, ...] = ()
    """ffmpeg's options for the finished file of a `copy`; `{timescale}` stands for ticks per second"""
    even_sides: bool = False
    """whether width and height must be even, as with colours stored once for two by two pixels"""
    fastest: int = FASTEST
    """frames per second"""
    exact_times: bool = True
    """whether the container's clock holds every frame's time; otherwise each may be off by one tick"""
    seekable: bool = True
    """whether decoding may begin in the middle"""
    merges: bool = False
    """whether a frame like the one before is none of its own: that one is shown for longer"""
    sound: tuple[str, ...] = ()
    """ffmpeg's options for a sound track; none where files of the format hold no sound"""


FORMATS: dict[VideoFormat, Format] = {
    "mp4": Format(
        file=FileType("mp4", "video/mp4"),
        codec=H264,
        others={"h265": H265, "av1": AV1},
        join="copy",
        container=("-video_track_timescale", "{timescale}", "-movflags", "+faststart", "-f", "mp4"),
        even_sides=True,
        sound=("-c:a", "aac", "-b:a", "192k"),
    ),
    "webm": Format(
        file=FileType("webm", "video/webm"),
        codec=VP9,
        others={"av1": AV1},
        join="copy",
        container=("-f", "webm"),
        even_sides=True,
        exact_times=False,  # 1/1000 s
        sound=("-c:a", "libopus", "-b:a", "160k"),
    ),
    "gif": Format(
        file=FileType("gif", "image/gif"),
        codec=FFV1,  # its palette must see the whole video, so its segments keep every colour
        join="palette",
        fastest=50,  # a delay of 1/100 s is shown as 1/10 s by every browser, so 2/100 s is the shortest honest one
        exact_times=False,  # 1/100 s
        seekable=False,
    ),
    "png": Format(
        file=FileType("png", "image/png"),
        sequence=FileType("zip", "application/zip"),
        join="pictures",
    ),
    "mov": Format(
        file=FileType("mov", "video/quicktime"),
        codec=PRORES,
        join="copy",
        container=("-video_track_timescale", "{timescale}", "-movflags", "+faststart", "-f", "mov"),
        even_sides=True,
        sound=("-c:a", "pcm_s16le"),
    ),
    "webp": Format(
        file=FileType("webp", "image/webp"),
        codec=FFV1,
        join="anew",
        fastest=60,  # 16 ms; browsers show what is shorter than 11 ms for 100
        exact_times=False,  # 1/1000 s
        seekable=False,
        merges=True,
    ),
}


@dataclass(frozen=True)
class Encoding:
    """All that decides how frames become a video: equal encodings give segments that fit together.

    `fps` is compared by the exact rate that it means. A later field needs a default that changes no bytes, so that the
    segments of old outputs keep their keys.

    Raises:
        EncodingInvalid: the format is unknown or can't hold the rate or the codec, or `upscale` is not 1 to 8.
    """

    format: VideoFormat
    fps: float = field(compare=False)
    upscale: int
    codec: VideoCodec | None = None
    """None for the format's own"""
    quality: Quality = "good"
    tile: Literal["none", "x", "y", "xy"] = "none"
    """along which axes a picture that is enlarged goes on at its other side; ffmpeg, which enlarges videos, can't"""
    rate: Fraction = field(init=False)
    """frames per second, exactly"""

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise EncodingInvalid(f"format '{self.format}': must be one of {', '.join(FORMATS)}")
        if not 1 <= self.upscale <= GREATEST_UPSCALE:
            raise EncodingInvalid(f"upscale {self.upscale}: must be 1 to {GREATEST_UPSCALE}")
        codecs = CODECS.get(self.format, ())
        if self.codec is not None and self.codec not in codecs:
            raise EncodingInvalid(f"codec {self.codec}: a {self.format} has {' or '.join(codecs) or 'no choice'}")
        if self.codec in codecs[:1]:
            object.__setattr__(self, "codec", None)  # equal, said or not
        object.__setattr__(self, "rate", exact_rate(self.fps))
        if self.rate > self.spec.fastest:
            others = [name for name, spec in FORMATS.items() if self.rate <= spec.fastest and spec.sequence is None]
            raise EncodingInvalid(
                f"fps {self.fps:g}: a {self.format} holds at most {self.spec.fastest} frames a second; "
                f"use format {' or '.join(others)}"
            )

    @classmethod
    def of(cls, row: ManifestRow) -> Self:
        """Take the encoding that a row asks for: each field is the column of its name, but that frames are shown at
        another rate than they are drawn where `finish.fps` says so, and come enlarged where there is an upscaler."""
        given = {it.name: getattr(row, it.name) for it in fields(cls) if it.init}
        if row.finish.fps is not None and row.frames > 1:
            given["fps"] = row.finish.fps
        if row.finish.upscaler is not None:
            given["upscale"] = 1
        if given["upscale"] == 1 or FORMATS[row.format].join != "pictures":
            given["tile"] = "none"  # it changes no byte then
        return cls(**given)

    @property
    def spec(self) -> Format:
        """The format's entry in the table."""
        return FORMATS[self.format]

    @property
    def codec_used(self) -> Codec | None:
        """What its segments are encoded with; None where they are pictures in a zip."""
        return self.spec.codec if self.codec is None else self.spec.others[self.codec]

    @property
    def rate_text(self) -> str:
        """The rate as text: `24000/1001`."""
        return f"{self.rate.numerator}/{self.rate.denominator}"

    def file_type(self, frames: int) -> FileType:
        """Return the kind of file that so many frames become."""
        return self.spec.sequence if self.spec.sequence is not None and frames > 1 else self.spec.file

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return width and height of the finished video in pixels: enlarged, and even if need be."""
        width, height = width * self.upscale, height * self.upscale
        if self.spec.even_sides:
            width, height = width + width % 2, height + height % 2
        return width, height

    def to_dict(self) -> dict[str, Any]:
        """Describe it for JSON: format, exact rate, upscale, and whatever else is not at its default."""
        further = {
            it.name: getattr(self, it.name)
            for it in fields(self)
            if it.default is not MISSING and getattr(self, it.name) != it.default
        }
        return {"format": self.format, "rate": self.rate_text, "upscale": self.upscale, **further}

    @classmethod
    def from_dict(cls, known: dict[str, Any]) -> Self:
        """Invert `to_dict`. Raises ValueError, KeyError, TypeError or ZeroDivisionError for anything else."""
        given = dict(known)
        return cls(fps=float(Fraction(given.pop("rate"))), **given)

    def describe(self, width: int, height: int) -> str:
        """Describe it for messages, with the size of the pictures: `mp4 512x512 at 24 fps, upscale 1`."""
        named = {"format", "rate"}
        further = ", ".join(f"{name} {value}" for name, value in self.to_dict().items() if name not in named)
        return f"{self.format} {width}x{height} at {float(self.rate):g} fps, {further}"


def format_of(name: str) -> VideoFormat:
    """Return the format of a video by the end of its file's name: `png` is a zip of numbered pictures.

    Raises:
        EncodingInvalid: none has such names.
    """
    suffixes = {f".{(spec.sequence or spec.file).extension}": format for format, spec in FORMATS.items()}
    if (suffix := Path(name).suffix.lower()) not in suffixes:
        raise EncodingInvalid(f"'{name}': a video's name ends in {', '.join(suffixes)}")
    return suffixes[suffix]


def with_sound() -> tuple[VideoFormat, ...]:
    """Return the formats that hold sound."""
    return tuple(name for name, spec in FORMATS.items() if spec.sound)


@lru_cache(1000)
def exact_rate(fps: float) -> Fraction:
    """Find the rational frame rate that a person means: 24 -> 24/1, 12.5 -> 25/2, 23.976 or 23.98 -> 24000/1001 (NTSC).

    Raises:
        EncodingInvalid: the rate is not positive and finite, or lies above 1000.
    """
    if not 0 < fps <= FASTEST:
        raise EncodingInvalid(f"fps {fps}: must be above 0 and at most {FASTEST}")
    for whole in (24, 30, 48, 60, 120, 240):
        # The tolerance admits both habits, three digits (23.976) and two (23.98), and never a neighbour such as 23.95.
        if abs(fps - whole * 1000 / 1001) < 0.005:
            return Fraction(whole * 1000, 1001)
    rate = Fraction(str(fps)).limit_denominator(10_000)
    if rate == 0:
        raise EncodingInvalid(f"fps {fps}: the slowest rate is one frame in 10000 seconds (fps 0.0001)")
    return rate

"""What a video is encoded as: the table of formats, and an `Encoding`, which is one of them with its settings.

Pure data. To add a format: an entry of `FORMATS`, and its name in the manifest's schema (`VideoFormat`). To add a
column that decides how frames are encoded: the column (marked NO_PICTURE), a field of `Encoding` of the same name whose
default changes nothing, and its effect on the arguments. Keys, seals and the comparison of segments follow from those.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, Self

from infra.video.errors import EncodingInvalid
from manifests.schema.row import ManifestRow, VideoFormat

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
    codec: Callable[[Encoding], list[str]] | None = None
    """ffmpeg's options for the stream of a segment; None where segments are numbered pictures in a zip"""
    colours: str = ""
    """ffmpeg's filter from RGB to the colours of the codec, where that needs more than its `-pix_fmt`"""
    join: Literal["copy", "palette", "pictures"]
    """`copy`: the segments' packets are copied; `palette`: lossless segments are decoded, enlarged and encoded with one
    palette for all frames; `pictures`: the segments' pictures are copied under new numbers"""
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
    sound: tuple[str, ...] = ()
    """ffmpeg's options for a sound track; none where files of the format hold no sound"""


# Browsers guess BT.601 for small untagged videos and BT.709 for large ones; convert to and tag as BT.709, always.
_COLOUR_TAGS = ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"]
_YUV420 = "scale=out_color_matrix=bt709:out_range=tv:flags=lanczos+accurate_rnd+full_chroma_int+bitexact,format=yuv420p"


def _x264(encoding: Encoding) -> list[str]:
    """H.264.

    crf 17: where x264 is commonly taken for visually lossless. VQGAN's fine flicker is what higher values smear first,
    and what separates two frames of ours is small; a frame costs a GPU-second, so its bytes are cheap beside it.
    512x512 frames of zooming texture are 1.6 times (with film grain 2.4 times) the size of crf 20.
    bf 0: frames in the order they are shown, so a join can number them. B-frames would save 15 % there, and cost edit
    lists and guessed decode times at every join.
    repeat-headers: each segment brings its own parameter sets, so one from another x264 build plays too.
    """
    return [
        "-c:v", "libx264", "-preset", "medium", "-crf", "17", "-bf", "0", "-g", _group(encoding),
        "-x264-params", "open-gop=0:cpu-independent=1:repeat-headers=1", "-pix_fmt", "yuv420p", *_COLOUR_TAGS,
        "-threads", "1",
    ]  # fmt: skip


def _vp9(encoding: Encoding) -> list[str]:
    """VP9. libvpx's scale ends at 63: 24 has x264's SSIM at crf 17 (.925 beside .926 on grained texture) in 0.6 of its
    size. cpu-used 3 is twice as quick as 1 at the same size."""
    return [
        "-c:v", "libvpx-vp9", "-crf", "24", "-b:v", "0", "-deadline", "good", "-cpu-used", "3", "-row-mt", "0",
        "-tile-columns", "0", "-lag-in-frames", "16", "-g", _group(encoding), "-pix_fmt", "yuv420p", *_COLOUR_TAGS,
        "-threads", "1",
    ]  # fmt: skip


def _ffv1(encoding: Encoding) -> list[str]:
    """FFV1, lossless: each frame by itself, and with a checksum per slice."""
    return ["-c:v", "ffv1", "-level", "3", "-g", "1", "-slicecrc", "1", "-pix_fmt", "bgr0", "-threads", "1"]


def _group(encoding: Encoding) -> str:
    """A key frame at least every 4 seconds keeps seeking quick in a player; every segment begins with one anyway."""
    return str(max(1, round(4 * encoding.rate)))


FORMATS: dict[VideoFormat, Format] = {
    "mp4": Format(
        file=FileType("mp4", "video/mp4"),
        codec=_x264,
        colours=_YUV420,
        join="copy",
        container=("-video_track_timescale", "{timescale}", "-movflags", "+faststart", "-f", "mp4"),
        even_sides=True,
        sound=("-c:a", "aac", "-b:a", "192k"),
    ),
    "webm": Format(
        file=FileType("webm", "video/webm"),
        codec=_vp9,
        colours=_YUV420,
        join="copy",
        container=("-f", "webm"),
        even_sides=True,
        exact_times=False,  # 1/1000 s
        sound=("-c:a", "libopus", "-b:a", "160k"),
    ),
    "gif": Format(
        file=FileType("gif", "image/gif"),
        codec=_ffv1,  # its palette must see the whole video, so its segments keep every colour
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
}


@dataclass(frozen=True)
class Encoding:
    """All that decides how frames become a video: equal encodings give segments that fit together.

    `fps` is compared by the exact rate that it means. A later field needs a default that changes no bytes, so that the
    segments of old outputs keep their keys.

    Raises:
        EncodingInvalid: the format is unknown or can't hold the rate, or `upscale` is not 1 to 8.
    """

    format: VideoFormat
    fps: float = field(compare=False)
    upscale: int
    rate: Fraction = field(init=False)
    """frames per second, exactly"""

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise EncodingInvalid(f"format '{self.format}': must be one of {', '.join(FORMATS)}")
        if not 1 <= self.upscale <= GREATEST_UPSCALE:
            raise EncodingInvalid(f"upscale {self.upscale}: must be 1 to {GREATEST_UPSCALE}")
        object.__setattr__(self, "rate", exact_rate(self.fps))
        if self.rate > self.spec.fastest:
            others = [name for name, spec in FORMATS.items() if self.rate <= spec.fastest and spec.sequence is None]
            raise EncodingInvalid(
                f"fps {self.fps:g}: a {self.format} holds at most {self.spec.fastest} frames a second; "
                f"use format {' or '.join(others)}"
            )

    @classmethod
    def of(cls, row: ManifestRow) -> Self:
        """Take the encoding that a row asks for: each field is the column of its name."""
        return cls(**{it.name: getattr(row, it.name) for it in fields(cls) if it.init})

    @property
    def spec(self) -> Format:
        """The format's entry in the table."""
        return FORMATS[self.format]

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

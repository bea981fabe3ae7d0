"""What a video is made of: formats, exact frame rates and the ffmpeg argument lists, as pure data.

Nothing here starts a process, so the tests assert whole argument lists in microseconds; `infra.video.ffmpeg` runs them.

    VideoError
    ├── FfmpegError    ffmpeg could not be run, or ended with an error (its last lines are in the message)
    └── VideoDefect    a segment or a video is not what it must be: damaged, cut short, wrong count, order or duration
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, get_args

from manifests.errors import NightreelError

__all__ = [
    "FfmpegError",
    "VideoDefect",
    "VideoError",
    "VideoFormat",
    "VideoInfo",
    "encode_arguments",
    "encoder_settings",
    "exact_rate",
    "extension",
    "gif_arguments",
    "join_arguments",
    "mime_type",
    "padded_size",
    "palette_arguments",
]

VideoFormat = Literal["mp4", "webm", "gif", "png"]

# Raise it when a segment's bytes change for a reason that the arguments below do not show (the seal, the PNG writer).
ENCODER_REVISION = 1

GIF_MAX_FPS = 50  # a delay of 1/100 s is shown as 1/10 s by every browser, so 2/100 s is the shortest honest one

# Same bytes on every worker: one thread (x264 and libvpx decide differently with the number of threads), no choice of
# algorithm by CPU model, no dates and no version tags in the container.
_QUIET = ["-hide_banner", "-nostdin", "-nostats", "-loglevel", "error"]
_REPRODUCIBLE = ["-map_metadata", "-1", "-fflags", "+bitexact"]

# Browsers guess BT.601 for small untagged videos and BT.709 for large ones; convert to and tag as BT.709, always.
_COLOUR_TAGS = ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"]
_TO_YUV = "scale=out_color_matrix=bt709:out_range=tv:flags=lanczos+accurate_rnd+full_chroma_int+bitexact,format=yuv420p"


class VideoError(NightreelError):
    """Root of what can go wrong between frames and a finished video."""


class FfmpegError(VideoError):
    """ffmpeg is missing, or ended with an error."""


class VideoDefect(VideoError):
    """A segment or a video is damaged, incomplete or not as the plan says."""


@dataclass(frozen=True)
class VideoInfo:
    """A finished file, as read back from it.

    `duration` in seconds; `fps` in frames per second (0.0 where the file holds no time: a single PNG);
    `width` and `height` in pixels as stored, padding to even sizes included; `codec` by ffmpeg's name.
    """

    frames: int
    fps: float
    duration: float
    width: int
    height: int
    codec: str


def exact_rate(fps: float) -> Fraction:
    """The rational frame rate that a person means: 24 -> 24/1, 12.5 -> 25/2, 23.976 or 23.98 -> 24000/1001 (NTSC).

    Raises ValueError for a rate that is not positive and finite or lies above 1000.
    """
    if not 0 < fps <= 1000:
        raise ValueError(f"fps {fps}: must be above 0 and at most 1000")
    for whole in (24, 30, 48, 60, 120, 240):
        # The tolerance admits both habits, three digits (23.976) and two (23.98), and never a neighbour such as 23.95.
        if abs(fps - whole * 1000 / 1001) < 0.005:
            return Fraction(whole * 1000, 1001)
    rate = Fraction(str(fps)).limit_denominator(10_000)
    if rate == 0:
        raise ValueError(f"fps {fps}: the slowest rate is one frame in 10000 seconds (fps 0.0001)")
    return rate


def extension(format: VideoFormat, frames: int) -> str:
    """The file name's ending: the format's own, but `zip` for a PNG sequence of several frames."""
    _require_format(format)
    return "zip" if format == "png" and frames > 1 else format


def mime_type(format: VideoFormat, frames: int) -> str:
    """The media type of the finished file, for players and object metadata."""
    return {
        "mp4": "video/mp4",
        "webm": "video/webm",
        "gif": "image/gif",
        "png": "image/png",
        "zip": "application/zip",
    }[extension(format, frames)]


def padded_size(width: int, height: int, *, format: VideoFormat, upscale: int) -> tuple[int, int]:
    """Width and height of the finished video in pixels: enlarged, and for 4:2:0 formats rounded up to even numbers."""
    width, height = width * upscale, height * upscale
    if format in ("mp4", "webm"):
        width, height = width + width % 2, height + height % 2
    return width, height


def encoder_settings(format: VideoFormat, fps: float, upscale: int) -> dict[str, object]:
    """All that decides a segment's bytes apart from its pictures and the ffmpeg binary; JSON-able, for the digest.

    Taken from the real argument list, so a changed option changes the digest by itself. The binary's version is left
    out on purpose: a planner and a worker with different builds must agree on a segment's key. Mixed builds still join
    (parameter sets travel in each segment), only the promise of equal bytes is per build.

    Raises ValueError for an unknown format, a rate that the format cannot hold, or an upscale that is not 1 to 8.
    """
    rate = _require(format, fps, upscale)
    settings: dict[str, object] = {
        "revision": ENCODER_REVISION,
        "format": format,
        "rate": f"{rate.numerator}/{rate.denominator}",
        "upscale": upscale,
    }
    if format != "png":
        settings["codec"] = " ".join(_codec(format, rate))
        # Of a picture of odd size, so that the padding shows in it too.
        settings["filter"] = _filter(15, 15, format=format, upscale=upscale)
    return settings


def encode_arguments(
    width: int, height: int, *, format: VideoFormat, fps: float, upscale: int, target: Path
) -> list[str]:
    """ffmpeg's arguments that encode raw RGB pictures from stdin, `(height, width, 3)` uint8 each, as one segment.

    Every segment is Matroska, which stores all four codecs and carries the codec's headers once per file.
    """
    rate = _require(format, fps, upscale)
    source = ["-f", "rawvideo", "-pixel_format", "rgb24", "-video_size", f"{width}x{height}", "-framerate", _text(rate)]
    filters = _filter(width, height, format=format, upscale=upscale)
    return [
        *(argument for argument in _QUIET if argument != "-nostdin"),
        *source, "-i", "pipe:0",
        "-an", *(["-vf", filters] if filters else []), "-fps_mode", "passthrough",
        *_codec(format, rate),
        *_REPRODUCIBLE, "-f", "matroska", "-y", _file(target),
    ]  # fmt: skip


def join_arguments(listing: Path, *, format: VideoFormat, fps: float, target: Path) -> list[str]:
    """ffmpeg's arguments that copy the packets of all segments in `listing` (concat demuxer) into one file.

    Timestamps are not trusted but made: packet n of the whole is shown at n frames exactly. The concat demuxer adds up
    durations rounded to Matroska's milliseconds, which drifts; the `setts` filter replaces them. That is exact because
    no codec here reorders frames (`-bf 0`; VP9 hides its reference frames inside packets). Without `prescale` the
    filter's `time_base` is not the one that its results are read in (ffmpeg 9.0).
    """
    rate = exact_rate(fps)
    timescale, ticks = _clock(rate)
    stamp = f"setts=pts=N*{ticks}:dts=N*{ticks}:duration={ticks}:time_base=1/{timescale}:prescale=1"
    muxer = {
        "mp4": ["-video_track_timescale", str(timescale), "-movflags", "+faststart", "-f", "mp4"],
        "webm": ["-f", "webm"],
    }[format]
    return [
        *_QUIET, "-f", "concat", "-safe", "0", "-i", _file(listing),
        "-map", "0:v:0", "-c", "copy", "-bsf:v", stamp,
        *_REPRODUCIBLE, *muxer, "-y", _file(target),
    ]  # fmt: skip


def palette_arguments(listing: Path, *, palette: Path) -> list[str]:
    """ffmpeg's arguments that choose the 255 colours (and transparency) that serve all frames of a video best."""
    return [
        *_QUIET, "-f", "concat", "-safe", "0", "-i", _file(listing),
        "-vf", "palettegen=stats_mode=full", "-frames:v", "1", "-update", "1",
        *_REPRODUCIBLE, "-f", "image2", "-c:v", "png", "-threads", "1", "-y", _file(palette),
    ]  # fmt: skip


def gif_arguments(listing: Path, *, palette: Path, fps: float, upscale: int, target: Path) -> list[str]:
    """ffmpeg's arguments that turn the lossless segments in `listing` into an endlessly looping GIF with one palette.

    Two passes instead of one graph with `split`, which would hold the whole video in memory. Ordered dither: error
    diffusion boils from frame to frame, and costs 7 % more bytes.
    """
    rate = _require("gif", fps, upscale)
    tick = f"{rate.denominator}/{rate.numerator}"
    enlarge = f"scale=iw*{upscale}:ih*{upscale}:flags=lanczos+accurate_rnd+bitexact," if upscale > 1 else ""
    graph = f"[0:v]settb={tick},setpts=N,{enlarge}format=rgb24[v];[v][1:v]paletteuse=dither=bayer:bayer_scale=3"
    return [
        *_QUIET, "-f", "concat", "-safe", "0", "-i", _file(listing), "-i", _file(palette),
        "-filter_complex_threads", "1", "-lavfi", graph, "-fps_mode", "passthrough", "-enc_time_base", tick,
        "-c:v", "gif", "-threads", "1", *_REPRODUCIBLE, "-loop", "0", "-f", "gif", "-y", _file(target),
    ]  # fmt: skip


def concat_listing(segments: list[Path], durations: list[Fraction]) -> str:
    """The concat demuxer's script; any file name is safe in it, quotes, spaces and `%` included."""
    lines = ["ffconcat version 1.0"]
    for segment, duration in zip(segments, durations, strict=True):
        quoted = _file(segment).replace("'", "'\\''")
        lines += [f"file '{quoted}'", f"duration {float(duration):.6f}"]
    return "\n".join(lines) + "\n"


def _codec(format: VideoFormat, rate: Fraction) -> list[str]:
    # A key frame at least every 4 seconds keeps seeking quick in a player; every segment begins with one anyway.
    group = str(max(1, round(4 * rate)))
    if format == "mp4":
        return [
            # crf 17: where x264 is commonly taken for visually lossless. VQGAN's fine flicker is what higher values
            # smear first, and what separates two frames of ours is small; a frame costs a GPU-second, so its bytes
            # are cheap beside it. 512x512 frames of zooming texture are 1.6 times (with film grain 2.4 times) the
            # size of crf 20.
            # bf 0: frames in the order they are shown, so a join can number them. B-frames would save 15 % there, and
            # cost edit lists and guessed decode times at every join.
            # repeat-headers: each segment brings its own parameter sets, so one from another x264 build plays too.
            "-c:v", "libx264", "-preset", "medium", "-crf", "17", "-bf", "0", "-g", group,
            "-x264-params", "open-gop=0:cpu-independent=1:repeat-headers=1", "-pix_fmt", "yuv420p", *_COLOUR_TAGS,
            "-threads", "1",
        ]  # fmt: skip
    if format == "webm":
        return [
            # libvpx's scale ends at 63: 24 has x264's SSIM at crf 17 (.925 beside .926 on grained texture) in 0.6 of
            # its size. cpu-used 3 is twice as quick as 1 at the same size.
            "-c:v", "libvpx-vp9", "-crf", "24", "-b:v", "0", "-deadline", "good", "-cpu-used", "3", "-row-mt", "0",
            "-tile-columns", "0", "-lag-in-frames", "16", "-g", group, "-pix_fmt", "yuv420p", *_COLOUR_TAGS,
            "-threads", "1",
        ]  # fmt: skip
    # A GIF's palette must see the whole video, so its segments keep every colour: FFV1, each frame by itself and
    # with a checksum per slice.
    return ["-c:v", "ffv1", "-level", "3", "-g", "1", "-slicecrc", "1", "-pix_fmt", "bgr0", "-threads", "1"]


def _filter(width: int, height: int, *, format: VideoFormat, upscale: int) -> str:
    """The filter chain of a segment. A GIF is enlarged when it is joined: its lossless segments stay small."""
    if format == "gif":
        return ""
    chain = []
    if upscale > 1:
        chain.append(f"scale=iw*{upscale}:ih*{upscale}:flags=lanczos+accurate_rnd+full_chroma_int+bitexact")
    full_width, full_height = padded_size(width, height, format=format, upscale=upscale)
    right, bottom = full_width - width * upscale, full_height - height * upscale
    if right or bottom:
        # Repeats the last column or row: a black edge would bleed into the picture through 4:2:0's shared colour.
        chain.append(f"format=gbrp,pad={full_width}:{full_height}:0:0,")
        chain[-1] += f"fillborders=left=0:top=0:right={right}:bottom={bottom}:mode=smear"
    chain.append(_TO_YUV)
    return ",".join(chain)


def _clock(rate: Fraction) -> tuple[int, int]:
    """(ticks per second, ticks per frame), both whole; at least 10,000 ticks a second, as MP4 players expect."""
    timescale, ticks = rate.numerator, rate.denominator
    while timescale < 10_000:
        timescale, ticks = 2 * timescale, 2 * ticks
    return timescale, ticks


def _require(format: VideoFormat, fps: float, upscale: int) -> Fraction:
    _require_format(format)
    if not 1 <= upscale <= 8:
        raise ValueError(f"upscale {upscale}: must be 1 to 8")
    rate = exact_rate(fps)
    if format == "gif" and rate > GIF_MAX_FPS:
        raise ValueError(f"fps {fps:g}: a gif holds at most {GIF_MAX_FPS} frames a second; use format mp4 or webm")
    return rate


def _require_format(format: str) -> None:
    if format not in get_args(VideoFormat):
        raise ValueError(f"format '{format}': must be one of {', '.join(get_args(VideoFormat))}")


def _file(path: Path) -> str:
    """Absolute and with its protocol named, so no file name is ever taken for an option, a pattern or an address."""
    return f"file:{path.absolute()}"


def _text(rate: Fraction) -> str:
    return f"{rate.numerator}/{rate.denominator}"

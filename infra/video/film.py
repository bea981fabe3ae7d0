"""Films that rows name: their frames, one by one, at the size of the video that is drawn over them.

What somebody names as a film is a stranger's file: it is read as one of the formats below and as nothing else (a
playlist would have ffmpeg read whatever it lists), up to so many pixels, and no frame may take for ever. A frame at a
time is in memory, however long the film.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from infra.video import ffmpeg
from infra.video.encoding import exact_rate
from infra.video.errors import FfmpegError, FfmpegTooSlow, FilmInvalid
from infra.video.ffmpeg import Picture
from renderers.pictures.reading import MAX_RATIO

__all__ = ["FASTEST", "MOST_PIXELS", "STALL_SECONDS", "FilmLook", "Taken", "film_pictures", "look"]

MOST_PIXELS = 8192 * 4352
"""of a frame of a film: what cameras of 8K make"""
STALL_SECONDS = 60.0
"""for one frame: a film that takes longer is none"""
FASTEST = 240
"""frames per second that are taken of a film"""

_LATE = Fraction(1, 10)
"""of a frame, that one may come too late and still count as there: files have times in whole milliseconds"""
_SEEK_BEFORE = 10.0  # seconds before the start from which a film is decoded: before that, it is jumped
_HD = 720  # lines of a film from which on colours are BT.709's, where it does not say

_FORMATS = (
    "3g2,3gp,asf,avi,dv,flv,gif,h264,hevc,ivf,m4a,m4v,matroska,mj2,mov,mp4,mpeg,mpegts,mpegvideo,mxf,nut,obu,ogg,rm,"
    "webm,yuv4mpegpipe"
)
_STREAM = re.compile(r"^\s*Stream #0:\d+.*?: Video: (.*)$", re.MULTILINE)
_SIZE = re.compile(r", (\d+)x(\d+)\b")
_RATE = re.compile(r", ([\d.]+)(k?) (fps|tbr)\b")
_NAMED_COLOURS = re.compile(r"\b(?:bt709|bt470bg|bt470m|smpte170m|smpte240m|bt2020nc|bt2020c|bt601|fcc|gbr|ycgco)\b")


@dataclass(frozen=True)
class FilmLook:
    """What a film says of itself: how large its frames are, and how many it has per second; of one whose frames come
    irregularly, about how many. `unnamed`: it does not say how its colours are coded."""

    width: int
    height: int
    rate: Fraction
    unnamed: bool = False


@dataclass(frozen=True)
class Taken:
    """What is taken of a film: from its second `start` on `rate` frames per second, `most` at most, each `width` times
    `height` pixels as `fit` says (see the schema)."""

    width: int
    height: int
    fit: Literal["cover", "contain", "stretch"]
    start: float
    rate: Fraction
    most: int


def look(path: Path, name: str) -> FilmLook:
    """Look at the head of the film at `path`; `name` stands for the file in messages.

    Raises:
        FilmInvalid: it is no film that can be read, or its frames are too large or too long.
    """
    arguments = [
        "-hide_banner", "-nostdin", "-nostats", "-loglevel", "info", *_reading(path),
        "-map", "0:V:0", "-c", "copy", "-frames:v", "1", "-f", "null", "-",
    ]  # fmt: skip
    try:
        log = ffmpeg.log_of(arguments, f"looking at '{name}'")
    except FfmpegError as error:
        raise FilmInvalid(f"'{name}' is no film{_why(str(error))}") from error
    said = next((it for it in _STREAM.findall(log) if "(attached pic)" not in it), "")
    size = _SIZE.search(said)
    if size is None:
        raise FilmInvalid(f"'{name}' is no film: it does not say how large its frames are")
    width, height = int(size[1]), int(size[2])
    if width * height > MOST_PIXELS:
        raise FilmInvalid(
            f"'{name}': its frames, {width} x {height} pixels, exceed the limit of {MOST_PIXELS / 1e6:.1f} million: "
            "scale it down"
        )
    if max(width, height) > MAX_RATIO * min(width, height):
        raise FilmInvalid(
            f"'{name}': the sides of its frames, {width} x {height} pixels, differ by more than {MAX_RATIO} times: "
            "crop it"
        )
    unnamed = height >= _HD and not _NAMED_COLOURS.search(said) and "rgb" not in said.split(", ")[1:2]
    return FilmLook(width, height, _rate_of(said), unnamed)


def _rate_of(said: str) -> Fraction:
    """The rate that most frames come at: the one of the container's clock (tbr), unless that is far above what there
    is on average (fps), as of screens that are recorded when they change."""
    rates = {kind: float(number) * (1000 if kilo else 1) for number, kilo, kind in _RATE.findall(said)}
    average, clock = rates.get("fps", 0.0), rates.get("tbr", 0.0)
    rate = clock if clock and (not average or clock <= 1.5 * average) else average
    return exact_rate(min(rate or 25.0, float(FASTEST)))


def film_pictures(path: Path, name: str, film: FilmLook, taken: Taken) -> Iterator[Picture]:
    """Yield what is taken of a film: number n is the last frame at or before second `start + n / rate`, upright as its
    camera meant it, with square pixels, in sRGB's primaries as they are coded.

    Whatever machine decodes it, the same file gives the same pictures: the standards of today's codecs say each bit,
    and the scaler is told to round as its formulas do.

    Raises:
        FilmInvalid: it can't be decoded as far as it is wanted, or ends before it begins.
    """
    shape = (taken.height, taken.width, 3)
    jump = max(0.0, taken.start - _SEEK_BEFORE)
    arguments = [
        "-hide_banner", "-nostdin", "-nostats", "-loglevel", "warning", "-xerror", "-threads", "2",
        *(["-ss", f"{jump:.6f}"] if jump else []), *_reading(path),
        "-map", "0:V:0", "-vf", _filters(film, taken, taken.start - jump), "-fps_mode", "passthrough",
        "-frames:v", str(taken.most), "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1",
    ]  # fmt: skip
    count = 0
    try:
        for picture in ffmpeg.pictures(arguments, shape, f"decoding '{name}'", stall_seconds=STALL_SECONDS):
            yield picture
            count += 1
            if count == taken.most:
                return  # what is wrong with the rest is nobody's business
    except FfmpegTooSlow as error:
        raise FilmInvalid(
            f"'{name}' takes longer than {STALL_SECONDS:g} s for frame {count}: convert it to an mp4 of h264"
        ) from error
    except FfmpegError as error:
        after = f" after frame {count - 1}" if count else ""
        raise FilmInvalid(
            f"'{name}' can't be decoded to its end{after}: {_last_line(str(error))}; convert it to an mp4 of h264, or "
            "give fewer frames"
        ) from error
    if not count:
        where = f" after source.start {taken.start:g}" if taken.start else ""
        raise FilmInvalid(f"'{name}' is no film that can be used: it has no frame{where}")


def _filters(film: FilmLook, taken: Taken, start: float) -> str:
    width, height = taken.width, taken.height
    early = round((start + float(_LATE / taken.rate)) * 1e6)  # microseconds
    scaler = "flags=lanczos+accurate_rnd+full_chroma_int+full_chroma_inp+bitexact"
    if film.unnamed:
        scaler += ":in_color_matrix=bt709"
    chain = [
        "settb=1/1000000",
        f"setpts=PTS-{early}",
        f"fps={taken.rate.numerator}/{taken.rate.denominator}:round=up:start_time=0",
    ]
    if taken.fit == "stretch":
        chain.append(f"scale={width}:{height}:{scaler}")
    elif taken.fit == "cover":
        # cut first: a long film would be scaled to millions of pixels otherwise
        ratio = f"({width}/{height}/if(gt(sar,0),sar,1))"
        chain += [
            f"crop=w='max(1,min(iw,round(ih*{ratio})))':h='max(1,min(ih,round(iw/{ratio})))'",
            f"scale={width}:{height}:{scaler}",
        ]
    else:
        ratio = "(iw*if(gt(sar,0),sar,1)/ih)"
        chain += [
            f"scale=w='max(1,min({width},round({height}*{ratio})))':h='max(1,min({height},round({width}/{ratio})))':"
            f"{scaler}",
            "format=rgb24",
            f"pad={width}:{height}:(ow-iw)/2:(oh-ih)/2:black",
        ]
    return ",".join([*chain, "setsar=1", "format=rgb24"])


def _reading(path: Path) -> tuple[str, ...]:
    return (
        "-max_alloc", str(1 << 28), "-max_pixels", str(MOST_PIXELS), "-protocol_whitelist", "file",
        "-format_whitelist", _FORMATS, "-i", f"file:{path.absolute()}",
    )  # fmt: skip


def _why(said: str) -> str:
    if "matches no streams" in said:
        return ": it has no video stream"
    return f" that can be read: {_last_line(said)}"


def _last_line(said: str) -> str:
    return re.sub(r"\[[^]]* @ 0x[0-9a-f]+\] ", "", said.strip().splitlines()[-1])

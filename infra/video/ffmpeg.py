"""Frames to segments, segments to videos: the one module that runs ffmpeg.

A range of frames is encoded where it was rendered, as a sealed segment (`encode_segment`); a video is a stream copy of
its segments (`join_segments`), so replacing one range replaces its bytes and nothing else, and joining costs seconds.
Equal pictures give equal bytes, for one build of ffmpeg. The package that brings the binary has no ffprobe; what a
file holds is read from ffmpeg's own listing of its packets (`framecrc`).
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import IO

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from infra.video import png_sequence
from infra.video.check import Packets, parse_packets, require_regular
from infra.video.format import (
    FfmpegError,
    VideoDefect,
    VideoError,
    VideoFormat,
    VideoInfo,
    concat_listing,
    encode_arguments,
    encoder_settings,
    exact_rate,
    extension,
    gif_arguments,
    join_arguments,
    mime_type,
    padded_size,
    palette_arguments,
)
from infra.video.seal import SEAL_BYTES, SegmentInfo, read_seal, require_fitting, seal

__all__ = [
    "FfmpegError",
    "SegmentInfo",
    "VideoDefect",
    "VideoError",
    "VideoFormat",
    "VideoInfo",
    "check",
    "decode",
    "encode_segment",
    "encoder_settings",
    "exact_rate",
    "extension",
    "ffmpeg_version",
    "join_segments",
    "mime_type",
    "probe",
    "read_seal",
]

Picture = NDArray[np.uint8]

# Up to here a joined video is decoded from end to end before it is published. Of a longer one only the last segment is:
# every segment was decoded whole by the worker that sealed it, and its seal and the count and times of all packets
# are checked again at the join. That makes 1 ms a frame of 512x512 instead of 3 (2 cores, 27 kB a frame).
FULL_DECODE_FRAMES = 2_000

NICE = 10

_READ = ["-hide_banner", "-nostdin", "-nostats"]


# ---------------------------------------------------------------------------------------------------- encode


def encode_segment(pictures: Iterable[Picture], *, format: VideoFormat, fps: float, upscale: int) -> bytes:
    """Encode one range's pictures, each `(height, width, 3)` uint8 RGB, as a sealed segment.

    The pictures are taken one by one, so a generator keeps one frame in memory. The result is decoded once and counted
    before it is sealed: what leaves the worker is known to play.

    Raises ValueError for no pictures, or one of another shape or type than the first; FfmpegError if ffmpeg fails;
    VideoDefect if the result does not decode to as many frames.
    """
    encoder_settings(format, fps, upscale)  # refuses a bad format, rate or upscale before a process is started
    stream = iter(pictures)
    first = next(stream, None)
    if first is None:
        raise ValueError("a segment needs at least one picture")
    if first.ndim != 3 or first.shape[2] != 3 or first.dtype != np.uint8:
        raise ValueError(f"picture 0 is {first.shape} {first.dtype}; must be (height, width, 3) uint8")
    height, width = first.shape[:2]
    counter = _Counter(first, stream)
    if format == "png":
        body = png_sequence.encode_pngs(counter, upscale=upscale, room_for=SEAL_BYTES)
    else:
        with tempfile.TemporaryDirectory(prefix="nightreel-") as folder:
            target = Path(folder) / "segment.mkv"
            _feed(
                encode_arguments(width, height, format=format, fps=fps, upscale=upscale, target=target),
                (np.ascontiguousarray(picture).data for picture in counter),
                f"encoding a segment of {width}x{height} as {format}",
            )
            decoded = _decoded_frames(target, "the new segment")
            if decoded != counter.count:
                raise VideoDefect(f"the new segment decodes to {decoded} frames of {counter.count} given")
            body = target.read_bytes()
    info = SegmentInfo(format, counter.count, exact_rate(fps), width, height, upscale)
    return body + seal(body, info)


class _Counter:
    """Counts the pictures that pass, and refuses one that differs from the first in shape or type."""

    def __init__(self, first: Picture, rest: Iterator[Picture]) -> None:
        self.first, self.rest, self.count = first, rest, 0

    def __iter__(self) -> Iterator[Picture]:
        self.count = 1
        yield self.first
        for picture in self.rest:
            if picture.shape != self.first.shape or picture.dtype != self.first.dtype:
                raise ValueError(
                    f"picture {self.count} is {picture.shape} {picture.dtype}; "
                    f"the pictures of this segment are {self.first.shape} {self.first.dtype}"
                )
            self.count += 1
            yield picture


# ---------------------------------------------------------------------------------------------------- join


def join_segments(
    segments: list[Path], *, format: VideoFormat, fps: float, upscale: int, frames: int, target: Path
) -> VideoInfo:
    """Join a video's segments, in the order given, into `target`, check the result, and only then let it appear.

    `frames` is what the video must hold. H.264, VP9 and PNG are copied; a GIF gets one palette over all its frames.
    On any failure `target` is left as it was.

    Raises VideoDefect, naming the segment, for one that is damaged, cut short or of other settings, and for a result
    whose frame count, order or duration is off or that does not decode; FfmpegError if ffmpeg fails; ValueError for a
    bad format, rate or upscale.
    """
    encoder_settings(format, fps, upscale)
    rate = exact_rate(fps)
    infos = require_fitting(segments, format=format, rate=rate, upscale=upscale, frames=frames)
    width, height = padded_size(infos[0].width, infos[0].height, format=format, upscale=upscale)
    part = target.with_name(f".{target.name}.part")
    try:
        if format == "png":
            png_sequence.join_pngs(segments, rate=rate, frames=frames, target=part)
        else:
            with tempfile.TemporaryDirectory(prefix="nightreel-") as folder:
                listing = Path(folder) / "segments.ffconcat"
                listing.write_text(concat_listing(segments, [info.frames / rate for info in infos]), encoding="utf-8")
                if format == "gif":
                    palette = Path(folder) / "palette.png"
                    _run(palette_arguments(listing, palette=palette), "choosing the palette")
                    arguments = gif_arguments(listing, palette=palette, fps=fps, upscale=upscale, target=part)
                else:
                    arguments = join_arguments(listing, format=format, fps=fps, target=part)
                _run(arguments, f"joining {len(segments)} segments into '{target.name}'")
        tail = frames - infos[-1].frames if frames > FULL_DECODE_FRAMES else 0
        info = check(part, format=format, fps=fps, frames=frames, decode_from=tail, name=target.name)
        if (info.width, info.height) != (width, height):
            raise VideoDefect(f"video '{target.name}' is {info.width}x{info.height}; must be {width}x{height}")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return info


# ---------------------------------------------------------------------------------------------------- check


def check(
    path: Path, *, format: VideoFormat, fps: float, frames: int, decode_from: int = 0, name: str | None = None
) -> VideoInfo:
    """Make sure that a finished file holds `frames` frames, in order, at `fps`, for frames/fps seconds, and plays.

    Frames before `decode_from` are counted and timed but not decoded. `name` stands for the file in messages.
    Raises VideoDefect with what was found and what was expected; FfmpegError if the file cannot be read at all.
    """
    name, rate = name or path.name, exact_rate(fps)
    if format == "png":
        width, height = png_sequence.check_pngs(path, name=name, frames=frames, decode_from=decode_from)
        return VideoInfo(frames, float(rate), float(frames / rate), width, height, "png")
    packets = _packets(path, name)
    require_regular(packets, name=name, format=format, rate=rate, frames=frames)
    if format == "gif":
        decode_from = 0  # cannot be entered in the middle
    decoded = _decoded_frames(
        path, f"video '{name}'", start=(decode_from - Fraction(1, 2)) / rate if decode_from else None
    )
    if decoded != frames - decode_from:
        raise VideoDefect(f"video '{name}': {decoded} of the frames {decode_from} to {frames - 1} can be decoded")
    return VideoInfo(frames, float(rate), float(frames / rate), packets.width, packets.height, packets.codec)


# ---------------------------------------------------------------------------------------------------- read


def probe(path: Path) -> VideoInfo:
    """What a video, a PNG, a zip of PNGs, or a segment holds; all its packets are counted, nothing is decoded.

    Raises FfmpegError if it is none of these.
    """
    if png_sequence.is_pngs(path):
        return png_sequence.probe_pngs(path)
    packets = _packets(path, path.name)
    frames, seconds = len(packets.times), packets.seconds
    if not frames:
        raise FfmpegError(f"'{path.name}' holds no frames")
    fps = float(frames / seconds) if seconds else 0.0
    return VideoInfo(frames, fps, float(seconds), packets.width, packets.height, packets.codec)


def decode(path: Path) -> Iterator[Picture]:
    """The frames of a video, a PNG, a zip of PNGs or a segment, in order, `(height, width, 3)` uint8 RGB, one by one.

    The caller may stop early; ffmpeg then stops too. Raises FfmpegError for a file that cannot be decoded to its end.
    """
    if png_sequence.is_pngs(path):
        yield from png_sequence.decode_pngs(path)
        return
    packets = _packets(path, path.name)
    shape = (packets.height, packets.width, 3)
    flags = "scale=flags=lanczos+accurate_rnd+full_chroma_int+bitexact,format=rgb24"
    arguments = [
        *_READ, "-loglevel", "error", "-xerror", "-i", f"file:{path.absolute()}", "-map", "0:v:0", "-vf", flags,
        "-fps_mode", "passthrough", "-f", "rawvideo", "pipe:1",
    ]  # fmt: skip
    with _process(arguments, stdout=subprocess.PIPE) as (process, errors):
        assert process.stdout is not None
        size = shape[0] * shape[1] * 3
        while frame := process.stdout.read(size):
            if len(frame) < size:
                break
            yield np.frombuffer(frame, np.uint8).reshape(shape)
        _require_success(process, errors, f"decoding '{path.name}'")


@functools.cache
def ffmpeg_version() -> str:
    """The version of the binary in use, for provenance and `doctor`. Raises FfmpegError if there is none."""
    answer = _run(["-version"], "asking for the version").decode(errors="replace")
    found = re.match(r"ffmpeg version (\S+)", answer)
    return found[1] if found else "unknown"


def _packets(path: Path, name: str) -> Packets:
    arguments = [
        *_READ, "-loglevel", "info", "-copyts", "-i", f"file:{path.absolute()}", "-map", "0:v:0", "-c", "copy",
        "-f", "framecrc", "pipe:1",
    ]  # fmt: skip
    with _process(arguments, stdout=subprocess.PIPE) as (process, errors):
        assert process.stdout is not None
        listing = process.stdout.read().decode()
        log = _require_success(process, errors, f"reading '{name}'")
    return parse_packets(listing, log, name)


def _decoded_frames(path: Path, name: str, *, start: Fraction | None = None) -> int:
    """How many frames decode, from `start` seconds on; the first decoding error ends it."""
    seek = ["-ss", f"{float(start):.6f}"] if start is not None else []
    arguments = [
        *_READ, "-loglevel", "error", "-xerror", "-err_detect", "crccheck+explode", *seek,
        "-i", f"file:{path.absolute()}", "-map", "0:v:0", "-fps_mode", "passthrough",
        "-progress", "pipe:1", "-f", "null", "-",
    ]  # fmt: skip
    try:
        progress = _run(arguments, f"decoding {name}").decode()
    except FfmpegError as error:
        raise VideoDefect(f"{name} does not decode to its end: {error}") from error
    counts = re.findall(r"^frame=\s*(\d+)$", progress, re.MULTILINE)
    return int(counts[-1]) if counts else 0


# ---------------------------------------------------------------------------------------------------- processes


@functools.cache
def _executable() -> str:
    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise FfmpegError("no ffmpeg found: reinstall the package imageio-ffmpeg, which brings one") from error


@contextlib.contextmanager
def _process(
    arguments: list[str], *, stdin: int = subprocess.DEVNULL, stdout: int = subprocess.DEVNULL
) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """An ffmpeg that is dead when the block ends. Its errors go to a file: a full pipe that nobody reads blocks it."""
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen([_executable(), *arguments], stdin=stdin, stdout=stdout, stderr=errors)
        except OSError as error:
            raise FfmpegError(f"ffmpeg cannot be started: {error}") from error
        # whoever renders, or conducts those that do, comes first: dozens of segments may be encoded at the same moment
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
        try:
            yield process, errors
        finally:
            process.kill()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()
            process.wait()


def _run(arguments: list[str], doing: str) -> bytes:
    with _process(arguments, stdout=subprocess.PIPE) as (process, errors):
        assert process.stdout is not None
        output = process.stdout.read()
        _require_success(process, errors, doing)
    return output


def _feed(arguments: list[str], chunks: Iterable[memoryview], doing: str) -> None:
    """Run ffmpeg on what is written to its stdin. Its output is a file: with no second pipe there is no deadlock."""
    with _process(arguments, stdin=subprocess.PIPE) as (process, errors):
        assert process.stdin is not None
        # ffmpeg gone early closes the pipe; its own last words say why, below.
        with contextlib.suppress(BrokenPipeError):
            for chunk in chunks:
                process.stdin.write(chunk)
            process.stdin.close()
        _require_success(process, errors, doing)


def _require_success(process: subprocess.Popen[bytes], errors: IO[bytes], doing: str) -> str:
    """Wait for the end and return what ffmpeg logged; FfmpegError with its last lines if it failed."""
    code = process.wait()
    errors.seek(0)
    log = errors.read().decode(errors="replace")
    if code != 0:
        tail = "\n".join(log.strip().splitlines()[-8:]) or "(it said nothing)"
        raise FfmpegError(f"ffmpeg ended with {code} while {doing}:\n{tail}")
    return log

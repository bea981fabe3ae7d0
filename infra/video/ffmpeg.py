"""The one module that runs ffmpeg: what a file holds, whether it plays, its frames, and commands for others.

The package that brings the binary has no ffprobe; what a file holds is read from ffmpeg's own listing of its packets
(`framecrc`).
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import IO

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from infra.video import png_sequence
from infra.video.check import Packets, VideoInfo, parse_packets, require_regular
from infra.video.encoding import Encoding
from infra.video.errors import FfmpegError, FfmpegTooSlow, VideoDefect

__all__ = [
    "check",
    "decode",
    "decoded_frames",
    "feed",
    "ffmpeg_version",
    "log_of",
    "pictures",
    "probe",
    "run",
    "stream",
    "through",
]

Picture = NDArray[np.uint8]

NICE = 10
_PIECE = 1 << 18  # bytes

_READ = ["-hide_banner", "-nostdin", "-nostats"]

# What demuxers say of a file that was cut off, without any error.
_CUT_SHORT = re.compile(r"^.*(?:File ended prematurely|partial file|Truncat).*$", re.MULTILINE | re.IGNORECASE)

_COUNTED_RATE = 8000  # samples a second, of sound that is counted only
_PACKET_SECONDS = 0.022  # of AAC, at 48 kHz


# ---------------------------------------------------------------------------------------------------- check


def check(
    path: Path, encoding: Encoding, *, frames: int, decode_from: int = 0, name: str | None = None,
    with_sound: bool = False,
) -> VideoInfo:  # fmt: skip
    """Make sure that a finished file holds `frames` frames, in order, at its rate, for frames/rate seconds, and plays;
    `with_sound`: that sound lasts as long, to half a frame or a packet.

    Frames before `decode_from` are counted and timed but not decoded. `name` stands for the file in messages.
    Raises VideoDefect with what was found and what was expected; FfmpegError if the file cannot be read at all.
    """
    name, rate = name or path.name, encoding.rate
    if encoding.spec.join == "pictures":
        width, height = png_sequence.check_pngs(path, name=name, frames=frames, decode_from=decode_from)
        return VideoInfo(frames, float(rate), float(frames / rate), width, height, "png")
    packets = _packets(path, name)
    require_regular(packets, encoding, name=name, frames=frames)
    if not encoding.spec.seekable:
        decode_from = 0
    decoded = decoded_frames(
        path, f"video '{name}'", start=(decode_from - Fraction(1, 2)) / rate if decode_from else None
    )
    wanted = len(packets.times) if encoding.spec.merges else frames - decode_from
    if decoded != wanted:
        raise VideoDefect(f"video '{name}': {decoded} of the frames {decode_from} to {frames - 1} can be decoded")
    heard = _check_sound(path, name, frames / rate, 1 / rate) if with_sound else None
    return VideoInfo(frames, float(rate), float(frames / rate), packets.width, packets.height, packets.codec, heard)


def _check_sound(path: Path, name: str, seconds: Fraction, frame: Fraction) -> float:
    """How many seconds of sound can be decoded; VideoDefect if it is not `seconds` to half a `frame`."""
    arguments = [
        *_READ, "-loglevel", "error", "-xerror", "-i", f"file:{path.absolute()}", "-map", "0:a:0",
        "-ac", "1", "-ar", str(_COUNTED_RATE), "-f", "u8", "pipe:1",
    ]  # fmt: skip
    try:
        heard = sum(map(len, stream(arguments, f"decoding the sound of '{name}'"))) / _COUNTED_RATE
    except FfmpegError as error:
        if "matches no streams" in str(error):
            raise VideoDefect(f"video '{name}' holds no sound") from error
        raise VideoDefect(f"the sound of video '{name}' does not decode to its end: {error}") from error
    if abs(heard - float(seconds)) > max(float(frame) / 2, _PACKET_SECONDS):
        raise VideoDefect(f"the sound of '{name}' lasts {heard:.3f} s, must last {float(seconds):.3f} s")
    return heard


# ---------------------------------------------------------------------------------------------------- read


def probe(path: Path) -> VideoInfo:
    """Say what a video, a PNG, a zip of PNGs, or a segment holds; all its packets are counted, nothing is decoded.

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
    """Yield the frames of a video, a PNG, a zip of PNGs or a segment, in order, `(height, width, 3)` uint8 RGB.

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
    """Return the version of the binary in use, for provenance and `doctor`. Raises FfmpegError if there is none."""
    answer = run(["-version"], "asking for the version").decode(errors="replace")
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


def decoded_frames(path: Path, name: str, *, start: Fraction | None = None) -> int:
    """Count the frames that decode, from `start` seconds on. Raises VideoDefect at the first decoding error."""
    seek = ["-ss", f"{float(start):.6f}"] if start is not None else []
    arguments = [
        *_READ, "-loglevel", "error", "-xerror", "-err_detect", "crccheck+explode", *seek,
        "-i", f"file:{path.absolute()}", "-map", "0:v:0", "-fps_mode", "passthrough",
        "-progress", "pipe:1", "-f", "null", "-",
    ]  # fmt: skip
    try:
        progress = run(arguments, f"decoding {name}").decode()
    except FfmpegError as error:
        raise VideoDefect(f"{name} does not decode to its end: {error}") from error
    counts = re.findall(r"^frame=\s*(\d+)$", progress, re.MULTILINE)
    return int(counts[-1]) if counts else 0


# ---------------------------------------------------------------------------------------------------- processes


@functools.cache
def _executable() -> str:
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
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
        # whoever renders, or schedules those that do, comes first: dozens of segments may be encoded at the same moment
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


def run(arguments: list[str], doing: str) -> bytes:
    """Run ffmpeg and return its output; `doing` is for the message. Raises FfmpegError."""
    with _process(arguments, stdout=subprocess.PIPE) as (process, errors):
        assert process.stdout is not None
        output = process.stdout.read()
        _require_success(process, errors, doing)
    return output


def log_of(arguments: list[str], doing: str) -> str:
    """Run ffmpeg and return what it logs. Raises FfmpegError."""
    with _process(arguments) as (process, errors):
        return _require_success(process, errors, doing)


def pictures(
    arguments: list[str], shape: tuple[int, int, int], doing: str, *, stall_seconds: float
) -> Iterator[Picture]:
    """Run ffmpeg, whose output is raw pictures of one `shape`, and yield them one by one. Whoever takes them may take
    its time, and may stop early.

    Raises:
        FfmpegTooSlow: one took longer than `stall_seconds`.
        FfmpegError: it ended with an error, or says that the file does not end where it should.
    """
    late, size = threading.Event(), shape[0] * shape[1] * shape[2]

    def end() -> None:
        late.set()
        process.kill()

    with _process(arguments, stdout=subprocess.PIPE) as (process, errors):
        assert process.stdout is not None
        while True:
            timer = threading.Timer(stall_seconds, end)
            timer.daemon = True
            timer.start()
            try:
                frame = process.stdout.read(size)
            finally:
                timer.cancel()
            if len(frame) < size:
                break
            yield np.frombuffer(frame, np.uint8).reshape(shape)
        if late.is_set():
            raise FfmpegTooSlow(
                f"ffmpeg takes longer than {stall_seconds:g} s for a picture: it was ended while {doing}"
            )
        log = _require_success(process, errors, doing)
        if cut := _CUT_SHORT.search(log):
            raise FfmpegError(f"the file does not end where it should, says ffmpeg while {doing}:\n{cut[0]}")


def stream(arguments: list[str], doing: str, *, seconds: float | None = None) -> Iterator[bytes]:
    """Run ffmpeg and yield its output piece by piece. Raises FfmpegError; also where it takes longer than `seconds`."""
    late = threading.Event()

    def end() -> None:
        late.set()
        process.kill()

    with _process(arguments, stdout=subprocess.PIPE) as (process, errors):
        assert process.stdout is not None
        timer = threading.Timer(seconds, end) if seconds is not None else None
        if timer is not None:
            timer.daemon = True
            timer.start()
        try:
            while piece := process.stdout.read(_PIECE):
                yield piece
            if late.is_set():
                raise FfmpegTooSlow(f"ffmpeg takes longer than {seconds:g} s: it was ended while {doing}")
            _require_success(process, errors, doing)
        finally:
            if timer is not None:
                timer.cancel()


def feed(arguments: list[str], chunks: Iterable[memoryview], doing: str) -> None:
    """Run ffmpeg on what is written to its stdin. Its output is a file: with no second pipe there is no deadlock.

    Raises FfmpegError.
    """
    with _process(arguments, stdin=subprocess.PIPE) as (process, errors):
        assert process.stdin is not None
        # ffmpeg gone early closes the pipe; its own last words say why, below.
        with contextlib.suppress(BrokenPipeError):
            for chunk in chunks:
                process.stdin.write(chunk)
            process.stdin.close()
        _require_success(process, errors, doing)


def through(arguments: list[str], chunks: Iterable[memoryview], doing: str, *, size: int) -> Iterator[bytes]:
    """Run ffmpeg on what is written to its stdin, and yield its output, `size` bytes at a time. A thread of its own
    takes the chunks and writes them, since a full pipe on one side would wait for the other for ever.

    Raises FfmpegError, and whatever taking the chunks raised.
    """
    failed: list[BaseException] = []

    with _process(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as (process, errors):
        assert process.stdin is not None
        assert process.stdout is not None
        pipe = process.stdin

        def write() -> None:
            try:
                with contextlib.suppress(BrokenPipeError):  # its last words, below, say why
                    for chunk in chunks:
                        pipe.write(chunk)
            except BaseException as error:
                failed.append(error)
            finally:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

        writer = threading.Thread(target=write, name="ffmpeg-input", daemon=True)
        writer.start()
        try:
            while len(piece := process.stdout.read(size)) == size:
                yield piece
            if not failed:
                _require_success(process, errors, doing)
        finally:
            process.kill()  # where the reader goes early, the writer waits for a pipe that nobody empties
            writer.join()
        if failed:
            raise failed[0]


def _require_success(process: subprocess.Popen[bytes], errors: IO[bytes], doing: str) -> str:
    """Wait for the end and return what ffmpeg logged; FfmpegError with its last lines if it failed."""
    code = process.wait()
    errors.seek(0)
    log = errors.read().decode(errors="replace")
    if code != 0:
        tail = "\n".join(log.strip().splitlines()[-8:]) or "(it said nothing)"
        raise FfmpegError(f"ffmpeg ended with {code} while {doing}:\n{tail}")
    return log

"""Frames to segments, segments to videos.

A range of frames is encoded where it was rendered, as a sealed segment (`encode_segment`); a video is a stream copy of
its segments (`join_segments`), so replacing one range replaces its bytes and nothing else, and joining costs seconds.
Equal pictures give equal bytes, for one build of ffmpeg.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infra.video import ffmpeg, png_sequence
from infra.video.arguments import concat_listing, encode_arguments, join_commands
from infra.video.check import VideoInfo
from infra.video.encoding import Encoding, with_sound
from infra.video.errors import EncodingInvalid, VideoDefect
from infra.video.seal import SEAL_BYTES, SegmentInfo, read_seal, require_fitting, seal
from infra.video.sound import Sound, sound_arguments

__all__ = ["FULL_DECODE_FRAMES", "encode_segment", "join_segments", "write_video"]

Picture = NDArray[np.uint8]

# Up to here a joined video is decoded from end to end before it is published. Of a longer one only the last segment is:
# every segment was decoded whole by the worker that sealed it, and its seal and the count and times of all packets
# are checked again at the join. That makes 1 ms a frame of 512x512 instead of 3 (2 cores, 27 kB a frame).
FULL_DECODE_FRAMES = 2_000


def encode_segment(pictures: Iterable[Picture], encoding: Encoding) -> bytes:
    """Encode one range's pictures, each `(height, width, 3)` uint8 RGB, as a sealed segment.

    The pictures are taken one by one, so a generator keeps one frame in memory. The result is decoded once and counted
    before it is sealed: what leaves the worker is known to play.

    Raises ValueError for no pictures, or one of another shape or type than the first; FfmpegError if ffmpeg fails;
    VideoDefect if the result does not decode to as many frames.
    """
    stream = iter(pictures)
    first = next(stream, None)
    if first is None:
        raise ValueError("a segment needs at least one picture")
    if first.ndim != 3 or first.shape[2] != 3 or first.dtype != np.uint8:
        raise ValueError(f"picture 0 is {first.shape} {first.dtype}; must be (height, width, 3) uint8")
    height, width = first.shape[:2]
    counter = _Counter(first, stream)
    if encoding.spec.join == "pictures":
        upscale, tile = encoding.upscale, encoding.tile
        body = png_sequence.encode_pngs(counter, upscale=upscale, room_for=SEAL_BYTES, tile=tile)
    else:
        body = _encoded(counter, width, height, encoding)
    return body + seal(body, SegmentInfo(encoding, counter.count, width, height))


def _encoded(counter: _Counter, width: int, height: int, encoding: Encoding) -> bytes:
    with tempfile.TemporaryDirectory(prefix="nightreel-") as folder:
        target = Path(folder) / "segment.mkv"
        ffmpeg.feed(
            encode_arguments(width, height, encoding, target=target),
            (np.ascontiguousarray(picture).data for picture in counter),
            f"encoding a segment of {width}x{height} as {encoding.format}",
        )
        decoded = ffmpeg.decoded_frames(target, "the new segment")
        if decoded != counter.count:
            raise VideoDefect(f"the new segment decodes to {decoded} frames of {counter.count} given")
        return target.read_bytes()


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


def write_video(pictures: Iterable[Picture], encoding: Encoding, target: Path, sound: Sound | None = None) -> VideoInfo:
    """Encode pictures, each `(height, width, 3)` uint8 RGB, as a whole video in `target`, which appears when it was
    checked; `sound` is put under it.

    Raises as `encode_segment` and `join_segments`.
    """
    with tempfile.TemporaryDirectory(prefix="nightreel-") as folder:
        segment = Path(folder) / "video.seg"
        segment.write_bytes(encode_segment(pictures, encoding))
        return join_segments([segment], encoding, frames=read_seal(segment).frames, target=target, sound=sound)


def join_segments(
    segments: list[Path], encoding: Encoding, *, frames: int, target: Path, sound: Sound | None = None
) -> VideoInfo:
    """Join a video's segments, in the order given, into `target`, check the result, and only then let it appear.

    `frames` is what the video must hold; `sound` is put under it, for just as long. On any failure `target` is left as
    it was.

    Raises EncodingInvalid where the format holds no sound;
    VideoDefect, naming the segment, for one that is damaged, cut short or of other settings, and for a result
    whose frame count, order or duration is off or that does not decode; FfmpegError if ffmpeg fails.
    """
    infos = require_fitting(segments, encoding, frames=frames)
    if sound is not None and not encoding.spec.sound:
        raise EncodingInvalid(f"a {encoding.format} holds no sound: use format {' or '.join(with_sound())}")
    width, height = encoding.size(infos[0].width, infos[0].height)
    part = target.with_name(f".{target.name}.part")
    try:
        if encoding.spec.join == "pictures":
            png_sequence.join_pngs(segments, rate=encoding.rate, frames=frames, target=part)
        else:
            _join_streams(segments, infos, encoding, part, f"{len(segments)} segments into '{target.name}'", sound)
        tail = frames - infos[-1].frames if frames > FULL_DECODE_FRAMES else 0
        info = ffmpeg.check(
            part, encoding, frames=frames, decode_from=tail, name=target.name, with_sound=sound is not None
        )
        if (info.width, info.height) != (width, height):
            raise VideoDefect(f"video '{target.name}' is {info.width}x{info.height}; must be {width}x{height}")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return info


def _join_streams(
    segments: list[Path], infos: list[SegmentInfo], encoding: Encoding, target: Path, what: str, sound: Sound | None
) -> None:
    with tempfile.TemporaryDirectory(prefix="nightreel-") as folder:
        listing = Path(folder) / "segments.ffconcat"
        durations = [info.frames / encoding.rate for info in infos]
        listing.write_text(concat_listing(segments, durations), encoding="utf-8")
        under = None if sound is None else sound_arguments(sound, encoding, sum(info.frames for info in infos))
        for doing, arguments in join_commands(encoding, listing, work=Path(folder), target=target, sound=under).items():
            ffmpeg.run(arguments, f"{doing} {what}")

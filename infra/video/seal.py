"""The seal at a segment's end: what the segment holds, and a checksum of all bytes before it.

A segment travels from a worker through object storage to the stitcher. Containers notice neither a flipped bit nor a
clean cut, and a decoder may hide either; so the last 256 bytes of every segment say its frames, size and rate and the
SHA-256 of the rest. The block is a legal `Void` element of Matroska (players skip it) and a legal comment of a zip.
The stitcher can thus refuse a bad segment by name, in the time it takes to read it, without decoding anything again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

from infra.video.encoding import Encoding
from infra.video.errors import VideoDefect

__all__ = ["SEAL_BYTES", "SegmentInfo", "read_seal", "require_fitting", "seal"]

SEAL_BYTES = 256
_PAYLOAD_BYTES = SEAL_BYTES - 9
_VOID = b"\xec\x01" + _PAYLOAD_BYTES.to_bytes(7, "big")  # EBML: id of Void, then the size in eight bytes


@dataclass(frozen=True)
class SegmentInfo:
    """What a segment says of itself; `width` and `height` are those of the pictures, before upscale and padding."""

    encoding: Encoding
    frames: int
    width: int
    height: int

    def same_settings(self, other: SegmentInfo) -> bool:
        """Say whether the two may stand in one video."""
        return replace(self, frames=0) == replace(other, frames=0)

    def describe(self) -> str:
        """Settings for an error message: `mp4 512x512 at 24 fps, upscale 1`."""
        return self.encoding.describe(self.width, self.height)


def seal(body: bytes, info: SegmentInfo) -> bytes:
    """Make the 256 bytes to put behind `body`."""
    fields = {**info.encoding.to_dict(), "frames": info.frames, "size": [info.width, info.height]}
    text = json.dumps(
        {"nightreel": "segment", **dict(sorted(fields.items())), "sha256": hashlib.sha256(body).hexdigest()},
        separators=(",", ":"),
    ).encode()
    return _VOID + text.ljust(_PAYLOAD_BYTES)


def read_seal(segment: Path) -> SegmentInfo:
    """Verify a segment against its seal and say what it holds.

    Raises VideoDefect, naming the file, if it is missing, cut short, damaged, or no segment of nightreel.
    """
    remedy = "delete it and encode these frames again"
    try:
        size = segment.stat().st_size
        with segment.open("rb") as file:
            digest = hashlib.sha256()
            left = max(0, size - SEAL_BYTES)
            while left and (block := file.read(min(left, 1 << 20))):
                digest.update(block)
                left -= len(block)
            block = file.read()
    except OSError as error:
        raise VideoDefect(f"segment '{segment.name}' cannot be read: {error.strerror or error}; {remedy}") from error
    try:
        if len(block) != SEAL_BYTES or not block.startswith(_VOID):
            raise ValueError("no seal")
        fields = json.loads(block[len(_VOID) :])
        expected, frames, (width, height) = fields.pop("sha256"), fields.pop("frames"), fields.pop("size")
        del fields["nightreel"]
        info = SegmentInfo(Encoding.from_dict(fields), frames, width, height)
    except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
        raise VideoDefect(
            f"segment '{segment.name}' ({size:,} bytes) has no valid seal at its end: "
            f"it was cut short, or is no segment of nightreel; {remedy}"
        ) from error
    if digest.hexdigest() != expected:
        raise VideoDefect(f"segment '{segment.name}' ({size:,} bytes) is damaged: its checksum differs; {remedy}")
    return info


def require_fitting(segments: list[Path], encoding: Encoding, *, frames: int) -> list[SegmentInfo]:
    """Verify all segments of a video: sound, of one size, of the video's settings, and `frames` frames in all.

    Raises VideoDefect that names the segment, or lists what each one holds when the sum is off.
    """
    if not segments:
        raise VideoDefect(f"no segments to join, {frames} frames expected")
    infos = [read_seal(segment) for segment in segments]
    expected = SegmentInfo(encoding, 0, infos[0].width, infos[0].height)
    for segment, info in zip(segments, infos, strict=True):
        if not info.same_settings(expected):
            raise VideoDefect(f"segment '{segment.name}' is {info.describe()}; the video is {expected.describe()}")
    total = sum(info.frames for info in infos)
    if total != frames:
        held = ", ".join(f"'{path.name}': {info.frames}" for path, info in zip(segments[:20], infos, strict=False))
        more = f", and {len(segments) - 20} more" if len(segments) > 20 else ""
        raise VideoDefect(f"the segments hold {total} frames, the video must have {frames} ({held}{more})")
    return infos

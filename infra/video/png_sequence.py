"""Numbered PNGs in a zip: the lossless way out, for people who edit or encode elsewhere.

A segment is such a zip too, made on the worker that rendered it, so joining only copies compressed bytes under new
numbers. ZIP_STORED, because PNGs do not shrink; fixed dates, because equal frames must give equal bytes.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from infra.video.check import VideoInfo
from infra.video.errors import FfmpegError, VideoDefect
from renderers.pictures.enlarging import enlarged
from renderers.pictures.errors import PICTURE_ERRORS

__all__ = [
    "check_pngs",
    "decode_pngs",
    "encode_png",
    "encode_pngs",
    "is_pngs",
    "join_pngs",
    "probe_pngs",
]

Picture = NDArray[np.uint8]

_ZIP = b"PK\x03\x04"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip can hold


def encode_png(picture: Picture, *, upscale: int = 1, tile: str = "none") -> bytes:
    """Encode one picture, `(height, width, 3)` uint8, as PNG, enlarged by a whole factor with Lanczos; a `tile`, of the
    axes x, y or xy, stays one."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    if upscale > 1:
        image = enlarged(image, upscale, tile)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def encode_pngs(pictures: Iterable[Picture], *, upscale: int, room_for: int, tile: str = "none") -> bytes:
    """Pack the pictures, each as `encode_png` writes it, as a zip whose last `room_for` bytes are still to come.

    A zip's comment stands at its end, so what is put behind these bytes leaves a whole zip.
    """
    buffer = io.BytesIO()
    pngs = (encode_png(picture, upscale=upscale, tile=tile) for picture in pictures)
    _write_zip(buffer, pngs, digits=_digits(0), comment=bytes(room_for))
    return buffer.getvalue()[:-room_for]


def join_pngs(segments: Sequence[Path], *, rate: Fraction, frames: int, target: Path) -> None:
    """Copy the PNGs of all segments, numbered through, into one zip that says its rate; a single frame as it is.

    Raises VideoDefect for a damaged segment.
    """

    def pngs() -> Iterator[bytes]:
        for segment in segments:
            yield from (png for _, png in _read_pngs(segment, f"segment '{segment.name}'"))

    if frames == 1:
        target.write_bytes(next(pngs()))
        return
    with target.open("wb") as file:
        _write_zip(file, pngs(), digits=_digits(frames), comment=_rate_comment(rate))


def _digits(frames: int) -> int:
    """Digits of a frame number in the names: six, as ffmpeg and editors like them, more only if they must be."""
    return max(6, len(str(max(0, frames - 1))))


def _write_zip(target: IO[bytes], pngs: Iterable[bytes], *, digits: int, comment: bytes) -> None:
    """Write the PNGs as `000000.png`, `000001.png`, ..."""
    with zipfile.ZipFile(target, "w", compression=zipfile.ZIP_STORED) as archive:
        for number, png in enumerate(pngs):
            entry = zipfile.ZipInfo(f"{number:0{digits}d}.png", date_time=_EPOCH)
            entry.create_system = 3  # Unix on every machine, or Windows would write other bytes
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, png)
        archive.comment = comment


def is_pngs(path: Path) -> bool:
    """Say whether the file begins as a PNG or as a zip. Raises FfmpegError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(4) in (_ZIP, b"\x89PNG")
    except OSError as error:
        raise FfmpegError(f"'{path.name}' cannot be read: {error.strerror or error}") from error


def _read_pngs(path: Path, name: str) -> Iterator[tuple[str, bytes]]:
    """Entry names and bytes of a zip in the order of the names, or of the one PNG that the file is.

    Raises VideoDefect, with `name`, if the zip is damaged; each entry's CRC is checked as it is read.
    """
    try:
        with path.open("rb") as file:
            if file.read(4) != _ZIP:
                file.seek(0)
                yield path.name, file.read()
                return
            with zipfile.ZipFile(file) as archive:
                for entry in sorted(archive.namelist()):
                    yield entry, archive.read(entry)
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise VideoDefect(f"{name} cannot be unpacked: {error}") from error


def check_pngs(path: Path, *, name: str, frames: int, decode_from: int = 0) -> tuple[int, int]:
    """Return width and height of the pictures, once all `frames` of them are there, in order and of one size.

    Those from `decode_from` on are decoded too. Raises VideoDefect otherwise.
    """
    size, count = (0, 0), 0
    for number, (entry, png) in enumerate(_read_pngs(path, f"video '{name}'")):
        if frames > 1 and entry != f"{number:0{_digits(frames)}d}.png":
            raise VideoDefect(f"video '{name}': entry {number} is called '{entry}'")
        try:
            image = Image.open(io.BytesIO(png), formats=["PNG"])
            if number >= decode_from:
                image.load()
        except PICTURE_ERRORS as error:
            raise VideoDefect(f"video '{name}': frame {number} is no readable PNG: {error}") from error
        if number and image.size != size:
            raise VideoDefect(f"video '{name}': frame {number} is {image.size}, the frames before it are {size}")
        size, count = image.size, number + 1
    if count != frames:
        raise VideoDefect(f"video '{name}' holds {count} frames, must hold {frames}")
    return size


def probe_pngs(path: Path) -> VideoInfo:
    """Say what a PNG, a sequence or a segment of PNGs holds. Raises FfmpegError if that is nothing, or no pictures."""
    count, size = 0, (0, 0)
    for entry, png in _read_pngs(path, f"'{path.name}'"):
        count += 1
        try:
            size = Image.open(io.BytesIO(png), formats=["PNG"]).size
        except PICTURE_ERRORS as error:
            raise FfmpegError(f"'{path.name}': '{entry}' is no picture") from error
    if not count:
        raise FfmpegError(f"'{path.name}' holds no frames")
    fps = float(_read_rate(path) or 0)
    return VideoInfo(count, fps, count / fps if fps else 0.0, *size, "png")


def decode_pngs(path: Path) -> Iterator[Picture]:
    """Yield the pictures one by one, `(height, width, 3)` uint8. Raises FfmpegError for one that cannot be decoded."""
    for entry, png in _read_pngs(path, f"'{path.name}'"):
        try:
            yield np.asarray(Image.open(io.BytesIO(png), formats=["PNG"]).convert("RGB"))
        except PICTURE_ERRORS as error:
            raise FfmpegError(f"'{path.name}': '{entry}' cannot be decoded: {error}") from error


def _rate_comment(rate: Fraction) -> bytes:
    """The comment of a finished sequence; a zip has no other place for the frame rate."""
    return json.dumps({"nightreel": "png sequence", "fps": f"{rate.numerator}/{rate.denominator}"}).encode()


def _read_rate(path: Path) -> Fraction | None:
    """The frame rate of a finished sequence, None where the file does not say."""
    try:
        with zipfile.ZipFile(path) as archive:
            return Fraction(json.loads(archive.comment)["fps"])
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError, ZeroDivisionError):
        return None

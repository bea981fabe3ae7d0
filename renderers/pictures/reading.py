"""Reading a person's picture: whatever program made it, the same colours on a screen of today, within bounded memory.

Nothing here needs torch, so that a wrong picture is known at once. All that reads pictures of people comes through
here: start pictures, picture prompts, fine-tuning.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import IO

from PIL import Image, UnidentifiedImageError

from renderers.errors import BadInput
from renderers.pictures.colours import in_srgb
from renderers.pictures.errors import PICTURE_ERRORS
from renderers.pictures.memory import largest_size
from renderers.pictures.pieces import check_pieces

__all__ = ["MAX_RATIO", "PICTURE_SUFFIXES", "check_picture", "read_rgb"]

#: What is read. Formats that call other programs (EPS), or that nobody paints with, are not.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "AVIF")
PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".avif"})
#: The longer side over the shorter: beyond it a picture is a line.
MAX_RATIO = 100

# Pillow warns of every odd tag, with a path of this machine; a file may have thousands.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

# The brand of an ISO media file says which kind: what telephones write is HEIC.
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"heif", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
_ALLOWED = "give PNG, JPEG, WebP or GIF (TIFF, BMP and AVIF are read as well)"


def read_rgb(source: bytes | Path, name: str, *, shortest: int | None = None) -> Image.Image:
    """A picture in sRGB with 8 bits a channel, turned as its camera meant it; `name` is for messages.

    It lies on white where it is transparent, so that colours hidden there never show. Its embedded colour profile is
    applied. 16 or 32 bits, whole or floating, are scaled to 8: a number of bits by what it can hold, floats from 0 to
    1, or from 0 to their largest value where that is above 1; less than nothing is black. Of several pictures (GIF) it
    is the first. At most 500 MB are taken besides the file: see `memory`.

    Args:
        shortest: pixels of the shorter side that will do; a larger JPEG is decoded at 1/2, 1/4 or 1/8 then.

    Raises:
        BadInput: it is no picture that can be read, or larger or longer than is allowed.
    """
    try:
        with (
            io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file,
            _opened(file) as (image, scans),
        ):
            whole = image.size
            if shortest is not None:
                image.draft("RGB", (shortest, shortest))
            _check_size(image, whole, scans, name)
            return in_srgb(image)
    except UnidentifiedImageError as error:
        raise BadInput(_unknown(source, name)) from error
    except PICTURE_ERRORS as error:
        raise BadInput(f"'{name}' is not a picture that can be read ({error}): {_ALLOWED}") from error


def check_picture(file: IO[bytes], name: str) -> None:
    """Look at the head of the picture in `file`, of which nothing is decoded; `name` is for messages.

    Raises:
        BadInput: it is of no kind that is read, or larger or longer than is allowed.
    """
    try:
        with _opened(file) as (image, scans):
            _check_size(image, image.size, scans, name)
    except UnidentifiedImageError as error:
        file.seek(0)
        raise BadInput(_unknown(file.read(16), name)) from error
    except PICTURE_ERRORS as error:
        raise BadInput(f"'{name}' is not a picture that can be read ({error}): {_ALLOWED}") from error


@contextlib.contextmanager
def _opened(file: IO[bytes]) -> Iterator[tuple[Image.Image, int]]:
    """The picture in `file`, of which only the head is read, and its scans."""
    scans = check_pieces(file)
    with Image.open(file, formats=_formats()) as image:
        yield image, scans


@cache
def _formats() -> tuple[str, ...]:
    Image.init()  # loads the readers that Pillow was built with
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _check_size(image: Image.Image, whole: tuple[int, int], scans: int, name: str) -> None:
    """Raise BadInput for an `image` too large to decode, or too long; `whole` is its size in the file."""
    size, most = image.size, largest_size(image, whole, scans)
    width, height = size
    if width * height > most.pixels:
        raise BadInput(
            f"'{name}' is not a picture that can be read: {width} x {height} pixels exceed the limit of "
            f"{most.pixels // 1_000_000} million{most.kind}: scale it down{most.remedy}"
        )
    if max(size) > MAX_RATIO * min(size):
        raise BadInput(
            f"'{name}' is not a picture that can be used: its sides, {width} x {height} pixels, differ by more than "
            f"{MAX_RATIO} times: crop it"
        )


def _unknown(source: bytes | Path, name: str) -> str:
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        return f"'{name}' can't be read ({error})"
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC:
        return f"'{name}' is a HEIC picture, as telephones make them, which is not read: save it as JPEG or PNG"
    return f"'{name}' is not a picture that can be read (its bytes are of no known kind): {_ALLOWED}"

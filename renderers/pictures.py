"""Reading a person's picture: whatever program made it, the same colours on a screen of today, within bounded memory.

Nothing here needs torch, so that a wrong picture is known at once. All that reads pictures of people comes through
here: start pictures, picture prompts, fine-tuning.
"""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from renderers.errors import BadInput
from renderers.picture_errors import PICTURE_ERRORS

__all__ = ["MAX_PIXELS", "MAX_RATIO", "PICTURE_SUFFIXES", "check_picture", "read_rgb"]

#: What is read. Formats that call other programs (EPS), or that nobody paints with, are not.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "AVIF")
PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".avif"})
#: Pixels that are decoded: 64 million take some 200 MB, 450 MB where they are transparent.
MAX_PIXELS = 64_000_000
#: The longer side over the shorter: beyond it a picture is a line.
MAX_RATIO = 100

_GROUND = (255, 255, 255)
# The brand of an ISO media file says which kind: what telephones write is HEIC.
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_ALLOWED = "give PNG, JPEG, WebP or GIF (TIFF, BMP and AVIF are read as well)"


def read_rgb(source: bytes | Path, name: str, *, shortest: int | None = None) -> Image.Image:
    """A picture in sRGB with 8 bits a channel, turned as its camera meant it; `name` is for messages.

    It lies on white where it is transparent, so that colours hidden there never show. Its embedded colour profile is
    applied. 16 or 32 bits, whole or floating, are scaled to 8, never clipped: a number of bits by what it can hold,
    floats from 0 to 1, or from 0 to their largest value where that is above 1. Of several pictures (GIF) it is the
    first.

    Args:
        shortest: pixels of the shorter side that will do; a larger JPEG is decoded at 1/2, 1/4 or 1/8 then.

    Raises:
        BadInput: it is no picture that can be read, or larger or longer than is allowed.
    """
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=_formats()) as image:
            if shortest is not None:
                image.draft("RGB", (shortest, shortest))
            _check_size(image.size, name)
            return _on_white(ImageOps.exif_transpose(image))
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
        with Image.open(file, formats=_formats()) as image:
            _check_size(image.size, name)
    except UnidentifiedImageError as error:
        file.seek(0)
        raise BadInput(_unknown(file.read(16), name)) from error
    except PICTURE_ERRORS as error:
        raise BadInput(f"'{name}' is not a picture that can be read ({error}): {_ALLOWED}") from error


@cache
def _formats() -> tuple[str, ...]:
    Image.init()  # loads the readers that Pillow was built with
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _check_size(size: tuple[int, int], name: str) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise BadInput(
            f"'{name}' is not a picture that can be read: {width} x {height} pixels exceed the limit of "
            f"{MAX_PIXELS // 1_000_000} million: scale it down"
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


def _on_white(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if not image.has_transparency_data:
        return _srgb(_eight_bits(image), profile)
    layer = image.convert("RGBA") if image.mode != "LA" else image
    alpha = layer.getchannel("A")
    picture = _srgb(layer.convert("L" if layer.mode == "LA" else "RGB"), profile)
    return Image.composite(picture, Image.new("RGB", picture.size, _GROUND), alpha)


def _eight_bits(image: Image.Image) -> Image.Image:
    """One channel of more than 8 bits as `L`; all else as it is."""
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image), nan=0.0, posinf=0.0, neginf=0.0)
        largest = max(1.0, float(values.max(initial=0.0)))
    elif image.mode.startswith("I;16"):
        values, largest = np.asarray(image), 65_535.0
    elif image.mode == "I":
        values = np.asarray(image)
        most = int(values.max(initial=0))
        # the mode does not say of how many bits its file was
        largest = next(float(2**bits - 1) for bits in (8, 16, 31) if most < 2**bits)
    else:
        return image
    scaled = np.clip(values.astype(np.float32) * (255.0 / largest) + 0.5, 0, 255)
    return Image.fromarray(scaled.astype(np.uint8))


def _srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """`image` as RGB; its colours are those that `profile` gives its numbers, sRGB's without one."""
    if image.mode not in ("RGB", "L", "CMYK"):
        image = image.convert("RGB")
    if profile:
        try:
            source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
            if _space(source) == image.mode and ImageCms.getProfileDescription(source).strip() != "sRGB built-in":
                converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
                assert converted is not None  # None is for work in place
                return converted
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass  # a damaged profile says nothing about colours
    return image.convert("RGB")


def _space(profile: ImageCms.ImageCmsProfile) -> str:
    space = str(profile.profile.xcolor_space).strip()
    return {"GRAY": "L"}.get(space, space)

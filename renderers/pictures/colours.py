"""The colours of a decoded picture in sRGB, on white, turned as its camera meant it: in bands of rows.

Whatever is converted is a band: beside the picture there is only the result, of 3 bytes a pixel.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

__all__ = ["in_srgb"]

_GROUND = (255, 255, 255)
_BAND = 1 << 20  # pixels
_LARGEST_PROFILE = 1 << 22
_SAMPLE_FORMAT, _BITS, _PHOTOMETRIC = 339, 258, 262  # tags of TIFF
_UNSIGNED, _SIGNED = 1, 2
_WHITE_IS_ZERO = 0
_FEW_GREYS = {"L;2": 85, "L;4": 17}  # what Pillow multiplies greys of so few bits by, and not the transparent one

_Convert = Callable[[Image.Image], Image.Image]


def in_srgb(image: Image.Image) -> Image.Image:
    """Return a picture that was opened, as RGB. It is closed: its memory is needed for the result."""
    if (profile := _gif_profile(image)) is not None:
        image.info["icc_profile"] = profile
    hidden, raw = image.info.get("transparency"), image.tile[0].args if image.tile else None  # type: ignore[attr-defined]
    if image.format == "PNG" and isinstance(hidden, int) and raw in _FEW_GREYS:
        image.info["transparency"] = hidden * _FEW_GREYS[raw]
    image.load()
    turn = image.getexif().get(ExifTags.Base.Orientation, 1)
    width, height = image.size
    result = np.empty((width, height, 3) if turn in (5, 6, 7, 8) else (height, width, 3), np.uint8)
    upright, convert = _as_stored(result, turn), _converter(image)
    for top, band in _bands(image):
        upright[top : top + band.height] = np.asarray(convert(band))
    image.close()
    return Image.fromarray(result)


def _bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    rows = max(1, _BAND // max(1, image.width))
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _as_stored(result: NDArray[np.uint8], turn: Any) -> NDArray[np.uint8]:
    """`result`, a picture that stands upright, seen as the camera stored it: EXIF 2.32, tag 274."""
    match turn:
        case 2:
            return result[:, ::-1]
        case 3:
            return result[::-1, ::-1]
        case 4:
            return result[::-1]
        case 5:
            return result.transpose(1, 0, 2)
        case 6:
            return np.rot90(result)
        case 7:
            return result[::-1, ::-1].transpose(1, 0, 2)
        case 8:
            return np.rot90(result, -1)
    return result


def _gif_profile(image: Any) -> bytes | None:
    """The colour profile of a GIF, which Pillow does not read: an application's block of it (ICC.1:2022, B.6)."""
    name, place = image.info.get("extension", (b"", 0)) if image.format == "GIF" else (b"", 0)
    if not name.startswith(b"ICCRGBG1"):
        return None
    before, profile = image.fp.tell(), bytearray()
    image.fp.seek(place)
    while (length := image.fp.read(1)) not in (b"", b"\0") and len(profile) < _LARGEST_PROFILE:
        profile += image.fp.read(length[0])
    image.fp.seek(before)
    return bytes(profile)


def _converter(image: Image.Image) -> _Convert:
    """What makes RGB on white of a band of `image`."""
    deep = image.mode in ("F", "I") or image.mode.startswith("I;16")
    mode = "L" if deep or image.mode == "LA" else image.mode if image.mode in ("RGB", "L", "CMYK") else "RGB"
    if image.has_transparency_data and not deep and image.mode != "LA":
        mode = "RGB"
    if image.format == "GIF":
        mode = "RGB"  # its palette's colours; Pillow calls one of greys L
    profile = image.info.get("icc_profile") if image.mode != "LAB" else None  # whose numbers say all
    to_srgb = _to_srgb(mode, profile)
    if deep:
        return _deep(image, to_srgb)
    if not image.has_transparency_data:
        return lambda band: to_srgb(band if band.mode == mode else band.convert(mode))

    def on_white(band: Image.Image) -> Image.Image:
        layer = band if band.mode == "LA" else band.convert("RGBA")
        return _on_white(to_srgb(layer.convert(mode)), layer.getchannel("A"))

    return on_white


def _on_white(picture: Image.Image, alpha: Image.Image) -> Image.Image:
    return Image.composite(picture, Image.new("RGB", picture.size, _GROUND), alpha)


def _deep(image: Image.Image, to_srgb: _Convert) -> _Convert:
    """For one channel of more than 8 bits, in which one number may stand for transparency (PNG)."""
    unsigned = image.mode == "I" and _stored_as(image) == (_UNSIGNED, 32)
    largest = _largest(image, unsigned)
    hidden = image.info.get("transparency")
    inverted = image.mode.startswith("I;16") and _tag(image, _PHOTOMETRIC, 1) == _WHITE_IS_ZERO

    def scaled(band: Image.Image) -> Image.Image:
        values = _numbers(band, unsigned)
        eight = np.clip(values.astype(np.float32) * (255.0 / largest) + 0.5, 0, 255).astype(np.uint8)
        eight = 255 - eight if inverted else eight
        picture = to_srgb(Image.fromarray(eight))
        if not isinstance(hidden, int):
            return picture
        return _on_white(picture, Image.fromarray(np.where(values == hidden, 0, 255).astype(np.uint8)))

    return scaled


def _numbers(band: Image.Image, unsigned: bool) -> NDArray[Any]:
    values: NDArray[Any] = np.asarray(band)
    if band.mode == "F":
        values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    return values.view(np.uint32) if unsigned else values


def _largest(image: Image.Image, unsigned: bool) -> float:
    """The number that is white."""
    if image.mode.startswith("I;16"):
        return 4_095.0 if _stored_as(image) == (_UNSIGNED, 12) else 65_535.0
    most = max((_numbers(band, unsigned).max(initial=0) for _, band in _bands(image)), default=0)
    if image.mode == "F":
        return max(1.0, float(most))
    # the mode does not say of how many bits its file was
    depths = (8, 15, 31) if _stored_as(image) == (_SIGNED, 16) else (8, 16, 31, 32)
    return next(float(2**bits - 1) for bits in depths if int(most) < 2**bits)


def _stored_as(image: Any) -> tuple[int, int]:
    """The kind of a TIFF's numbers, and their bits; zeros for what is none."""
    if image.format != "TIFF":
        return 0, 0
    return _tag(image, _SAMPLE_FORMAT, _UNSIGNED), _tag(image, _BITS, 1)


def _tag(image: Any, tag: int, unset: int) -> int:
    """The first number of a tag, `unset` without it and for what is no TIFF."""
    if image.format != "TIFF":
        return unset
    found = image.tag_v2.get(tag, unset)
    return int(found[0] if isinstance(found, tuple) else found)


def _to_srgb(mode: str, profile: bytes | None) -> _Convert:
    """What makes RGB of pictures of `mode`; their colours are those that `profile` gives their numbers, sRGB's without
    one, and where it is of another kind of numbers: a grey picture's grey is not changed by one made for RGB."""
    transform = _transform(mode, profile) if profile else None

    def convert(picture: Image.Image) -> Image.Image:
        if transform is not None:
            with contextlib.suppress(ImageCms.PyCMSError):
                converted = ImageCms.applyTransform(picture, transform)
                assert converted is not None  # None is for work in place
                return converted
        return picture.convert("RGB")

    return convert


def _transform(mode: str, profile: bytes) -> ImageCms.ImageCmsTransform | None:
    try:
        source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        if _space(source) == mode and ImageCms.getProfileDescription(source).strip() != "sRGB built-in":
            return ImageCms.buildTransform(source, target, mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        pass  # a damaged profile says nothing about colours
    return None


def _space(profile: ImageCms.ImageCmsProfile) -> str:
    space = str(profile.profile.xcolor_space).strip()
    return {"GRAY": "L"}.get(space, space)

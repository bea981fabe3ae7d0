"""How large a picture may be: by the memory that decoding it takes, which its format and kind of pixels decide.

The numbers are measured with Pillow 13: the highest memory of a process that decodes pictures of 16 million pixels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from PIL import Image

__all__ = ["LargestSize", "largest_size"]

#: Pixels that are decoded of a picture that takes little memory for each.
MAX_PIXELS = 64_000_000
#: What decoding and converting may take together; with what the libraries need besides it stays below 500 MB.
MAX_BYTES = 480_000_000

_CONVERTED = 7.0  # a picture of 4 bytes a pixel, and beside it the result of 3
# These decode into several whole frames, of any content, and hold them to the end: with the result.
_WHOLE_FRAMES = {"WEBP": 24.0, "AVIF": 21.0}
_ONE_BYTE = {"1", "L", "P"}
_ORIENTATION, _BITS, _CHANNELS = 274, 258, 277  # tags of TIFF


class LargestSize(NamedTuple):
    """The pixels that a picture may have, and words for messages where its kind decides."""

    pixels: int
    kind: str = ""
    remedy: str = ""


def largest_size(image: Image.Image, whole: tuple[int, int], scans: int = 1) -> LargestSize:
    """Return how large `image`, opened and not decoded, may be; `whole` is its size in the file, which is larger than
    its own where a JPEG is decoded smaller. A JPEG of several `scans` is held until the last, progressive or not."""
    held = image.format in ("JPEG", "MPO") and (scans > 1 or "progressive" in image.info)
    cost = _bytes_per_pixel(image, whole[0] * whole[1] / max(1, image.width * image.height), held)
    allowed = int(MAX_BYTES / cost)
    if allowed >= MAX_PIXELS:
        return LargestSize(MAX_PIXELS)
    kind = f"{image.format} pictures"
    if held:
        kind = "progressive JPEG" if "progressive" in image.info else "JPEG of several scans"
    if image.format == "TIFF":
        kind += " of this depth and these channels"
    remedy = ", or save it without 'progressive'" if held else ", or save it as JPEG or PNG with 8 bits"
    return LargestSize(max(1, allowed // 1_000_000) * 1_000_000, f" for {kind}", remedy)


def _bytes_per_pixel(image: Image.Image, whole: float, held: bool) -> float:
    """The most that is held at one time; the file has `whole` times the pixels that are decoded."""
    stored = 1.0 if image.mode in _ONE_BYTE else 2.0 if image.mode.startswith("I;16") else 4.0
    match image.format:
        case "WEBP" | "AVIF":
            return _WHOLE_FRAMES[image.format]
        case "TIFF":
            return max(_CONVERTED, stored + _strip(image, stored))
        case "JPEG" | "MPO":
            return max(_CONVERTED, stored + whole * _coefficients(image)) if held else _CONVERTED
    return max(_CONVERTED, stored + 3)


def _strip(image: Any, stored: float) -> float:
    """Bytes a pixel in the file, all of which may be one strip; and a turned copy, which Pillow makes itself."""
    bits = image.tag_v2.get(_BITS, (1,))
    channels = int(image.tag_v2.get(_CHANNELS, 1))
    copied = stored if image.tag_v2.get(_ORIENTATION, 1) != 1 else 0.0
    return max(float(sum(bits)), float(max(bits)) * channels) / 8 + copied


def _coefficients(image: Any) -> float:
    """Bytes a pixel that a JPEG of several scans takes until the last: 2 for each value of each channel."""
    factors = [(int(layer[1]), int(layer[2])) for layer in image.layer]
    most = max(across for across, _ in factors) * max(down for _, down in factors)
    return 2.0 * sum(across * down for across, down in factors) / max(1, most)

"""The text chunks of a frame object's PNG, and how large they and all of it may be: for those, too, who only look at
its picture or its provenance, without torch. What lies under a frame's key may be anybody's."""

from __future__ import annotations

import io

from PIL import Image, PngImagePlugin

__all__ = ["MOST_BYTES", "PROVENANCE", "STATE", "open_frame"]

PROVENANCE = "nightreel:provenance"
STATE = "nightreel:state"
# Pillow refuses text chunks that inflate past 1 MiB; the state of a 1024 px frame is about 3 MB as base64.
PngImagePlugin.MAX_TEXT_CHUNK = 64 * 2**20
PngImagePlugin.MAX_TEXT_MEMORY = 128 * 2**20
#: Of a frame of 4096 x 4096 pixels: of its picture, and of its state.
MOST_BYTES = (48 + 64) * 2**20
MOST_PIXELS = 4096 * 4096  # the most that a row may ask for


def open_frame(data: bytes) -> Image.Image:
    """Open a frame object's PNG, to be closed by the caller. Raises any of PICTURE_ERRORS where it can be none."""
    image = Image.open(io.BytesIO(data), formats=["PNG"])
    if image.width * image.height > MOST_PIXELS:
        image.close()
        raise ValueError(f"it has {image.width} x {image.height} pixels, more than a frame can have")
    return image

"""What Pillow raises for a damaged picture: whatever breaks first in one of its readers.

Found by changing bytes of good pictures: a PNG whose IHDR chunk is cut short raises ValueError, one with a wrong CRC
SyntaxError, a truncated one OSError. The other classes are those of its readers of JPEG, WebP and GIF.
"""

from __future__ import annotations

import struct

from PIL import Image

__all__ = ["PICTURE_ERRORS"]

PICTURE_ERRORS = (
    OSError, EOFError, SyntaxError, ValueError, IndexError, struct.error, Image.DecompressionBombError,
    Image.DecompressionBombWarning,  # where warnings are errors
)  # fmt: skip

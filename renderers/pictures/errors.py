"""What Pillow raises for a damaged picture: whatever breaks first in one of its readers.

Found by changing bytes of good pictures: a PNG whose IHDR chunk is cut short raises ValueError, one with a wrong CRC
SyntaxError, one whose palette is not there AssertionError, a truncated one OSError; a TIFF whose tags are of other
types than they should be TypeError. The other classes are those that its readers raise elsewhere. For decoding alone:
a mistake of ours would be taken for damage.
"""

from __future__ import annotations

import struct

from PIL import Image

__all__ = ["PICTURE_ERRORS"]

PICTURE_ERRORS = (
    OSError, EOFError, SyntaxError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError,
    AssertionError, struct.error, Image.DecompressionBombError,
    Image.DecompressionBombWarning,  # where warnings are errors
)  # fmt: skip

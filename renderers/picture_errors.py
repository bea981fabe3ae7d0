"""What Pillow answers a damaged file with: whatever breaks first."""

from __future__ import annotations

import struct

from PIL import Image

__all__ = ["PILLOW_ERRORS"]

PILLOW_ERRORS = (OSError, EOFError, SyntaxError, ValueError, IndexError, struct.error, Image.DecompressionBombError)

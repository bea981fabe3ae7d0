"""The text chunks of a frame object's PNG, and how large they may be: for those, too, who only look at its picture or
its provenance, without torch."""

from __future__ import annotations

from PIL import PngImagePlugin

__all__ = ["PROVENANCE", "STATE"]

PROVENANCE = "nightreel:provenance"
STATE = "nightreel:state"
# Pillow refuses text chunks that inflate past 1 MiB; the state of a 1024 px frame is about 3 MB as base64.
PngImagePlugin.MAX_TEXT_CHUNK = 64 * 2**20
PngImagePlugin.MAX_TEXT_MEMORY = 128 * 2**20

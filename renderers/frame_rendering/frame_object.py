"""The frame object: ONE PNG that carries the picture, its state and its provenance, so that one put commits a frame.

The PNG holds nothing that depends on who rendered it or when, so the same frame is the same bytes wherever it was
rendered; workers and seconds are in the segments' records.
"""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from renderers.errors import FrameCorrupt
from renderers.frame_rendering.chunks import PROVENANCE, STATE, open_frame
from renderers.frame_rendering.state import FrameState
from renderers.pictures.errors import PICTURE_ERRORS

__all__ = ["FrameObject"]

# Every PNG ends with this chunk: one that does not was cut short, or something was added to it.
END = bytes.fromhex("00000000 49454e44 ae426082")


@dataclass(frozen=True)
class FrameObject:
    """A finished frame: `picture` `(H, W, 3)` uint8, the `state` that the next frame starts from, its `provenance`."""

    picture: np.ndarray
    state: FrameState
    provenance: dict[str, Any]

    def to_bytes(self) -> bytes:
        """The PNG. Deterministic: the same frame gives the same bytes."""
        info = PngImagePlugin.PngInfo()
        info.add_text("Software", f"nightreel {self.provenance['software']['nightreel']}")
        # ASCII JSON: tEXt and zTXt are Latin-1, and prompts are not.
        info.add_text(PROVENANCE, json.dumps(self.provenance, sort_keys=True), zip=True)
        info.add_text(STATE, base64.b64encode(self.state.to_bytes()).decode(), zip=True)
        target = io.BytesIO()
        Image.fromarray(self.picture).save(target, format="PNG", pnginfo=info)
        return target.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes, digest: str | None = None) -> FrameObject:
        """Read a frame object and check it: every chunk's CRC, the whole picture, and that it is frame `digest`.

        Raises:
            FrameCorrupt: it is damaged, cut short, no frame object, or another frame than its key says.
        """
        if not data.endswith(END):
            raise FrameCorrupt(f"the frame's PNG is damaged: its {len(data)} bytes do not end as a PNG does")
        try:
            with open_frame(data) as check:
                check.verify()
            with open_frame(data) as image:
                assert isinstance(image, PngImagePlugin.PngImageFile)
                picture = np.array(image.convert("RGB"))
                text = dict(image.text)
            provenance = json.loads(text[PROVENANCE])
            state = FrameState.from_bytes(base64.b64decode(text[STATE], validate=True))
        except KeyError as error:
            raise FrameCorrupt(f"the PNG carries no {error}: it is not a nightreel frame") from error
        except PICTURE_ERRORS as error:
            raise FrameCorrupt(f"the frame's PNG is damaged: {error}") from error
        if not isinstance(provenance, dict):
            raise FrameCorrupt(f"the frame's provenance is no mapping but {type(provenance).__name__}")
        if digest is not None and provenance.get("digest") != digest:
            raise FrameCorrupt(f"the frame says digest {provenance.get('digest')!r}, its key says {digest!r}")
        return cls(picture, state, provenance)

"""Pictures of frames for the page: small ones made once and kept for a while, whole ones as they lie in storage."""

from __future__ import annotations

import io
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from PIL import Image

from infra.storage.layout import frame_key
from infra.storage.storage import Storage
from renderers.frame_rendering.chunks import MOST_BYTES, open_frame
from renderers.pictures.errors import PICTURE_ERRORS

__all__ = ["Thumbnails", "whole_picture"]

SIDE = 192
KEPT = 1000
# A frame that was rendered again in its place shows after this.
KEEP_SECONDS = 60.0


def whole_picture(output: Storage, video_id: str, frame: int, digest: str) -> bytes | None:
    """Return a frame's PNG as it lies in storage; None if it can't be shown.

    Raises:
        StorageError: there is none, or what lies there is too large to be one.
    """
    data = output.read(frame_key(video_id, frame, digest), most=MOST_BYTES)
    return data if data.startswith(b"\x89PNG\r\n\x1a\n") else None


class Thumbnails:
    """Small pictures of one output's frames, WebP, in memory. Safe to use from any thread."""

    def __init__(self, output: Storage, clock: Callable[[], float] = time.monotonic) -> None:
        self._output, self._clock = output, clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, int, str], tuple[float, bytes | None]] = OrderedDict()

    def get(self, video_id: str, frame: int, digest: str) -> bytes | None:
        """Return the small picture of a frame; None if the frame's can't be read.

        Raises:
            StorageError: there is none.
        """
        name = (video_id, frame, digest)
        with self._lock:
            made_at, picture = self._kept.get(name, (float("-inf"), None))
        if self._clock() - made_at < KEEP_SECONDS:
            return picture
        picture = _small(whole_picture(self._output, video_id, frame, digest))
        with self._lock:
            self._kept[name] = (self._clock(), picture)
            self._kept.move_to_end(name)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return picture


def _small(data: bytes | None) -> bytes | None:
    if data is None:
        return None
    try:
        with open_frame(data) as image:
            picture = image.convert("RGB")
    except PICTURE_ERRORS:
        return None
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    target = io.BytesIO()
    picture.save(target, format="WEBP", quality=82)
    return target.getvalue()

"""Frames read back from storage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.storage.layout import frame_key
from infra.storage.storage import ObjectMissing, SourceRefused, Storage

if TYPE_CHECKING:  # torch is imported by the process that renders, not by the one that plans
    from renderers.frame_rendering.frame_object import FrameObject

__all__ = ["read_frame"]


def read_frame(output: Storage, video_id: str, index: int, digest: str) -> FrameObject:
    """Read one frame.

    Raises:
        FrameCorrupt: it is damaged, or another frame.
        ObjectMissing: it is not there.
    """
    from renderers.errors import FrameCorrupt
    from renderers.frame_rendering.chunks import MOST_BYTES
    from renderers.frame_rendering.frame_object import FrameObject

    key = frame_key(video_id, index, digest)
    try:
        return FrameObject.from_bytes(output.read(key, most=MOST_BYTES), digest)
    except FrameCorrupt as error:
        raise FrameCorrupt(f"{error} (frame {index} of video '{video_id}', object '{key}')", index) from error
    except SourceRefused as error:
        raise FrameCorrupt(f"frame {index} of video '{video_id}' can't be read: {error.message}", index) from error
    except ObjectMissing as error:
        raise ObjectMissing(f"frame {index} of video '{video_id}' is gone from storage: {error}") from error

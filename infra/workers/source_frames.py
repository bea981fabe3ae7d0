"""The prepared frames of films that videos are drawn over, as a worker gets them: from the output, each once for all
frames that it is of use for."""

from __future__ import annotations

import io
from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from infra.storage.layout import source_frame_key
from infra.storage.storage import ObjectMissing, Storage
from renderers.errors import BadInput
from renderers.frame_plan.frame_plan import FramePlan
from renderers.frame_plan.source import SourcePictures

__all__ = ["SourceFrames"]

KEPT = 16
"""of a batch of videos, each the frame that the next one moves from"""


class SourceFrames:
    """Reads them from an output. Not thread-safe: whoever renders asks."""

    def __init__(self, output: Storage) -> None:
        self._output = output
        self._known: OrderedDict[str, NDArray[np.uint8]] = OrderedDict()

    def of(self, video_id: str, frame: FramePlan) -> SourcePictures | None:
        """Return the pictures of the film that a frame is made of; None for one that is drawn over no film.

        Raises:
            BadInput: one is not there any more, or damaged.
            StorageError: one can't be read.
        """
        source = frame.source
        if source is None:
            return None
        before = self._picture(video_id, frame.index - 1, source.before) if source.before else None
        return SourcePictures(self._picture(video_id, frame.index, source.now), before)

    def _picture(self, video_id: str, index: int, pixels: str) -> NDArray[np.uint8]:
        key = source_frame_key(video_id, index, pixels)
        if key not in self._known:
            self._known[key] = self._read(video_id, key)
        self._known.move_to_end(key)
        while len(self._known) > KEPT:
            self._known.popitem(last=False)
        return self._known[key]

    def _read(self, video_id: str, key: str) -> NDArray[np.uint8]:
        remedy = "render the manifest again, which prepares the film where something is missing"
        try:
            data = self._output.read(key)
        except ObjectMissing as error:
            raise BadInput(
                f"the frame '{key}' of the film of video '{video_id}' is not there any more: {remedy}"
            ) from error
        try:
            with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
                return np.array(image.convert("RGB"))
        except (OSError, ValueError, SyntaxError) as error:
            raise BadInput(
                f"the frame '{key}' of the film of video '{video_id}' is damaged ({error}): delete it, and {remedy}"
            ) from error

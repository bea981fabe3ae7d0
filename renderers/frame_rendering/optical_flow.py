"""How a film moves from one frame to the next, and what of a frame the one before did not show.

The only module that knows OpenCV, which comes with the extra `video`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from renderers.errors import OpenCVMissing

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["FilmMotion", "film_motion"]

SOFT = 2.0
"""pixels: the deviation by which the mask of what is seen is softened"""

LARGE = 384
"""pixels of the shorter side, from which on the flow is found at half the resolution, as the preset has it"""

REACHED = 0.6
"""Share of a pixel of the next frame, softened by one pixel, that those of the frame before must come to for it to have
been seen there."""

Picture = NDArray[np.uint8]
Field = NDArray[np.float32]


@dataclass(frozen=True)
class FilmMotion:
    """The motion from a film's frame to the next, of `height` and `width` pixels. `back` `(height, width, 2)` float32
    says for each pixel of the next frame how far from there, in pixels, x before y, it lay in the frame before;
    `uncovered` `(height, width)` bool where nothing of the frame before comes to; `seen` where the flow can be trusted:
    not there, nor where it was beyond the edge, where going there and back does not lead home, or along the edges of
    what moves."""

    back: Field
    uncovered: NDArray[np.bool_]
    seen: NDArray[np.bool_]

    @property
    def covered(self) -> float:
        """The share of the frame that the one before showed."""
        return float(self.seen.mean())

    def soft(self) -> Tensor:
        """How much each pixel was seen, 0 to 1, without hard edges: `(1, 1, height, width)` float32."""
        mask = _cv2().GaussianBlur(self.seen.astype(np.float32), (0, 0), SOFT)
        return torch.from_numpy(mask)[None, None]

    def grid(self, height: int, width: int) -> Tensor:
        """Where each place of a picture of that resolution lay before, in the coordinates of `grid_sample`:
        `(1, height, width, 2)`."""
        rows, columns = self.back.shape[:2]
        back = torch.from_numpy(self.back).permute(2, 0, 1)[None]
        if (rows, columns) != (height, width):
            back = torch.nn.functional.interpolate(back, size=(height, width), mode="area")
        shift = back * torch.tensor([2 / columns, 2 / rows]).view(1, 2, 1, 1)
        still = torch.nn.functional.affine_grid(torch.eye(2, 3)[None], [1, 1, height, width], align_corners=False)
        return still + shift.permute(0, 2, 3, 1)


def film_motion(before: Picture, now: Picture) -> FilmMotion:
    """Find the motion between two frames of a film, `(height, width, 3)` uint8 RGB.

    Dense inverse search (Kroeger et al. 2016) on luma, both ways, as OpenCV's preset medium does it, but with patches
    every 2 pixels and 50 descents for each, which follows edges closer for half as much time again; of small frames at
    their full resolution (`LARGE`), which is a third of the error for four times the work. Of the two checks of Ruder
    et al. 2016 ("Artistic style transfer for videos", section 4.1, equations 5 and 6) the first finds where going
    there and back does not lead home, the second the edges of what moves; both are wider than what was hidden, which
    is found by what nothing comes to. Both flows are in pixels.

    DIS divides its search into a fixed number of stripes, so that the number of threads does not change what it finds.

    Raises:
        OpenCVMissing: OpenCV is not installed.
    """
    cv2 = _cv2()
    cv2.setNumThreads(torch.get_num_threads())
    luma_before, luma_now = (cv2.cvtColor(np.ascontiguousarray(it), cv2.COLOR_RGB2GRAY) for it in (before, now))
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setPatchStride(2)
    search.setGradientDescentIterations(50)
    if min(luma_now.shape) < LARGE:
        search.setFinestScale(0)
    back: Field = search.calc(luma_now, luma_before, None)
    forth: Field = search.calc(luma_before, luma_now, None)
    uncovered = _reached(forth) < REACHED
    height, width = luma_now.shape
    x, y = (it.astype(np.float32) for it in np.meshgrid(np.arange(width), np.arange(height)))
    x, y = x + back[..., 0], y + back[..., 1]
    there = cv2.remap(forth, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    hidden = _squared(there + back) > 0.01 * (_squared(there) + _squared(back)) + 0.5
    gradients = [np.gradient(back[..., axis], axis=way) for axis in (0, 1) for way in (0, 1)]
    edge = sum(it**2 for it in gradients) > 0.01 * _squared(back) + 0.002
    return FilmMotion(back, uncovered, inside & ~uncovered & ~hidden & ~edge)


def _reached(forth: Field) -> Field:
    """How much of each pixel the frame before comes to, `(height, width)`: each of its pixels goes along `forth`, to
    the four about that place by its nearness to them. About 1 where nothing is hidden or shown."""
    height, width = forth.shape[:2]
    x, y = (it.astype(np.float32) for it in np.meshgrid(np.arange(width), np.arange(height)))
    x, y = x + forth[..., 0], y + forth[..., 1]
    left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    total = np.zeros((height + 2) * (width + 2))  # with a border for what leaves the frame
    for column, row in ((left, top), (left + 1, top), (left, top + 1), (left + 1, top + 1)):
        weight = (1 - abs(x - column)) * (1 - abs(y - row))
        place = (row.clip(-1, height) + 1) * (width + 2) + column.clip(-1, width) + 1
        total += np.bincount(place.ravel(), weight.ravel(), total.size)
    inner = total.reshape(height + 2, width + 2)[1:-1, 1:-1].astype(np.float32)
    found: Field = _cv2().GaussianBlur(inner, (0, 0), 1.0)
    return found


def _squared(field: Field) -> Field:
    found: Field = np.sum(field**2, axis=-1)
    return found


def _cv2() -> ModuleType | Any:
    try:
        import cv2
    except ImportError as error:
        raise OpenCVMissing(
            "source.mode flow follows a film by OpenCV, which is not installed here: pip install 'nightreel[video]' on "
            "all machines that render, or choose source.mode follow or each"
        ) from error
    return cv2

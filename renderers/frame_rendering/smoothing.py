"""Averages over neighbouring frames, each moved into place by the camera first: less flicker. Averaged in place, as
others do, a video that zooms shows every edge twice."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from renderers.frame_plan.motion import Homography
from renderers.frame_rendering.warp import warp_of

__all__ = ["smoothed"]

Picture = NDArray[np.uint8]


def smoothed(
    pictures: Iterable[tuple[int, Picture]], size: int, centre: float, motion: Callable[[int], Homography]
) -> Iterator[tuple[int, Picture]]:
    """Yield the numbered `pictures`, `(height, width, 3)` uint8 in the order of their numbers without gaps, each
    averaged with the `size - 1` about it, as far as they are there: one k frames away has the weight c (1 - c)^k, with
    c the `centre`, at each pixel times how far it covers it. `motion(n)` moves picture n - 1 to picture n.

    In float32 and on the processor, whatever draws: no result hangs on where it was made.
    """
    reach, window = size // 2, OrderedDict[int, Tensor]()
    due: int | None = None
    for number, picture in pictures:
        window[number] = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float()
        due = number if due is None else due
        if number - due >= reach:
            yield due, _averaged(window, due, reach, centre, motion)
            due += 1
            window.pop(due - 1 - reach, None)
    while due is not None and due in window:
        yield due, _averaged(window, due, reach, centre, motion)
        due += 1


def _averaged(
    window: OrderedDict[int, Tensor], number: int, reach: int, centre: float, motion: Callable[[int], Homography]
) -> Picture:
    middle = window[number]
    total, weights = centre * middle, torch.full_like(middle[:, :1], centre)
    for other, picture in window.items():
        if other == number or abs(other - number) > reach:
            continue
        weight = centre * (1 - centre) ** abs(other - number)
        moved, cover = picture, torch.ones_like(weights)
        way = _way(other, number, motion)
        if not way.still:
            warp = warp_of(way, picture)
            moved, cover = warp.move(picture, border="replicate"), warp.coverage(*picture.shape[-2:])
        total, weights = total + weight * cover * moved, weights + weight * cover
    found: Picture = (total / weights).round().clamp(0, 255).to(torch.uint8)[0].permute(1, 2, 0).contiguous().numpy()
    return found


def _way(start: int, stop: int, motion: Callable[[int], Homography]) -> Homography:
    if start < stop:
        return Homography.through(motion(number) for number in range(start + 1, stop + 1))
    return Homography.back_through(motion(number) for number in range(stop + 1, start + 1))

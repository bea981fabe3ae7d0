"""The kept part of a masked video as its picture has it, pasted over what was drawn of it, when frames are encoded.

Kept tokens stay, but their pixels are what a decoder makes of them beside what is drawn: they are softer than the
picture's, and shift in tone with their neighbours. The frames stay what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering.keeping import white_of
from renderers.frame_rendering.pictures import read_picture
from renderers.frame_rendering.warp import warp_of
from renderers.pictures.masks import read_mask

__all__ = ["pasted"]

Picture = NDArray[np.uint8]


def pasted(
    pictures: Iterable[tuple[int, Picture]], plan: VideoPlan, image: Callable[[str], bytes]
) -> Iterator[tuple[int, Picture]]:
    """Yield the numbered `pictures`, `(height, width, 3)` uint8, with those pixels of `plan`'s init_image that its mask
    keeps; `image` gives the bytes of a picture by its address.

    Where the mask goes with the camera, so does what is pasted: the picture itself, moved once. Neighbours of a loop
    are numbered beyond its ends. In float32 and on the processor, whatever draws: no result hangs on where it was made.

    Raises what `image` raises, and
        BadInput: a picture can't be read.
    """
    row = plan.row
    assert row.mask is not None
    assert row.init_image is not None
    white = white_of(read_mask(image(row.mask), row.mask), row.width, row.height)
    init = read_picture({row.init_image: image(row.init_image)}, row.init_image, row.width, row.height) * 255
    standing = init, paste_weight(white, row.finish.mask_soften)
    for number, picture in pictures:
        index = number % row.frames
        motion = plan.camera_path.through(0, index) if row.mask_moves and index else None
        source, weight = standing
        if motion is not None and not motion.still:
            warp = warp_of(motion, white)
            moved = torch.maximum(
                warp.move(white, mode="bilinear", border="black"), warp.outside(row.height, row.width)
            )
            source = warp.move(init, border="replicate").clamp(0, 255)
            weight = paste_weight(moved, row.finish.mask_soften)
        drawn = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float()
        found = (drawn + weight * (source - drawn)).round().to(torch.uint8)[0].permute(1, 2, 0).contiguous().numpy()
        yield number, found


def paste_weight(white: Tensor, soften: int) -> Tensor:
    """How much of each pixel is pasted, `(1, 1, h, w)`, of a mask's `white`: nothing of what may change; beside it more
    with every pixel, all of it `soften` pixels from there.

    What fades is the kept part's own rim, of which the picture and what was drawn show the same.
    """
    if soften:
        radius = (soften + 1) // 2
        wider = F.max_pool2d(white, 2 * radius + 1, stride=1, padding=radius)
        white = F.avg_pool2d(wider, 2 * radius + 1, stride=1, padding=radius, count_include_pad=False)
    return 1 - white

"""The motion of films of which every pixel's is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from renderers.frame_rendering.optical_flow import film_motion
from renderers.frame_rendering.warp import Warp

Picture = NDArray[np.uint8]


def texture(width: int, height: int, seed: int = 0) -> NDArray[np.float32]:
    """Spots of all sizes, `(height, width, 3)`, 0 to 255."""
    chance, total = np.random.default_rng(seed), np.zeros((height, width, 3), np.float32)
    for cell in (4, 8, 16):
        spots = chance.random((height // cell, width // cell, 3)) * 255
        image = Image.fromarray(spots.astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
        total += np.asarray(image, np.float32) / 3
    return (total - total.min()) / (total.max() - total.min()) * 255


def window(picture: NDArray[np.float32], left: float, side: int) -> Picture:
    """What a camera sees of a wide picture that stands `left` pixels from its left edge, by bilinear interpolation."""
    whole, part = int(left), left - int(left)
    seen = (1 - part) * picture[:side, whole : whole + side] + part * picture[:side, whole + 1 : whole + side + 1]
    return seen.round().astype(np.uint8)


@pytest.mark.parametrize("side", [64, 128, 448])
def test_a_pan_of_three_and_a_half_pixels_is_found_and_undone(side: int) -> None:
    wide = texture(side + 16, side, seed=side)
    before, now = window(wide, 4.0, side), window(wide, 7.5, side)
    motion = film_motion(before, now)
    inner = motion.back[8:-8, 8:-8]
    assert abs(inner[..., 0] - 3.5).max() < 0.5
    assert abs(inner[..., 1]).max() < 0.5
    assert motion.covered > 0.85
    moved = Warp(motion.grid).move(torch.from_numpy(before).permute(2, 0, 1)[None].float())
    difference = (moved[0].permute(1, 2, 0).numpy() - now)[8:-8, 8:-8]
    assert abs(difference).mean() < 0.25 * abs(before.astype(float) - now)[8:-8, 8:-8].mean()


@pytest.mark.parametrize(("seed", "step"), [(1, 4), (1, 8), (3, 8), (1, 16)])
def test_what_a_square_uncovers_is_not_seen_and_still_ground_is(seed: int, step: int) -> None:
    side, size = 256, 64
    ground, square = (texture(side, side, it).astype(np.uint8) for it in (seed, seed + 1))

    def at(left: int) -> Picture:
        frame = ground.copy()
        frame[96 : 96 + size, left : left + size] = square[:size, :size]
        return frame

    motion = film_motion(at(96), at(96 + step))
    uncovered = np.zeros((side, side), bool)
    uncovered[96 : 96 + size, 96 : 96 + step] = True
    both, either = (motion.uncovered & uncovered).sum(), (motion.uncovered | uncovered).sum()
    assert both / either > 0.8
    assert (~motion.seen)[uncovered].mean() > 0.98
    far = np.ones((side, side), bool)
    far[72:184, 72:192] = False
    assert motion.seen[far].mean() > 0.99
    soft = motion.soft()[0, 0].numpy()
    assert soft[uncovered].mean() < 0.3
    assert soft[128, 96 + step + size // 2] > 0.7  # in the square itself


def test_a_cut_leaves_next_to_nothing() -> None:
    before, now = (texture(96, 96, seed).astype(np.uint8) for seed in (3, 4))
    assert film_motion(before, now).covered < 0.25
    assert film_motion(now, now).covered > 0.99


def test_it_is_the_same_with_any_number_of_threads() -> None:
    wide = texture(144, 128, 5)
    before, now = window(wide, 2.0, 128), window(wide, 5.25, 128)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = film_motion(before, now)
        torch.set_num_threads(2)
        two = film_motion(before, now)
    finally:
        torch.set_num_threads(threads)
    assert (one.back == two.back).all()
    assert (one.seen == two.seen).all()


def test_the_grid_at_another_resolution_is_the_same_motion() -> None:
    wide = texture(144, 128, 6)
    motion = film_motion(window(wide, 2.0, 128), window(wide, 6.0, 128))
    fine, coarse = motion.grid(128, 128), motion.grid(32, 32)
    assert coarse.shape == (1, 32, 32, 2)
    middle = torch.nn.functional.avg_pool2d(fine.permute(0, 3, 1, 2), 4).permute(0, 2, 3, 1)
    assert (middle - coarse)[:, 4:-4, 4:-4].abs().max() < 1e-3

"""Averages over neighbouring frames: by the formula where the camera stands, along it where it moves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from renderers.frame_plan.motion import STILL, Homography
from renderers.frame_rendering.smoothing import smoothed
from renderers.frame_rendering.warp import warp_of

SIDE = 48


def pictures(count: int, seed: int = 0) -> list[np.ndarray]:
    chance = np.random.default_rng(seed)
    return [chance.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8) for _ in range(count)]


@pytest.mark.parametrize("size", [3, 5, 7])
def test_a_camera_that_stands_still_averages_in_place(size: int) -> None:
    given, c = pictures(9), 0.6
    found = list(smoothed(enumerate(given, 10), size, c, lambda _: STILL))
    assert [number for number, _ in found] == list(range(10, 19))
    for index, (_, picture) in enumerate(found):
        near = [k for k in range(-(size // 2), size // 2 + 1) if 0 <= index + k < len(given)]
        weights = np.array([c * (1 - c) ** abs(k) for k in near])
        mean = sum(w * given[index + k].astype(float) for w, k in zip(weights, near, strict=True)) / weights.sum()
        assert np.abs(picture - mean).max() <= 0.51


def test_a_centre_of_1_is_the_frame_itself() -> None:
    given = pictures(4)
    found = smoothed(enumerate(given), 5, 1.0, lambda _: STILL)
    assert all(np.array_equal(a, b) for (_, a), b in zip(found, given, strict=True))


def test_neighbours_are_moved_into_place() -> None:
    """Frames that are one picture, moved by the camera: averaged along it they stay as sharp as they were, averaged in
    place they do not."""
    coarse = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    large = torch.nn.functional.interpolate(coarse, size=(SIDE, SIDE), mode="bicubic").clamp(0, 1) * 255
    motion = Homography.of(zoom=1.06, angle=4, translate_x=2)
    given, moved = [], large
    for _ in range(7):
        given.append(moved[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).numpy())
        moved = warp_of(motion, moved).move(moved)
    along = dict(smoothed(enumerate(given), 7, 0.3, lambda _: motion))
    in_place = dict(smoothed(enumerate(given), 7, 0.3, lambda _: STILL))
    middle = slice(12, 36)

    def error(found: np.ndarray) -> float:
        return float(np.abs(found[middle, middle].astype(float) - given[3][middle, middle]).mean())

    assert error(along[3]) < 1.5
    assert error(in_place[3]) > 8 * error(along[3])


def test_pieces_are_the_whole() -> None:
    given, motion = pictures(9), Homography.of(zoom=1.03, angle=2)
    whole = dict(smoothed(enumerate(given), 5, 0.6, lambda _: motion))
    piece = dict(smoothed(list(enumerate(given))[2:8], 5, 0.6, lambda _: motion))
    assert all(np.array_equal(piece[number], whole[number]) for number in (4, 5))
    assert not np.array_equal(piece[2], whole[2])  # it lacks what was before it

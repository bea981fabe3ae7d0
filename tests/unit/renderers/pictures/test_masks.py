"""Masks as they are read: which tokens are free, and what is refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from renderers.errors import BadInput
from renderers.pictures.masks import LARGEST_SIDE, read_mask
from tests.helpers.frames import encoded


def mask(grey: np.ndarray) -> bytes:
    return encoded(np.repeat(grey[..., None], 3, axis=2).astype(np.uint8))


@given(seed=st.integers(0, 2**31), rows=st.integers(1, 6), columns=st.integers(1, 6), unit=st.sampled_from([4, 8]))
@settings(max_examples=30, deadline=None)
def test_a_token_is_free_where_half_of_its_area_is_white(seed: int, rows: int, columns: int, unit: int) -> None:
    white = np.random.default_rng(seed).random((rows * unit, columns * unit)) < 0.5
    share = white.reshape(rows, unit, columns, unit).mean(axis=(1, 3))
    free = read_mask(mask(white * 255), "m.png").free(columns, rows)
    clear = abs(share - 0.5) > 0.01  # a half is rounded
    assert (free == (share >= 0.5))[clear].all()


def test_grey_counts_as_far_as_it_is_white_and_what_is_transparent_is() -> None:
    assert read_mask(mask(np.full((8, 8), 140)), "m").free(2, 2).all()
    assert not read_mask(mask(np.full((8, 8), 115)), "m").free(2, 2).any()
    target = io.BytesIO()
    hole = Image.new("RGBA", (8, 8), (0, 0, 0, 255))
    hole.paste((0, 0, 0, 0), (4, 0, 8, 8))
    hole.save(target, format="PNG")
    assert read_mask(target.getvalue(), "m").free(2, 2).tolist() == [[False, True]] * 2


def test_a_huge_mask_is_kept_small() -> None:
    white = np.zeros((300, 6000), np.uint8)
    white[:, 3000:] = 255
    found = read_mask(encoded(np.repeat(white[..., None], 3, axis=2)), "m")
    assert (max(found.grey.size), found.size) == (LARGEST_SIDE, (6000, 300))
    assert found.free(40, 2).tolist() == [[False] * 20 + [True] * 20] * 2


@pytest.mark.parametrize(
    ("size", "white", "message"),
    [
        ((32, 34), 255, r"'m.png' has another shape than the frames: 32 x 34 pixels, where they have 64 x 64: crop it"),
        ((640, 360), 255, r"640 x 360 pixels, where they have 64 x 64"),
        ((64, 64), 0, r"'m.png' is black all over: nothing could change. White is what may"),
        ((64, 64), 100, r"is black all over"),
    ],
)
def test_what_is_refused(size: tuple[int, int], white: int, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read_mask(mask(np.full(size[::-1], white)), "m.png").check(64, 64, 4)


def test_white_that_is_smaller_than_a_token_changes_nothing_and_is_refused() -> None:
    dot = np.zeros((64, 64))
    dot[30:34, 30:34] = 255  # four pixels wide, in the corners of four tokens
    read_mask(mask(dot), "m.png").check(64, 64, 2)
    with pytest.raises(BadInput, match=r"has no white as large as 8 x 8 pixels: nothing could change"):
        read_mask(mask(dot), "m.png").check(64, 64, 8)


@pytest.mark.parametrize("size", [(100, 99), (99, 100), (1000, 1019)])
def test_a_shape_that_is_off_by_two_hundredths_will_do(size: tuple[int, int]) -> None:
    read_mask(mask(np.full(size[::-1], 255)), "m.png").check(64, 64, 4)


@pytest.mark.parametrize(
    "data",
    [b"", b"\x00\x00\x00\x20ftypisom" + b"\0" * 64, mask(np.random.default_rng(0).integers(0, 256, (32, 32)))[:-90]],
)
def test_what_is_no_picture_is_bad_input(data: bytes) -> None:
    with pytest.raises(BadInput, match=r"'m.png' is not a picture that can be read"):
        read_mask(data, "m.png")

"""What enlarging does at the edges."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from renderers.pictures.enlarging import enlarged


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("tile", ["x", "y", "xy"])
@pytest.mark.parametrize("size", [(12, 20), (2, 3)])  # smaller than the filter is wide, too
def test_an_enlarged_tile_is_the_middle_of_its_enlarged_repetition(tile: str, size: tuple[int, int]) -> None:
    pixels = noise(*size)
    across, down = (5 if axis in tile else 1 for axis in "xy")
    repeated = Image.fromarray(np.tile(pixels, (down, across, 1)))
    whole = np.asarray(repeated.resize((repeated.width * 4, repeated.height * 4), Image.Resampling.LANCZOS))
    top, left = 4 * size[0] * (down // 2), 4 * size[1] * (across // 2)
    middle = whole[top : top + 4 * size[0], left : left + 4 * size[1]]
    np.testing.assert_allclose(np.asarray(enlarged(Image.fromarray(pixels), 4, tile)).astype(int), middle, atol=1)


def test_what_is_no_tile_is_enlarged_as_ever() -> None:
    picture = Image.fromarray(noise(7, 9))
    plain = picture.resize((27, 21), Image.Resampling.LANCZOS)
    assert np.array_equal(np.asarray(enlarged(picture, 3)), np.asarray(plain))

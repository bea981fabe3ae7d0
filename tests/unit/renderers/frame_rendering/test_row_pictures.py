"""Pictures that a row names: read whatever they are, and fitted to the frame."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from renderers.errors import BadInput
from renderers.frame_rendering.pictures import read_picture
from renderers.frame_rendering.renderer import FrameRenderer
from tests.helpers.frames import encoded, first, picture_bytes
from tests.helpers.random_model import Planner


@pytest.mark.parametrize(
    "data", [b"", b"not a picture", picture_bytes()[:-40], encoded(np.zeros((9, 9, 3), np.uint8), "JPEG")[:-30]]
)
@pytest.mark.parametrize("columns", [{"init_image": "a.png"}, {"image_prompts": [{"image": "a.png"}]}])
def test_a_picture_that_cannot_be_read_is_bad_input(
    renderer: FrameRenderer, planned: Planner, data: bytes, columns: dict[str, Any]
) -> None:
    with pytest.raises(BadInput, match=r"'a.png' is not a picture that can be read .*give PNG, JPEG, WebP or GIF"):
        first(renderer, planned({"a.png": data}, **columns), {"a.png": data})


def test_a_picture_of_absurd_size_is_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # rather than a file of 180 megapixels
    with pytest.raises(BadInput, match="exceeds limit"):
        read_picture({"a.png": picture_bytes()}, "a.png", 32, 32)


def test_a_wide_picture_covers_the_frame_and_is_cut_in_the_middle() -> None:
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 20:40, 0] = 255  # the middle third is red
    pixels[:, :20, 1] = pixels[:, 40:, 1] = 255
    seen = read_picture({"a": encoded(pixels)}, "a", 40, 40)
    assert seen.shape == (1, 3, 40, 40)
    assert float(seen[0, 0, :, 3:-3].min()) > 0.9
    assert float(seen[0, 1, :, 3:-3].max()) < 0.1


@pytest.mark.parametrize(("width", "height"), [(33, 17), (7, 91), (64, 64), (300, 200)])
def test_every_picture_fills_the_frame(width: int, height: int) -> None:
    white = encoded(np.full((height, width, 3), 255, np.uint8))
    assert (read_picture({"a": white}, "a", 48, 32) == 1).all()


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_pictures_of_any_mode_are_read(mode: str) -> None:
    target = io.BytesIO()
    Image.new("RGB", (8, 8), (255, 255, 255)).convert(mode).save(target, format="TIFF")
    torch.testing.assert_close(read_picture({"a": target.getvalue()}, "a", 8, 8), torch.ones(1, 3, 8, 8))


def test_a_photograph_stands_upright() -> None:
    """A camera held upright writes its sensor's rows as they are, and tag 274: turn me."""
    exif = Image.Exif()
    exif[274] = 6  # the viewer turns it a quarter clockwise
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:, :8] = 255  # white on the left of the sensor is white on top of the picture
    seen = read_picture({"a": encoded(pixels, exif=exif)}, "a", 16, 16)
    assert float(seen[0, :, :8].min()) == 1
    assert float(seen[0, :, 8:].max()) == 0

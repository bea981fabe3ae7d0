"""Drawing sprites of any size, and what a file without words (an older one) is read as."""

import json
from pathlib import Path

import numpy as np
import pytest

from renderers.training.sprites import Sprites, draw, load_sprites

CIRCLE = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="4" fill="#f00"/></svg>'


@pytest.mark.parametrize("side", [96, 144])
def test_a_drawing_fills_its_square_but_for_the_margin_at_any_size(side: int) -> None:
    pytest.importorskip("resvg_py")
    pixels = draw(CIRCLE, side)
    assert pixels is not None
    assert pixels.shape == (side, side, 4)
    seen = np.argwhere(pixels[..., 3] > 127)
    margin = side // 24
    assert (seen.min(0).tolist(), seen.max(0).tolist()) == ([margin] * 2, [side - 1 - margin] * 2)


def test_a_file_from_before_words_were_kept_has_none(tmp_path: Path) -> None:
    about = {"style": ["noto"], "label": ["red apple"], "packages": []}
    np.savez_compressed(tmp_path / "sprites.npz", pixels=np.zeros((1, 96, 96, 4), np.uint8), about=json.dumps(about))
    sprites = load_sprites(tmp_path)
    assert (sprites.concept, dict(sprites.words)) == (("apple",), {})


def test_a_choice_keeps_words_and_packages() -> None:
    sprites = Sprites(np.zeros((2, 4, 4, 4), np.uint8), ("noto", "fluent"), ("", ""), ("a", "b"), ({"name": "p"},), {})
    chosen = sprites.of_styles("fluent")
    assert (chosen.label, chosen.packages) == (("b",), ({"name": "p"},))

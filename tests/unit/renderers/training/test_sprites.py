"""Drawing sprites of any size, and what a file without words (an older one) is read as."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import renderers.training.sprites as sprites_module
from renderers.training.sources import SourceMissing
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


ABOUT = {"style": ["noto"], "label": ["red apple"], "packages": []}
ONE = np.zeros((1, 96, 96, 4), np.uint8)


@pytest.mark.parametrize(
    ("pixels", "about"),
    [
        (np.zeros((2, 96, 96, 4), np.uint8), ABOUT), (np.zeros((1, 96, 96, 3), np.uint8), ABOUT),
        (np.zeros((1, 96, 96, 4), np.float32), ABOUT), (np.uint8(0), ABOUT), (ONE, {**ABOUT, "style": 7}),
        (ONE, {**ABOUT, "label": [["red apple"]]}), (ONE, []), (ONE, None), (ONE, {**ABOUT, "packages": ["x"]}),
        (ONE, {**ABOUT, "words": {"red apple": {"subgroup": 1, "tags": []}}}), (ONE, {**ABOUT, "words": []}),
    ],
)  # fmt: skip
def test_a_strangers_sprites_are_looked_at_before_they_are_used(tmp_path: Path, pixels: Any, about: Any) -> None:
    np.savez_compressed(tmp_path / "sprites.npz", pixels=pixels, about=json.dumps(about))
    with pytest.raises(SourceMissing, match="is not a sprite file"):
        load_sprites(tmp_path)


@pytest.mark.parametrize("data", [b"", b"PK\3\4", b"\x93NUMPY" + b"\xff" * 50, b"x" * 1000], ids=repr)
def test_what_is_no_sprite_file_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "sprites.npz").write_bytes(data)
    with pytest.raises(SourceMissing, match="is not a sprite file"):
        load_sprites(tmp_path)


def test_a_bomb_and_a_pipe_for_sprites_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "sprites.npz", pixels=ONE, about=json.dumps(ABOUT))
    monkeypatch.setattr(sprites_module, "MOST_BYTES", 10_000)
    with pytest.raises(SourceMissing, match=r"it unfolds to 3\d,\d{3} bytes, and may have 10,000"):
        load_sprites(tmp_path)
    (tmp_path / "sprites.npz").unlink()
    os.mkfifo(tmp_path / "sprites.npz")
    with pytest.raises(SourceMissing, match="or no file"):
        load_sprites(tmp_path)

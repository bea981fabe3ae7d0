"""Sprites from a package of our own: real `npm pack`, real drawing, interrupted and done again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from renderers.training.sources import Package, SourceMissing
from renderers.training.sprites import SIDE, SpriteProgress, load_sprites, make_sprites

pytest.importorskip("resvg_py")
pytestmark = pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm")

CIRCLE = '<circle cx="8" cy="8" r="{}" fill="{}"/>'


def npm_package(folder: Path, name: str, files: dict[str, object], licence: str = "MIT") -> str:
    folder.mkdir(parents=True)
    files = {**files, "package.json": {"name": name, "version": "1.2.3", "license": licence}}
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(json.dumps(content))
    return str(folder)


@pytest.fixture
def names(tmp_path: Path) -> Package:
    entries = [
        {"hexcode": "1F34E", "label": "red apple", "group": 4},
        {"hexcode": "1F535", "label": "blue circle", "group": 8},
        {"hexcode": "1F573", "label": "hole", "group": 0},
        {"hexcode": "1F4A5", "label": "collision", "group": 0},
    ]
    folder = tmp_path / "labels"
    return Package("", npm_package(folder, "labels", {"en/data.json": entries}), "names", "training", "MIT")


def icons(tmp_path: Path, style: str, *, licence: str = "MIT") -> Package:
    bodies = {
        "apple": CIRCLE.format(4, "#f00"),
        "disc": CIRCLE.format(1, "#00f"),
        "hole": "",
        "bang": "<not closed",
    }
    files = {
        "icons.json": {"icons": {name: {"body": body} for name, body in bodies.items()}},
        "chars.json": {"1f34e": "apple", "1f535": "disc", "1f573": "hole", "1f4a5": "bang"},
    }
    return Package(style, npm_package(tmp_path / style, f"my-{style}", files, licence), "iconify", "training", "MIT")


def test_sprites_are_drawn_large_centred_and_known_by_concept(tmp_path: Path, names: Package) -> None:
    progress: list[SpriteProgress] = []
    cache = tmp_path / "cache"
    made = make_sprites(cache, packages=[icons(tmp_path, "noto")], names=names, on_progress=progress.append)
    # the empty one and the broken one are skipped; what is there fills its square, however small it was drawn
    assert (made.label, made.concept) == (("red apple", "blue circle"), ("apple", ""))
    assert (progress[-1].drawn, progress[-1].skipped) == (2, 2)
    assert made.pixels.shape == (2, SIDE, SIDE, 4)
    assert made.pixels.dtype == np.uint8
    for picture, colour in zip(made.pixels, ([255, 0, 0, 255], [0, 0, 255, 255]), strict=True):
        assert picture[SIDE // 2, SIDE // 2].tolist() == colour
        seen = np.argwhere(picture[..., 3] > 127)
        assert seen.min(0).tolist() == [4, 4]
        assert seen.max(0).tolist() == [SIDE - 5, SIDE - 5]
    assert [p["version"] for p in made.packages] == ["1.2.3", "1.2.3"]
    assert len(made.with_concepts()) == 1
    assert len(made.of_styles("noto")) == 2
    assert len(made.of_styles("twemoji")) == 0
    with pytest.raises(ValueError, match="unknown sprite style"):
        made.of_styles("impressionist")


def test_a_second_run_goes_on_where_the_first_was_stopped(tmp_path: Path, names: Package) -> None:
    cache = tmp_path / "cache"
    first, second = icons(tmp_path, "noto"), icons(tmp_path, "twemoji")

    def stop(progress: SpriteProgress) -> None:
        if progress.style == "twemoji":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_sprites(cache, packages=[first, second], names=names, on_progress=stop)
    with pytest.raises(SourceMissing, match="nightreel models sprites"):
        load_sprites(cache)
    part = cache / "parts" / "noto.npz"
    before = part.stat().st_mtime_ns
    shutil.rmtree(tmp_path / "noto")  # the package need not be there again
    made = make_sprites(cache, packages=[first, second], names=names)
    assert made.style == ("noto", "noto", "twemoji", "twemoji")
    assert part.stat().st_mtime_ns == before


def test_a_package_under_another_licence_is_refused_and_the_others_drawn(tmp_path: Path, names: Package) -> None:
    cache = tmp_path / "cache"
    closed, free = icons(tmp_path, "noto", licence="UNLICENSED"), icons(tmp_path, "twemoji")
    with pytest.raises(SourceMissing, match="says its licence is 'UNLICENSED', expected 'MIT'"):
        make_sprites(cache, packages=[closed, free], names=names)
    assert (cache / "parts" / "twemoji.npz").exists()
    assert not (cache / "parts" / "noto.npz").exists()


def test_a_damaged_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "sprites.npz").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(SourceMissing, match="is not a sprite file"):
        load_sprites(tmp_path)

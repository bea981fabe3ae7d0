"""Reading unpacked packages: which drawing is which emoji, in each way that packages say it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from renderers.training.sources import PACKAGES, EmojiWords, Package, emoji_labels, emoji_words, read_drawings

LABELS = {"1f34e": "red apple", "2764": "red heart", "1f436": "dog face", "1f415": "dog", "1f426": "bird"}


def of_kind(kind: str) -> Package:
    return Package("somestyle", "some-package", kind, "training", "MIT")


def iconify(folder: Path, icons: dict[str, object], chars: dict[str, str]) -> Path:
    (folder / "package").mkdir()
    (folder / "package" / "icons.json").write_text(json.dumps({"width": 32, **icons}))
    (folder / "package" / "chars.json").write_text(json.dumps(chars))
    return folder


def test_a_set_with_code_points_is_matched_by_them_whatever_its_names(tmp_path: Path) -> None:
    icons = {
        "icons": {"pomme": {"body": "<path/>"}, "coeur": {"body": "<g/>", "height": 20}, "else": {"body": "<a/>"}},
        "aliases": {"love": {"parent": "coeur"}},
    }
    folder = iconify(tmp_path, icons, {"1f34e": "pomme", "2764-fe0f": "love", "1f9ff": "else"})
    drawings = list(read_drawings(of_kind("iconify"), folder, LABELS))
    assert [(d.style, d.label) for d in drawings] == [("somestyle", "red apple"), ("somestyle", "red heart")]
    assert 'viewBox="0 0 32 16"' in drawings[0].svg
    assert drawings[0].svg.endswith("<path/></svg>")
    assert 'viewBox="0 0 32 20"' in drawings[1].svg


def test_a_set_without_code_points_is_matched_by_name_variants_and_old_names_included(tmp_path: Path) -> None:
    names = ["red-apple", "dog", "dogside", "bird-1", "bird-2", "wardrobe"]
    icons = {"icons": {name: {"body": name} for name in names}}
    folder = iconify(tmp_path, icons, {})
    drawings = list(read_drawings(of_kind("iconify"), folder, LABELS))
    # in sets of that age 'dog' is the face and 'dogside' the animal
    assert [d.label for d in drawings] == ["red apple", "dog face", "dog", "bird", "bird"]


def test_openmoji_files_are_named_by_code_point(tmp_path: Path) -> None:
    folder = tmp_path / "package" / "color" / "svg"
    folder.mkdir(parents=True)
    for name in ("1F34E", "2764-FE0F", "1F34E-1F3FB"):
        (folder / f"{name}.svg").write_text(f"<svg>{name}</svg>")
    assert [d.label for d in read_drawings(of_kind("openmoji"), tmp_path, LABELS)] == ["red apple", "red heart"]


def test_clip_art_is_called_by_its_title_and_large_files_are_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "package" / "usr" / "svg" / "animals"
    folder.mkdir(parents=True)
    (folder / "a_wild_hen_2.svg").write_text("<svg/>")
    (folder / "b.svg").write_text("<svg><dc:title>The Brown-Goose</dc:title></svg>")
    (folder / "photo.svg").write_text(f"<svg>{' ' * 50_000}</svg>")
    assert [d.label for d in read_drawings(of_kind("clipart"), tmp_path, {})] == ["wild hen", "the brown goose"]


def test_flags_and_skin_tones_are_no_labels(tmp_path: Path) -> None:
    entries = [
        {"hexcode": "1F34E", "label": "red apple", "group": 4, "skins": [{"hexcode": "1F34E-1F3FB"}]},
        {"hexcode": "1F3C1", "label": "chequered flag", "group": 9},
        {"hexcode": "1F1E6", "label": "regional indicator A"},
        {"hexcode": "2764-FE0F", "label": "red heart", "group": 0},
    ]
    (tmp_path / "package" / "en").mkdir(parents=True)
    (tmp_path / "package" / "en" / "data.json").write_text(json.dumps(entries))
    assert emoji_labels(tmp_path) == {"1f34e": "red apple", "2764": "red heart"}


def test_words_of_an_emoji_are_its_subgroup_and_tags(tmp_path: Path) -> None:
    entries = [
        {"hexcode": "1F426", "label": "bird", "group": 3, "subgroup": 35, "tags": ["animal", "tweet"]},
        {"hexcode": "1F3C1", "label": "chequered flag", "group": 9, "subgroup": 97},
        {"hexcode": "2764", "label": "red heart", "group": 0},
    ]
    for name, content in (("en/data.json", entries), ("meta/groups.json", {"subgroups": {"35": "animal-bird"}})):
        path = tmp_path / "package" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    assert emoji_words(tmp_path) == {
        "bird": EmojiWords("animal-bird", ("animal", "tweet")),
        "red heart": EmojiWords("", ()),
    }
    (tmp_path / "package" / "meta" / "groups.json").unlink()
    assert emoji_words(tmp_path)["bird"].subgroup == ""


def test_nothing_under_a_share_alike_licence_is_for_training() -> None:
    assert [p.name for p in PACKAGES if p.role == "training" and "SA" in p.licence] == []
    assert [p.role for p in PACKAGES if p.style == "openmoji"] == ["held out"]


@pytest.mark.parametrize("role", ["training", "held out", "judge"])
def test_each_role_has_a_style(role: str) -> None:
    assert [p for p in PACKAGES if p.role == role]

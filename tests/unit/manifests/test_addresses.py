"""The addresses that a row holds: nobody else keeps a list of their columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from manifests.schema import ManifestRow, addresses_of, with_addresses
from manifests.schema.scenes import Uri

ROW = ManifestRow(
    video_id="reef", init_image="a.png", mask="m.png", frames=20,
    regions=[{"mask": "n.png", "prompts": "fish"}, {"mask": "o.png", "prompts": "0: sand | 5: weed"}],
    image_prompts=[{"image": "b.png"}, {"image": "c.png"}],
    prompts=[{"at": 9, "images": [{"image": "d.png"}, {"image": "e.png"}]}, {"prompts": [{"text": "a reef"}]}],
    renew={"colours": "1", "colours_from": "f.png"}, audio="g.mp3",
)  # fmt: skip


def test_all_addresses_are_named_and_changed() -> None:
    assert [(it.column, it.address, it.scene) for it in addresses_of(ROW)] == [
        ("init_image", "a.png", None), ("mask", "m.png", None),
        ("regions", "n.png", None), ("regions", "o.png", None),
        ("image_prompts", "b.png", None), ("image_prompts", "c.png", None),
        ("prompts", "d.png", 9), ("prompts", "e.png", 9), ("renew", "f.png", None), ("audio", "g.mp3", None),
    ]  # fmt: skip
    assert [it.place for it in addresses_of(ROW)][2:4] == ["regions[0].mask", "regions[1].mask"]
    assert [it.place for it in addresses_of(ROW)][5:7] == ["image_prompts", "prompts (the scene at frame 9)"]
    assert [it.place for it in addresses_of(ROW)][-2:] == ["renew.colours_from", "audio"]
    assert [it.column for it in addresses_of(ROW) if not it.is_picture] == ["audio"]
    changed = with_addresses(ROW, str.upper)
    assert [it.address for it in addresses_of(changed)] == [
        "A.PNG",
        "M.PNG",
        "N.PNG",
        "O.PNG",
        "B.PNG",
        "C.PNG",
        "D.PNG",
        "E.PNG",
        "F.PNG",
        "G.MP3",
    ]
    assert with_addresses(changed, str.lower) == ROW
    preset = ManifestRow(video_id="reef", prompt="a reef", preset="mine.yaml")  # a file, but no picture
    assert with_addresses(preset, str.upper).preset == "MINE.YAML"


def test_a_film_is_named_too() -> None:
    film = ManifestRow.model_validate({"video_id": "reef", "prompt": "a reef", "source": {"video": "h.mp4"}})
    assert [(it.column, it.address, it.scene, it.place, it.is_picture) for it in addresses_of(film)] == [
        ("source", "h.mp4", None, "source.video", False)
    ]
    changed = with_addresses(film, str.upper)
    assert changed.source.video == "H.MP4"
    assert with_addresses(changed, str.lower) == film


def test_what_was_computed_of_a_row_is_not_kept_with_its_former_addresses() -> None:
    row = ROW.model_copy()
    assert row.scenes[1].images is not None  # computed, and remembered
    assert row.fades.shares(0) == ((0, 1.0),)
    changed = with_addresses(row, str.upper)
    assert [[it.image for it in scene.images or ()] for scene in changed.scenes] == [[], ["D.PNG", "E.PNG"]]
    assert changed.own_scenes == changed.scenes
    assert with_addresses(changed, str.lower).scenes == row.scenes


def test_a_row_without_addresses_is_itself() -> None:
    row = ManifestRow(video_id="reef", prompts=[{"prompts": [{"text": "a reef"}]}])
    assert with_addresses(row, str.upper) is row


def test_no_column_of_addresses_is_forgotten() -> None:
    """One that is would be read by nobody, and its passwords kept in every plan: give it to schema/addresses.py."""
    (longest,) = (it.max_length for it in Uri.__metadata__[0].metadata if hasattr(it, "max_length"))

    def columns(schema: Any, within: str = "") -> Iterator[str]:
        if isinstance(schema, dict):
            if schema.get("maxLength") == longest:
                yield within
            for name, part in (schema.get("properties") or {}).items():
                yield from columns(part, within or name)
            for key, part in schema.items():
                if key == "$ref":
                    yield from columns(definitions[part.rpartition("/")[2]], within)
                elif key in ("anyOf", "items", "allOf", "prefixItems"):
                    yield from columns(part, within)
        elif isinstance(schema, list):
            for part in schema:
                yield from columns(part, within)

    whole = ManifestRow.model_json_schema()
    definitions = whole.get("$defs", {})
    assert set(columns(whole)) == {it.column for it in addresses_of(ROW)} | {"source", "preset"}

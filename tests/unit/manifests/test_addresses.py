"""The addresses that a row holds: nobody else keeps a list of their columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from manifests.schema import ManifestRow, addresses_of, with_addresses
from manifests.schema.scenes import Uri

ROW = ManifestRow(
    video_id="reef", prompt="a reef", init_image="a.png", image_prompts=[{"image": "b.png"}, {"image": "c.png"}]
)


def test_all_addresses_are_named_and_changed() -> None:
    assert list(addresses_of(ROW)) == [("init_image", "a.png"), ("image_prompts", "b.png"), ("image_prompts", "c.png")]
    changed = with_addresses(ROW, str.upper)
    assert [address for _, address in addresses_of(changed)] == ["A.PNG", "B.PNG", "C.PNG"]
    assert with_addresses(changed, str.lower) == ROW
    preset = ManifestRow(video_id="reef", prompt="a reef", preset="mine.yaml")  # a file, but no picture
    assert with_addresses(preset, str.upper).preset == "MINE.YAML"


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
    assert set(columns(whole)) == {column for column, _ in addresses_of(ROW)} | {"preset"}

"""The columns of a row that hold addresses, all at once: whoever reads, masks or moves them asks here.

A preset's file is no picture: it is read while the row is planned, which keeps what was in it
(flows/job/preset_files.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from manifests.schema.presets import is_file
from manifests.schema.row import ManifestRow

__all__ = ["ADDRESS_COLUMNS", "addresses_of", "with_addresses"]

ADDRESS_COLUMNS = frozenset({"init_image", "image_prompts"})


def addresses_of(row: ManifestRow) -> Iterator[tuple[str, str]]:
    """Yield each address of a picture that `row` names, after its column."""
    if row.init_image is not None:
        yield "init_image", row.init_image
    for prompt in row.image_prompts or ():
        yield "image_prompts", prompt.image


def with_addresses(row: ManifestRow, change: Callable[[str], str]) -> ManifestRow:
    """Return `row` with each address, of its pictures and of its preset's file, as `change` makes it; nothing is
    validated again."""
    update: dict[str, Any] = {}
    if row.init_image is not None:
        update["init_image"] = change(row.init_image)
    if row.image_prompts:
        update["image_prompts"] = tuple(
            prompt.model_copy(update={"image": change(prompt.image)}) for prompt in row.image_prompts
        )
    if row.preset is not None and is_file(row.preset):
        update["preset"] = change(row.preset)
    return row.model_copy(update=update) if update else row

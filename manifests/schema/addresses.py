"""The columns of a row that hold addresses, all at once: whoever reads, masks or moves them asks here.

A preset's file is no picture: it is read while the row is planned, which keeps what was in it
(flows/job/preset_files.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from manifests.schema.presets import is_file
from manifests.schema.renew import names_picture
from manifests.schema.row import ManifestRow
from manifests.schema.scenes import ImagePrompt

__all__ = ["ADDRESS_COLUMNS", "Address", "addresses_of", "with_addresses"]

ADDRESS_COLUMNS = frozenset({"init_image", "mask", "regions", "image_prompts", "prompts", "renew", "source", "audio"})


class Address(NamedTuple):
    """Where a picture, the film, or the sound, lies that a row names, and in which `column`; `scene` is the frame at
    which the scene starts that names it, None for what holds throughout; of a region its number, from 0."""

    column: str
    address: str
    scene: int | None = None
    region: int | None = None

    @property
    def is_picture(self) -> bool:
        """Whether a picture lies there: what frames are drawn with. Sound comes under them, and a film is prepared."""
        return self.column not in ("audio", "source")

    @property
    def place(self) -> str:
        """The column, and the scene in it, for messages."""
        if self.column == "renew":
            return "renew.colours_from"
        if self.column == "source":
            return "source.video"
        if self.region is not None:
            return f"regions[{self.region}].mask"
        return self.column if self.scene is None else f"{self.column} (the scene at frame {self.scene})"


def addresses_of(row: ManifestRow) -> Iterator[Address]:
    """Yield each address of a picture that `row` names, and those of its film and sound."""
    if row.init_image is not None:
        yield Address("init_image", row.init_image)
    if row.mask is not None:
        yield Address("mask", row.mask)
    for number, region in enumerate(row.regions or ()):
        yield Address("regions", region.mask, region=number)
    for prompt in row.image_prompts or ():
        yield Address("image_prompts", prompt.image)
    for scene in row.prompts or ():
        for prompt in scene.images or ():
            yield Address("prompts", prompt.image, scene.at)
    if names_picture(row.renew.colours_from):
        yield Address("renew", row.renew.colours_from)
    if row.source.video is not None:
        yield Address("source", row.source.video)
    if row.audio is not None:
        yield Address("audio", row.audio)


def with_addresses(row: ManifestRow, change: Callable[[str], str]) -> ManifestRow:
    """Return `row` with each address, of its pictures, film, sound and preset's file, as `change` makes it; nothing is
    validated again."""
    update: dict[str, Any] = {}
    if row.init_image is not None:
        update["init_image"] = change(row.init_image)
    if row.mask is not None:
        update["mask"] = change(row.mask)
    if row.regions:
        update["regions"] = tuple(it.model_copy(update={"mask": change(it.mask)}) for it in row.regions)
    if row.image_prompts:
        update["image_prompts"] = _moved(row.image_prompts, change)
    if any(scene.images for scene in row.prompts or ()):
        update["prompts"] = tuple(
            scene.model_copy(update={"images": _moved(scene.images, change)}) if scene.images else scene
            for scene in row.prompts or ()
        )
    if names_picture(row.renew.colours_from):
        update["renew"] = row.renew.model_copy(update={"colours_from": change(row.renew.colours_from)})
    if row.source.video is not None:
        update["source"] = row.source.model_copy(update={"video": change(row.source.video)})
    if row.audio is not None:
        update["audio"] = change(row.audio)
    if row.preset is not None and is_file(row.preset):
        update["preset"] = change(row.preset)
    if not update:
        return row
    moved = row.model_copy(update=update)
    for computed in ("scenes", "own_scenes", "fades"):  # of the addresses that it had
        moved.__dict__.pop(computed, None)
    return moved


def _moved(prompts: tuple[ImagePrompt, ...], change: Callable[[str], str]) -> tuple[ImagePrompt, ...]:
    return tuple(prompt.model_copy(update={"image": change(prompt.image)}) for prompt in prompts)

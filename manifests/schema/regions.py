"""Regions: parts of the frame that are drawn towards prompts of their own, beside those of the whole."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field

from manifests.masking import address_without_secrets
from manifests.schema.base import Settings
from manifests.schema.neutral import Neutral
from manifests.schema.prompts import parse_prompts, shown_prompts
from manifests.schema.scenes import Scene, Uri

__all__ = ["LEAST_CUTOUTS", "MOST_REGIONS", "Region", "Regions", "shown_with_regions"]

# Crops that each region, and the whole, has at least of those of a step: fewer see too little of it.
LEAST_CUTOUTS = 4
MOST_REGIONS = 100


def _check_prompts(text: str) -> str:
    parse_prompts(text)
    return text


class Region(Settings):
    """A part of the frame, the white of a mask, with prompts of its own."""

    mask: Uri = Field(
        description="Picture of where the region is: white is, black is not, and what is transparent is white; of the "
        "shape of the frames. A URI, or a path (from the manifest's folder)."
    )
    # the length before the grammar, which takes its time
    prompts: Annotated[str, Field(max_length=100_000), AfterValidator(_check_prompts)] = Field(
        description="What to draw there, in the compact grammar of prompt.",
        json_schema_extra={"allowed": "text:weight:stop, parts joined by '|', scenes keyed as '0: dawn | 120: night'"},
    )
    blind: Annotated[float, Neutral(0.3)] = Field(
        0.3, ge=0, le=1, description="Chance of a crop that what is around the region is blurred in it."
    )
    moves: Annotated[bool, Neutral(False)] = Field(
        False,
        description="The region goes with the camera, as the picture does; otherwise it stands still in the frame.",
    )

    @property
    def scenes(self) -> tuple[Scene, ...]:
        """Its story as it is written, without what the row adds to all scenes."""
        return parse_prompts(self.prompts)


Regions: TypeAlias = Annotated[
    tuple[Region, ...] | None,
    Neutral(None, in_time=True),
    Field(
        max_length=MOST_REGIONS,
        description="Parts of the frame with prompts of their own, beside those of the whole: masks, in the white of "
        "which they are drawn.",
    ),
]


def shown_with_regions(scenes: Iterable[Scene], regions: Iterable[tuple[Region, Iterable[Scene]]]) -> str:
    """Write scenes, and those of regions behind the names of their masks, for people to read."""
    shown = shown_prompts(scenes)
    for region, own in regions:
        shown += f" [{address_without_secrets(region.mask)}: {shown_prompts(own)}]"
    return shown

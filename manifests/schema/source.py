"""A film that a video is drawn over, frame by frame: the nested settings `source`.

Who plans a row prepares the film (flows/job/films.py): its frames, at the size of the row, lie beside the video's then,
and the row says which they are, a hash of the pixels of each. Frames hang on those hashes, not on the film's file.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from manifests.schema.base import Settings, SettingsError
from manifests.schema.camera import CAMERA_LIMITS
from manifests.schema.keyframe_text import KeyframeText
from manifests.schema.keyframes import Keyframes
from manifests.schema.neutral import Neutral
from manifests.schema.scenes import Uri
from manifests.schema.texts import short

if TYPE_CHECKING:
    from manifests.schema.row import ManifestRow

__all__ = [
    "HASH", "MOST_FRAMES", "SOURCE_HOLDS", "SOURCE_LIMITS", "FoundSource", "SourceSettings", "check_source",
    "imply_from_source",
]  # fmt: skip

HASH = 16  # hexadecimal digits that a prepared frame is known by
MOST_FRAMES = 1_000_000
# Weights of what frames are held to of the film, and between what they may be; and all that may change in time.
SOURCE_HOLDS = dict.fromkeys(("picture", "edges", "meaning"), (0.0, 1000.0))
SOURCE_LIMITS = {"blend": (0.0, 1.0), **SOURCE_HOLDS}

_HASHES = re.compile(rf"(?:[0-9a-f]{{{HASH}}})*", re.ASCII)


def _check_hashes(text: str) -> str:
    if not _HASHES.fullmatch(text):
        raise ValueError("holds no hashes that a plan has written; leave it out")
    return text


class FoundSource(Settings):
    """What the film was found to hold, written when a row is planned: no author needs to."""

    fps: float = Field(gt=0, le=240, description="Frames per second at which it was taken.")
    frames: Annotated[str, Field(max_length=HASH * MOST_FRAMES), AfterValidator(_check_hashes)] = Field(
        description=f"Its frames, each by the first {HASH} hexadecimal digits of the hash of its pixels."
    )

    @property
    def count(self) -> int:
        """How many frames it has."""
        return len(self.frames) // HASH

    def hash_of(self, index: int) -> str:
        """What frame `index` is known by."""
        return self.frames[index * HASH : (index + 1) * HASH]


class SourceSettings(Settings):
    """A film that the video is drawn over: each of its frames becomes one of the video's."""

    video: Annotated[Uri | None, Neutral(None, in_time=True)] = Field(
        None,
        description="The film, or pictures: a file, a folder, a pattern such as 'shots/*.png', or a zip of pictures; a "
        "URI or a path (from the manifest's folder). Pictures are taken in the order of the numbers in their names.",
    )
    mode: Annotated[Literal["flow", "follow", "each"], Neutral("flow", in_time=True)] = Field(
        "flow",
        description="Where a frame starts: flow, from the frame before, moved as the film moves, which flickers least; "
        "follow, from the frame before as it was, which picture, edges or meaning pull to the film; each, from the "
        "film's own frame alone, so that all actors share one video.",
    )
    start: Annotated[float, Neutral(0.0, in_time=True)] = Field(
        0.0, ge=0, le=1e6, description="Seconds of the film that are left out before the video begins."
    )
    fps: Annotated[float | None, Neutral(None, in_time=True)] = Field(
        None,
        gt=0,
        le=240,
        description="Frames taken of each second of the film: the row's fps where that is given, else as many as the "
        "film has, which are the video's then. Another number than the video's fps makes it slower or faster.",
    )
    fit: Annotated[Literal["cover", "contain", "stretch"], Neutral("cover", in_time=True)] = Field(
        "cover",
        description="A film of another shape than the video: cover, its sides are cut off; contain, it lies on black; "
        "stretch, it is distorted.",
    )
    blend: Annotated[KeyframeText, Neutral(0.05, in_time=True)] = Field(
        "0.05",
        description="Share, 0 to 1, of the film's own frame in what a frame of flow starts from: more keeps to the "
        "film, less flickers less.",
    )
    occluded: Annotated[Literal["source", "moved"], Neutral("source", in_time=True)] = Field(
        "source",
        description="What a frame of flow starts from where the film shows what it did not show before: the film's own "
        "frame, or what was moved there all the same.",
    )
    picture: Annotated[KeyframeText, Neutral(0.0, in_time=True)] = Field(
        "0", description="Weight, 0 to 1000, of how far the pixels of a frame are from the film's own frame's."
    )
    edges: Annotated[KeyframeText, Neutral(0.0, in_time=True)] = Field(
        "0",
        description="Weight, 0 to 1000, of how far the edges of a frame are from the film's own frame's; not its "
        "colours.",
    )
    meaning: Annotated[KeyframeText, Neutral(0.0, in_time=True)] = Field(
        "0", description="Weight, 0 to 1000, of how far what a frame shows is from what the film's own frame shows."
    )
    found: Annotated[FoundSource | None, Neutral(None, in_time=True)] = Field(
        None, description="What the film was found to hold; written when the row is planned."
    )


def imply_from_source(row: ManifestRow, given: Collection[str]) -> dict[str, float | int]:
    """What a row's film decides that its author left out: its rate, and how many frames it has.

    Raises:
        SettingsError: the film has fewer frames than the row.
    """
    found = row.source.found
    if row.source.video is None or found is None:
        return {}
    implied: dict[str, float | int] = {}
    if "fps" not in given:
        implied["fps"] = found.fps
    if "frames" not in given and row.seconds is None:
        implied["frames"] = found.count
    return implied


def check_source(row: ManifestRow, given: Collection[str]) -> None:
    """Raise SettingsError where a row's film does not go with its other columns; `given` are those that its author
    wrote."""
    source = row.source
    if source.video is None:
        for name, field in SourceSettings.model_fields.items():
            if getattr(source, name) != field.default:
                raise SettingsError(
                    f"source.{name}", f"source.{name} says something of a film, but source.video names none: give it"
                )
        return
    if source.found is not None and row.frames > source.found.count:
        raise SettingsError(
            "frames",
            f"frames is {row.frames:,}, but the film '{short(source.video)}' has {source.found.count:,} from "
            f"source.start {source.start:g} on, at {source.found.fps:g} a second: give as many at most, or leave it "
            "out",
        )
    if source.mode == "follow" and all(
        Keyframes.parse(getattr(source, name), row.timeline).constant == 0 for name in SOURCE_HOLDS
    ):
        raise SettingsError(
            "source.mode",
            "source.mode follow starts from the frame before as it was, and nothing pulls it to the film: give "
            "source.picture, source.edges or source.meaning a weight above 0, such as source.picture 300, or choose "
            "flow or each",
        )
    for column, stated, why in (
        ("init_image", row.init_image is not None, "its first frame starts from the film's"),
        ("init", "init" in given and row.init != "tokens", "its first frame starts from the film's"),
        ("continues", row.continues is not None, "its first frame starts from the film's"),
        ("candidates", row.candidates > 1, "it has one start, the film's frame"),
        ("loop", row.loop, "it goes where the film goes"),
        ("handoff", row.handoff == "keyframes", "its frames follow each other as source.mode says"),
        ("depth", row.depth.shape != "plane", "the film moves it, and no camera"),
        ("finish.smooth", row.finish.smooth > 0, "no camera says where a neighbour's picture belongs in a frame"),
    ):
        if stated:
            raise SettingsError(column, f"{column} and source.video exclude each other: of a film, {why}")
    for name in sorted(CAMERA_LIMITS.keys() & given):
        neutral = float(type(row).model_fields[name].default)
        if Keyframes.parse(getattr(row, name), row.timeline).constant != neutral:
            raise SettingsError(name, f"{name} and source.video exclude each other: the film moves it, and no camera")
    if row.warm.start == "codes":
        raise SettingsError(
            "warm.start", "warm.start codes and source.video exclude each other: a film moves pictures; choose picture"
        )

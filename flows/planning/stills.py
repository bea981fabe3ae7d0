"""Stills that are alike: of a million of them each is planned when somebody asks for its plan, and what they have in
common once.

What a row leaves open is filled from its model and its preset, and none of that hangs on the video's name, a plain
prompt or the seed (`manifests.schema.alike`). So the rows that were alike before are alike afterwards, and if one of
them can be planned all can be. A still of which nothing lies in storage is to be rendered whatever its digests are.
"""

from __future__ import annotations

from functools import lru_cache

from flows.planning.remaining import RangeWork, VideoWork, plan_video
from manifests.schema import ManifestRow
from manifests.schema.alike import Alike, may_vary
from renderers.frame_plan.video_plan import VideoPlan

__all__ = ["StillKind", "StillWork"]

# Plans that are kept, of some ten kilobytes each: more than are rendered at a time.
PLANS = 1024

_ONLY = frozenset({0})


class StillKind:
    """What stills have in common that differ in name, prompt and seed alone, and of which nothing lies in storage."""

    def __init__(self, plan: VideoPlan, *, chunk_seconds: float, range_frames: int | None) -> None:
        """`plan` is that of one of them.

        Raises:
            ValueError: it is of no still, or of one whose name, prompt or seed decides more than itself.
            BadInput: it can't be planned.
        """
        if plan.frames != 1 or plan.handoff != "chain" or plan.retakes or not may_vary(plan.row):
            raise ValueError(f"video '{plan.video_id}' is no still of a kind")
        self.plan, self.alike = plan, Alike(plan.row)
        self._chunk_seconds, self._range_frames = chunk_seconds, range_frames
        self.seconds = self.planned(plan).seconds

    def planned(self, plan: VideoPlan) -> VideoWork:
        """Return what is to do by the plan of one of them."""
        _ = plan.frame_plans  # a job renders by these: before all that asks for digests alone
        return plan_video(
            plan, (), (), published_content=None, chunk_seconds=self._chunk_seconds, range_frames=self._range_frames
        )


@lru_cache(PLANS)
def _plan_of(kind: StillKind, video_id: str, prompt: str, seed: int) -> VideoPlan:
    return VideoPlan(kind.alike.of(video_id, prompt, seed), kind.plan.entry, kind.plan.images)


@lru_cache(PLANS)
def _work_of(kind: StillKind, video_id: str, prompt: str, seed: int) -> VideoWork:
    return kind.planned(_plan_of(kind, video_id, prompt, seed))


class StillWork(VideoWork):
    """One of them, as work: as `plan_video` has it, of a few hundred bytes until it is asked for."""

    __slots__ = ("_kind", "_still")

    _kind: StillKind
    _still: tuple[str, str, int]

    def __init__(self, kind: StillKind, video_id: str, prompt: str, seed: int) -> None:
        put = object.__setattr__  # it is frozen
        put(self, "_kind", kind)
        put(self, "_still", (video_id, prompt, seed))

    @property
    def plan(self) -> VideoPlan:
        return _plan_of(self._kind, *self._still)

    @property
    def ranges(self) -> tuple[RangeWork, ...]:
        return _work_of(self._kind, *self._still).ranges

    @property
    def content(self) -> str:
        return _work_of(self._kind, *self._still).content

    @property
    def published_content(self) -> None:
        return None

    @property
    def video_id(self) -> str:
        return self._still[0]

    @property
    def settings(self) -> ManifestRow:
        return self._kind.plan.row

    @property
    def handoff(self) -> str:
        return "chain"

    @property
    def begins_missing(self) -> None:
        return None

    @property
    def published(self) -> bool:
        return False

    @property
    def to_encode(self) -> frozenset[int]:
        return _ONLY

    @property
    def missing(self) -> int:
        return 1

    @property
    def missing_frames(self) -> frozenset[int]:
        return _ONLY

    @property
    def complete(self) -> bool:
        return False

    @property
    def seconds(self) -> float:
        return self._kind.seconds

"""What a run leaves of itself below `report/runs/`: a `RunRecord` once, and a `RunState` every few seconds.

Both are read by whoever shows an output: the report, `nightreel status`, the live page. They may be older or newer than
the program that reads them, so unknown keys are ignored and most keys have defaults.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from manifests.results import RowProblem

__all__ = ["LatestFrame", "Phase", "RefusedVideo", "RunRecord", "RunState", "RunVideo", "VideoPhase", "WorkerState"]

#: What a run as a whole is doing. `ended` says nothing of how: see `RunState.result`.
Phase = Literal["starting", "rendering", "paused", "stopping", "ended"]

#: Where a video of a run stands, as one letter in `RunState.phases`.
VideoPhase = Literal["w", "r", "s", "d", "f"]

_SILENT_SECONDS = 60.0


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class RunVideo(_Document):
    """A video that the run is to render: its id and how many frames it has."""

    video_id: str
    frames: int


class RefusedVideo(_Document):
    """A good row that can't be rendered, and why."""

    video_id: str
    frames: int
    reason: str


class RunRecord(_Document):
    """What a run is to do; put when it begins. One attempt of a flow run is one record.

    `run` is its folder's name, which sorts by time. `flow_run` and `link` are Prefect's, '' without Prefect; attempts
    of one flow run share them. `began` is in UTC.
    """

    schema_: int = Field(1, alias="schema", serialization_alias="schema")
    run: str
    flow: str = ""
    name: str = ""
    flow_run: str = ""
    attempt: int = 1
    link: str = ""
    host: str = ""
    manifest: str = ""
    priority: int = 0
    began: datetime
    version: str = ""
    videos: tuple[RunVideo, ...] = ()
    refused: tuple[RefusedVideo, ...] = ()
    problems: tuple[RowProblem, ...] = ()


class WorkerState(_Document):
    """What a worker of the run is doing. `state` is one of starting, rendering, idle, quarantined, draining; the rest
    is of the frame that it renders, or rendered last."""

    worker: str
    state: str = "idle"
    video_id: str = ""
    frame: int = 0
    step: int = 0
    steps: int = 0
    loss: float = 0.0
    steps_per_second: float = 0.0


class LatestFrame(_Document):
    """A frame that was committed lately, and the key of its picture."""

    video_id: str
    frame: int
    key: str


class RunState(_Document):
    """Where a run stands at `updated` (UTC); replaced every few seconds while it lives.

    `done` holds the frames in storage of each video, in the order of `RunRecord.videos`; `phases` a letter for each:
    w waits, r is rendered, s is whole and waits for its stitch, d is done, f has frames that failed. `eta` is in
    seconds, None while nobody knows. `render_seconds` is the actors' time on frames of this attempt, all added up.
    """

    schema_: int = Field(1, alias="schema", serialization_alias="schema")
    run: str
    phase: Phase = "starting"
    result: str = ""
    message: str = ""
    updated: datetime
    ended: datetime | None = None
    frames: int = 0
    frames_done: int = 0
    rendered: int = 0
    failed: int = 0
    videos: int = 0
    videos_done: int = 0
    eta: float | None = None
    elapsed: float = 0.0
    start_up_seconds: float = 0.0
    render_seconds: float = 0.0
    actors: int = 0
    gpus_per_actor: float = 0.0
    priority: int = 0
    done: tuple[int, ...] = ()
    phases: str = ""
    workers: tuple[WorkerState, ...] = ()
    latest: tuple[LatestFrame, ...] = ()

    def silent(self, now: datetime | None = None) -> bool:
        """Return whether it should have been heard of by `now`: its process is dead, or cut off from storage."""
        if self.phase == "ended":
            return False
        return ((now or datetime.now(UTC)) - self.updated).total_seconds() > _SILENT_SECONDS

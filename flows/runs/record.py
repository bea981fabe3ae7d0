"""What a run leaves of itself below `report/runs/`: a `RunRecord` once, and a `RunState` every few seconds.

Both are read by whoever shows an output: the report, `nightreel status`, the live page. They may be older or newer than
the program that reads them, so unknown keys are ignored and most keys have defaults.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, FailFast, Field

from manifests.problems import Problems
from manifests.results import RowProblem
from manifests.schema.frames import MAX_FRAME
from manifests.schema.row import VIDEO_ID_PATTERN

__all__ = [
    "FailedFrame",
    "LatestFrame",
    "Phase",
    "RefusedVideo",
    "RequestKind",
    "RequestOutcome",
    "RunRecord",
    "RunRequest",
    "RunState",
    "RunVideo",
    "VideoPhase",
    "WorkerState",
]

#: What a run as a whole is doing. `ended` says nothing of how: see `RunState.result`.
Phase = Literal["starting", "rendering", "paused", "stopping", "ended"]

#: Where a video of a run stands, as one letter in `RunState.phases`.
VideoPhase = Literal["w", "r", "s", "d", "f"]

#: What people may ask of a run: of one of its workers, or of the run itself (`priority`).
RequestKind = Literal["drain", "restart", "allow", "priority"]

_SILENT_SECONDS = 60.0
_MOST_AHEAD = 86_400.0  # seconds: clocks differ by minutes, and the rest is a stranger's
_YEARS = range(1970, 2200)


def _known(value: Any) -> Any:
    """`value`, None for a number that JSON has none for: a loss may overflow, and a document may hold anything."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _in_utc(value: datetime) -> datetime:
    """`value` in UTC, which is what one without a zone is in: others can't be compared with it. Raises ValueError for a
    year to which nothing can be added."""
    if value.year not in _YEARS:
        raise ValueError(f"the year {value.year} is none in which anything was rendered")
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Moment = Annotated[datetime, AfterValidator(_in_utc)]
#: Of a video, as many as a row may have: a listing names each that is missing.
Frames = Annotated[int, Field(ge=0, le=MAX_FRAME)]
Known = Annotated[float | None, BeforeValidator(_known)]
Amount = Annotated[float, BeforeValidator(lambda value: 0.0 if _known(value) is None else value)]
#: The id of a video, which is a folder's name in storage: another text there is none of ours.
VideoId = Annotated[str, Field(pattern=VIDEO_ID_PATTERN)]

Item = TypeVar("Item")
#: Items of which the first that is none of ours ends the reading: a stranger's million would make a million errors.
Items = Annotated[tuple[Item, ...], FailFast()]


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class RunVideo(_Document):
    """A video that the run is to render: its id and how many frames it has."""

    video_id: VideoId
    frames: Frames


class RefusedVideo(_Document):
    """A good row that can't be rendered, and why. A `width` and `height` of 0 are not known."""

    video_id: VideoId
    frames: Frames
    reason: str
    prompt: str = ""
    model: str = ""
    width: int = 0
    height: int = 0


class RunRecord(_Document):
    """What a run is to do; put when it begins. One attempt of a flow run is one record.

    `part` counts from 1 where the run renders a part of its manifest, which is cut into `parts` of `videos_per_run`;
    else 0.

    `run` is its folder's name, which sorts by time. `flow_run` and `link` are Prefect's, '' without Prefect; attempts
    of one flow run share them. `output` is where it renders to: a record that lies elsewhere was copied. `began` is in
    UTC. `problems` are the first, `bad_rows` and `problem_kinds` count all of them. `reviews` holds the limits of
    those of its videos whose rows set some, by their names in `review`; None where the run had no rows of a manifest: a
    re-run's are those that there were.
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
    part: Frames = 0
    videos_per_run: Frames = 0
    parts: Frames = 0
    output: str = ""
    priority: int = 0
    began: Moment
    version: str = ""
    videos: Items[RunVideo] = ()
    refused: Items[RefusedVideo] = ()
    problems: Items[RowProblem] = ()
    bad_rows: int | None = None
    problem_kinds: dict[str, int] | None = None
    reviews: dict[VideoId, dict[str, float]] | None = None

    @property
    def all_problems(self) -> Problems:
        """The problems with the counts of those that are not listed; releases before 0.3 list all."""
        return Problems(self.problems, self.bad_rows, self.problem_kinds)


class WorkerState(_Document):
    """What a worker of the run is doing. `worker` is its name in the pool, `process` where it runs (host and process).

    `state` is one of starting, rendering, idle, quarantined (it may render all the same, as the last resort), draining
    (it leaves after its frame), drained (it stays out until it is allowed again), silent (it does not answer); the rest
    is of the frame that it renders, or rendered last. `loss` is None where it is no number.
    """

    worker: str
    process: str = ""
    state: str = "idle"
    busy: bool = False
    video_id: str = ""
    frame: int = 0
    step: int = 0
    steps: int = 0
    loss: Known = 0.0
    steps_per_second: Amount = 0.0


class LatestFrame(_Document):
    """A frame that was committed lately, and the key of its picture."""

    video_id: str
    frame: int
    key: str


class FailedFrame(_Document):
    """A frame that failed and is not there (`frame` None: a segment or the stitch), by its last attempt.

    `final`: it is not tried again by this run. `log` is the address of the attempt's log, '' where there is none.
    """

    video_id: str
    frame: int | None = None
    kind: str = ""
    message: str = ""
    worker: str = ""
    attempts: int = 1
    when: str = ""
    log: str = ""
    final: bool = False


class RunRequest(_Document):
    """What a person asks of a run while it lives. `worker` is whom it concerns, `priority` the new one."""

    schema_: int = Field(1, alias="schema", serialization_alias="schema")
    run: str
    kind: RequestKind
    worker: str = Field("", max_length=200)
    priority: int | None = Field(None, ge=-1_000_000, le=1_000_000)
    asked: Moment


class RequestOutcome(_Document):
    """What became of a request, named by its `stamp`: `refused` says why it was not carried out, '' if it was."""

    stamp: str
    kind: str
    worker: str = ""
    priority: int | None = None
    refused: str = ""
    at: Moment


class RunState(_Document):
    """Where a run stands at `updated` (UTC); replaced every few seconds while it lives.

    `frames` and `videos` count refused rows whole: what was asked for, not what can be. `done` holds the frames in
    storage of each planned video, in the order of `RunRecord.videos`; `phases` a letter for each: w waits,
    r is rendered, s is whole and waits for its stitch, d is done, f has frames that failed and are not tried again.
    `eta` is in seconds, None while nobody knows. `render_seconds` is the actors' time on frames of this attempt, all
    added up. `failures` are the frames that stand failed now, those that are tried again included, the first of them
    where they are many; `failed` counts those that are not, refused rows' whole. `requests` says what became of the
    latest requests, oldest first. `hosts` says what machines lack, a sentence for each.
    """

    schema_: int = Field(1, alias="schema", serialization_alias="schema")
    run: str
    phase: Phase = "starting"
    result: str = ""
    message: str = ""
    updated: Moment
    ended: Moment | None = None
    frames: int = 0
    frames_done: int = 0
    rendered: int = 0
    failed: int = 0
    videos: int = 0
    videos_done: int = 0
    eta: Known = None
    elapsed: Amount = 0.0
    start_up_seconds: Amount = 0.0
    render_seconds: Amount = 0.0
    actors: int = 0
    gpus_per_actor: Amount = 0.0
    priority: int = 0
    done: Items[int] = ()
    phases: str = ""
    workers: Items[WorkerState] = ()
    latest: Items[LatestFrame] = ()
    failures: Items[FailedFrame] = ()
    requests: Items[RequestOutcome] = ()
    hosts: Items[str] = ()

    def silent(self, now: datetime | None = None) -> bool:
        """Return whether it should have been heard of by `now`: its process is dead, or cut off from storage."""
        if self.phase == "ended":
            return False
        seconds = ((now or datetime.now(UTC)) - self.updated).total_seconds()
        return not -_MOST_AHEAD < seconds <= _SILENT_SECONDS

"""What a person may ask for from the page: frames rendered again, something of a run or of its workers."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field

from flows.planning.retakes import After
from flows.runs.record import RequestKind, RunRequest
from flows.runs.stored import put_request
from infra.storage.storage import Storage
from manifests.schema import FrameRangeError, parse_frames
from manifests.schema.row import VIDEO_ID_PATTERN

__all__ = ["AskedOfRun", "AskedRerun", "BeginRerun", "BegunRerun", "VideoId", "ask_of_run", "rerun_command"]

VideoId = Annotated[str, Field(pattern=VIDEO_ID_PATTERN)]
RunName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,63}$")]
WORDS = ("failed", "missing", "all")


class AskedRerun(BaseModel):
    """Frames of a video to be rendered again: `frames` as the command takes them (`3-5,9`, `failed`, `missing`)."""

    model_config = ConfigDict(extra="forbid")

    output: str = Field(max_length=64)
    video: VideoId
    frames: str = Field("failed", max_length=20_000)
    after: After = "re-render"
    seed: int | None = Field(None, ge=0, le=2**63 - 1)

    def problem(self) -> str:
        """Return what is wrong with the frames, '' if nothing is."""
        if self.frames in WORDS:
            return ""
        try:
            parse_frames(self.frames)
        except FrameRangeError as error:
            return str(error)
        return ""


class AskedOfRun(BaseModel):
    """Something asked of a run that is under way, or of one of its workers."""

    model_config = ConfigDict(extra="forbid")

    output: str = Field(max_length=64)
    run: RunName
    kind: RequestKind
    worker: str = Field("", max_length=200)
    priority: int | None = Field(None, ge=-1_000_000, le=1_000_000)

    def problem(self) -> str:
        """Return what is missing, '' if nothing is."""
        if self.kind == "priority":
            return "" if self.priority is not None else "name the new priority"
        return "" if self.worker else "name the worker"


@dataclass(frozen=True)
class BegunRerun:
    """A flow run that was begun: its name, and its page in Prefect's UI."""

    name: str
    link: str


#: Begins a re-run somewhere: output, video, frames, what becomes of those after them, another seed. Raises
#: NightreelError where that is not possible.
BeginRerun = Callable[[str, str, str, After, int | None], BegunRerun]


def rerun_command(output: str, asked: AskedRerun) -> str:
    """Return the command that does what was asked, for a terminal."""
    words = ["nightreel", "rerun", output, "--video", asked.video, "--frames", asked.frames]
    words += [] if asked.after == "re-render" else ["--after", asked.after]
    words += [] if asked.seed is None else ["--seed", str(asked.seed)]
    return shlex.join(words)


def ask_of_run(output: Storage, asked: AskedOfRun) -> str:
    """Put a request where the run looks for it every few seconds; return its stamp.

    Raises:
        StorageError: storage does not take it.
    """
    now = datetime.now(UTC)
    stamp = f"{now:%Y%m%dT%H%M%S%f}-{uuid4().hex[:6]}"
    request = RunRequest(
        schema=1, run=asked.run, kind=asked.kind, worker=asked.worker, priority=asked.priority, asked=now
    )
    put_request(output, request, stamp)
    return stamp

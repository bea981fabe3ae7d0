"""What a job's run shows on its page in Prefect's UI: how far it is, and at its end the summary and two tables.

Both UIs list the artifacts of a run by their ids, the greatest first, and ids are random [read in Prefect 3.8.8, and
seen]. So that what counts most comes first, one whose id falls into the wrong part of all ids is made again. Both also
show those of earlier attempts, which would be taken for the present ones: an attempt removes them when it begins.
"""

import json
import time
from collections.abc import Collection
from dataclasses import replace
from typing import Any
from uuid import UUID

from prefect import runtime
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterKey
from prefect.exceptions import ObjectNotFound

from flows.job.job import RenderJob
from flows.job.outcome import JobCounts
from flows.job.report_keeper import Concluded
from flows.orchestration.links import rerun_address
from flows.report.markdown import failure_table, summary_markdown, video_table

__all__ = ["LAST", "ProgressArtifact", "create_artifacts", "create_live_link", "create_summary", "remove_artifacts"]

# An artifact's update is a row on the server.
PROGRESS_SECONDS = 5.0
#: What counts most comes first.
ORDER = ("live", "summary", "failed-frames", "videos", "progress")
#: Those that a run makes at its end.
LAST = ("summary", "failed-frames", "videos")
# One in five is right: that none of so many is happens once in 15,000 runs, which then shows them in another order.
TRIES = 50


def remove_artifacts(keys: Collection[str] = ORDER) -> None:
    """Remove those that an earlier attempt of this flow run has left. Prefect does not count one that was suspended."""
    mine = ArtifactFilter(
        flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(runtime.flow_run.id)]), key=ArtifactFilterKey(any_=list(keys))
    )
    with get_client(sync_client=True) as client:
        for artifact in client.read_artifacts(artifact_filter=mine):
            _delete(client, artifact.id)


def _create(client: SyncPrefectClient, key: str, kind: str, data: Any, description: str) -> UUID:
    """Create an artifact in its place among the others."""
    place = len(ORDER) - 1 - ORDER.index(key)
    empty: Any = 0.0 if kind == "progress" else "[]" if kind == "table" else ""
    for left in reversed(range(TRIES)):
        made = client.create_artifact(
            ArtifactCreate(
                key=key, type=kind, description=description, data=empty, flow_run_id=UUID(runtime.flow_run.id)
            )
        )
        if left and made.id.int * len(ORDER) >> 128 != place:
            _delete(client, made.id)
            continue
        break
    client.update_artifact(made.id, ArtifactUpdate(data=data))
    return made.id


def _delete(client: SyncPrefectClient, artifact: UUID) -> None:
    try:
        client.delete_artifact(artifact)
    except ObjectNotFound:
        return  # a person was quicker


class ProgressArtifact:
    """How far a job is."""

    def __init__(self, job: RenderJob) -> None:
        self._job = job
        with get_client(sync_client=True) as client:
            self._artifact = _create(client, "progress", "progress", self._percent(), self._headline())
        self._updated = time.monotonic()

    def update_now_and_then(self) -> None:
        """Update it if that was not done lately."""
        if time.monotonic() - self._updated > PROGRESS_SECONDS:
            self.update()

    def update(self) -> None:
        """Update it."""
        with get_client(sync_client=True) as client:
            client.update_artifact(self._artifact, ArtifactUpdate(data=self._percent(), description=self._headline()))
        self._updated = time.monotonic()

    def _percent(self) -> float:
        missing, frames = self._job.frames_missing
        return 100.0 * (frames - missing) / frames if frames else 100.0

    def _headline(self) -> str:
        doing, counts = self._job.starting, JobCounts.of(self._job).progress_text
        return f"{doing}: {counts}" if doing else counts


def create_live_link(address: str, about: str) -> None:
    """Create the link to the live page of a run's output."""
    with get_client(sync_client=True) as client:
        _create(client, "live", "markdown", f"[live page]({address})", about)


def create_summary(text: str, message: str) -> None:
    """Create the summary alone, of a run that has ended with `message`."""
    with get_client(sync_client=True) as client:
        _create(client, "summary", "markdown", text, message)


def create_artifacts(concluded: Concluded, message: str, output: str, videos: Collection[str]) -> None:
    """Create those of a run that has ended with `message`; `videos` are those of its rows."""
    report, rerun = concluded.report, rerun_address(output)
    place = concluded.page or f"it could not be put into storage: {concluded.problem}"
    summary = summary_markdown(report, rerun, message=message, place=place)
    # the summary is of the whole output, the tables are of this run's rows
    failed = failure_table(replace(report, videos=tuple(it for it in report.videos if it.video_id in videos)), rerun)
    with get_client(sync_client=True) as client:
        _create(client, "summary", "markdown", summary, message)
        if failed:
            about = "Frames that failed, those that still stand first"
            _create(client, "failed-frames", "table", json.dumps(failed), about)
        about = "The videos of this run, those that are not done first"
        _create(client, "videos", "table", json.dumps(video_table(report, videos)), about)

"""What a job's run shows on its page in Prefect's UI: how far it is, and at its end the summary and two tables.

Both UIs list the artifacts of a run with the newest first [read in Prefect 3.8.8: sorted by id, descending, and ids are
in the order of creation], so what counts most is created last. They also show those of earlier attempts, which would be
taken for the present ones: an attempt removes them when it begins.
"""

import time
from collections.abc import Collection
from uuid import UUID

from prefect import runtime
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterKey
from prefect.exceptions import ObjectNotFound

from flows.job.job import RenderJob
from flows.job.outcome import JobCounts
from flows.job.report_keeper import Concluded
from flows.orchestration.links import rerun_address
from flows.report import failure_table, summary_markdown, video_table

__all__ = ["ProgressArtifact", "create_artifacts", "remove_artifacts"]

# An artifact's update is a row on the server.
PROGRESS_SECONDS = 5.0
KEYS = ("progress", "videos", "failed-frames", "summary")


def remove_artifacts() -> None:
    """Remove those that an earlier attempt of this flow run has left."""
    if runtime.flow_run.run_count < 2:
        return
    mine = ArtifactFilter(
        flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(runtime.flow_run.id)]), key=ArtifactFilterKey(any_=list(KEYS))
    )
    with get_client(sync_client=True) as client:
        for artifact in client.read_artifacts(artifact_filter=mine):
            try:
                client.delete_artifact(artifact.id)
            except ObjectNotFound:
                continue


class ProgressArtifact:
    """How far a job is."""

    def __init__(self, job: RenderJob) -> None:
        self._job = job
        self._artifact = create_progress_artifact(self._percent(), key="progress", description=self._headline())
        self._updated = time.monotonic()

    def update_now_and_then(self) -> None:
        """Update it if that was not done lately."""
        if time.monotonic() - self._updated > PROGRESS_SECONDS:
            self.update()

    def update(self) -> None:
        """Update it."""
        update_progress_artifact(self._artifact, self._percent(), description=self._headline())  # type: ignore[arg-type]
        self._updated = time.monotonic()

    def _percent(self) -> float:
        missing, frames = self._job.frames_missing
        return 100.0 * (frames - missing) / frames if frames else 100.0

    def _headline(self) -> str:
        doing = self._job.starting
        return f"{doing}: {JobCounts.of(self._job).progress_text}" if doing else JobCounts.of(self._job).progress_text


def create_artifacts(concluded: Concluded, message: str, output: str, videos: Collection[str]) -> None:
    """Create those of a run that has ended with `message`; `videos` are those of its rows."""
    report, rerun = concluded.report, rerun_address(output)
    create_table_artifact(
        video_table(report, videos), key="videos", description="The videos of this run, those that are not done first"
    )
    failed = failure_table(report, rerun)
    if failed:
        create_table_artifact(
            failed, key="failed-frames", description="Frames that failed, those that still stand first"
        )
    place = concluded.page or f"it could not be put into storage: {concluded.problem}"
    create_markdown_artifact(summary_markdown(report, rerun, message=message, place=place), key="summary")

"""The flow `rerun-frames`: its form. flows/job/reruns.py does it, flows/orchestration/run.py runs it."""

# No `from __future__ import annotations` here: Prefect pickles a served flow by value, and its parameters' types would
# arrive as names that nothing resolves.
from typing import Annotated, Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.states import Completed, State
from pydantic import Field

from flows.job.reruns import RerunParameters, rerun_job
from flows.orchestration.handover import begin
from flows.orchestration.run import conduct, invalid_input, threads
from flows.planning.retakes import FRAMES, After
from flows.report.markdown import escape_markdown

__all__ = ["rerun_frames"]


@flow(
    name="rerun-frames",
    flow_run_name="frames {frames} of {video}",
    task_runner=threads(),
    persist_result=False,
)
def rerun_frames(
    output: Annotated[str, Field(description="Where the video lies; any URI that fsspec knows", min_length=1)],
    video: Annotated[str, Field(description="The video's id", min_length=1)],
    frames: Annotated[
        str, Field(description="failed, missing, all, or numbers from 0 on: 120-180,200", pattern=FRAMES)
    ] = "failed",
    after: Annotated[
        After,
        Field(description="What becomes of frames that start from the re-run ones"),
    ] = "re-render",
    seed: Annotated[
        int | None, Field(description="Another seed for other pictures; empty: the same once more", ge=0, lt=2**63)
    ] = None,
    dry_run: Annotated[bool, Field(description="Only say what would be rendered")] = False,
    priority: Annotated[
        int, Field(description="Goes before runs of lower priority on the same cluster", ge=-100, le=100)
    ] = 10,
) -> State[Any]:
    """Render frames of one video again, and publish the video anew.

    Args:
        output: where the video lies; any URI that fsspec knows.
        video: the video's id.
        frames: failed, missing, all, or numbers from 0 on: 120-180,200.
        after: what becomes of frames that start from the re-run ones: re-render them, keep them as they are, or
            re-render until they no longer differ (until-same).
        seed: another seed gives other pictures; empty renders the same once more; the row's own takes re-runs back.
        dry_run: only say what would be rendered.
        priority: a run of higher priority gets its actors first on a cluster that several runs share.
    """
    parameters = RerunParameters.of(output, video, frames, after, seed, dry_run, priority)
    with invalid_input() as refused:
        job = begin(parameters, rerun_job)
    if refused:
        return refused[0]
    if dry_run:
        create_markdown_artifact(f"# Dry run\n\n{escape_markdown(job.summary)}", key="summary")
        return Completed(name="DryRun", message=job.summary)
    return conduct(job)

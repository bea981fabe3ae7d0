"""The flow `rerun-frames`: its form. flows/job/reruns.py does it, flows/orchestration/run.py runs it."""

# No `from __future__ import annotations` here: Prefect pickles a served flow by value, and its parameters' types would
# arrive as names that nothing resolves.
from typing import Any

from prefect import State
from prefect.artifacts import create_markdown_artifact
from prefect.states import Completed

from flows.job.reruns import RerunParameters, rerun_job
from flows.orchestration.forms.descriptions import described
from flows.orchestration.forms.fields import After, DryRun, Frames, OtherSeed, Priority, RenderedOutput, Video
from flows.orchestration.handover import begin
from flows.orchestration.run import conduct, invalid_input, threads
from flows.orchestration.run_names import rerun_name
from flows.orchestration.sealed_flow import flow
from flows.report.markdown import escape_markdown

__all__ = ["rerun_frames"]


@flow(
    name="rerun-frames",
    flow_run_name=rerun_name,
    task_runner=threads(),
    persist_result=False,
)
@described
def rerun_frames(
    output: RenderedOutput,
    video: Video,
    frames: Frames = "failed",
    after: After = "re-render",
    seed: OtherSeed = None,
    dry_run: DryRun = False,
    priority: Priority = 10,
) -> State[Any]:
    """Render frames of one video again, and publish the video with them."""
    parameters = RerunParameters.of(output, video, frames, after, seed, dry_run, priority)
    with invalid_input() as refused:
        job = begin(parameters, rerun_job)
    if refused:
        return refused[0]
    if dry_run:
        create_markdown_artifact(f"# Dry run\n\n{escape_markdown(job.summary)}", key="summary")
        return Completed(name="DryRun", message=job.summary)
    return conduct(job)

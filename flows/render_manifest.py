"""The main flow, `render-manifest`: its form, and what a run of it begins with; flows/orchestration/run.py goes on."""

# No `from __future__ import annotations` here: Prefect pickles a served flow by value, and its parameters' types would
# arrive as names that nothing resolves.
from typing import Annotated, Any

from prefect import flow
from prefect.states import State
from pydantic import Field

from flows.job.job import RenderJob
from flows.job.parameters import RenderParameters
from flows.orchestration.handover import begin
from flows.orchestration.run import conduct, invalid_input, threads

__all__ = ["render_manifest"]


@flow(
    name="render-manifest",
    flow_run_name="render {manifest}",
    task_runner=threads(),
    persist_result=False,
)
def render_manifest(
    manifest: Annotated[
        str, Field(description="Parquet file, folder or glob; any URI that fsspec knows", min_length=1)
    ],
    output: Annotated[str, Field(description="Where frames and videos go; any URI that fsspec knows", min_length=1)],
    strict: bool = False,
    force: bool = False,
    range_frames: Annotated[
        int | None, Field(description="Frames per segment; unset: by estimated seconds", ge=1)
    ] = None,
    priority: Annotated[
        int, Field(description="Goes before runs of lower priority on the same cluster", ge=-100, le=100)
    ] = 0,
) -> State[Any]:
    """Render a manifest of prompts into videos.

    Args:
        manifest: Parquet file, folder or glob; any URI that fsspec knows.
        output: where frames and videos go; any URI that fsspec knows.
        strict: render nothing if any row is bad.
        force: replace videos that were rendered from other settings.
        range_frames: frames per segment; unset: by estimated seconds.
        priority: a run of higher priority gets its actors first on a cluster that several runs share.
    """
    with invalid_input() as refused:
        job = begin(RenderParameters(manifest, output, strict, force, range_frames, priority), RenderJob)
    return refused[0] if refused else conduct(job)

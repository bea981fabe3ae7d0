"""The main flow, `render-manifest`: its form, and what a run of it begins with; flows/orchestration/run.py goes on."""

# No `from __future__ import annotations` here: Prefect pickles a served flow by value, and its parameters' types would
# arrive as names that nothing resolves.
from typing import Any

from prefect import State

from flows.job.job import RenderJob
from flows.job.parameters import RenderParameters
from flows.orchestration.forms import fields as form
from flows.orchestration.forms.descriptions import described
from flows.orchestration.handover import begin
from flows.orchestration.parts import part_ended, split
from flows.orchestration.run import conduct, invalid_input, threads
from flows.orchestration.run_names import render_name
from flows.orchestration.sealed_flow import flow

__all__ = ["render_manifest"]


@flow(
    name="render-manifest",
    flow_run_name=render_name,
    task_runner=threads(),
    persist_result=False,
)
@described
def render_manifest(
    manifest: form.Manifest,
    output: form.Output,
    strict: form.Strict = False,
    force: form.Force = False,
    range_frames: form.RangeFrames = None,
    priority: form.Priority = 0,
    videos_per_run: form.VideosPerRun = None,
    part: form.PartNumber = None,
) -> State[Any]:
    """Render a manifest of prompts into videos."""
    with invalid_input() as refused:
        parameters = RenderParameters(
            manifest, output, strict, force, range_frames, priority, videos_per_run=videos_per_run, part=part
        ).in_full()
        if (ended := split(parameters)) is not None:
            return ended
        job = begin(parameters, RenderJob)
    with part_ended():
        return refused[0] if refused else conduct(job)

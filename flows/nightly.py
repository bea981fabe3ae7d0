"""The flow `nightly`: its form. A cron schedule runs it; what follows is in flows/orchestration/run.py."""

# No `from __future__ import annotations` here: Prefect pickles a served flow by value, and its parameters' types would
# arrive as names that nothing resolves.
import datetime
from typing import Any

from prefect import State, runtime
from prefect.states import Failed

from flows.job.job import RenderJob
from flows.job.parameters import RenderParameters
from flows.orchestration.forms import fields as form
from flows.orchestration.forms.descriptions import described
from flows.orchestration.handover import begin
from flows.orchestration.parts import split
from flows.orchestration.run import conduct, invalid_input, threads
from flows.orchestration.run_names import short_place
from flows.orchestration.sealed_flow import flow
from flows.planning.dates import filled, night_of
from infra.storage.storage import ObjectMissing

__all__ = ["nightly"]


def _scheduled() -> datetime.datetime:
    """When this run was meant to start. Prefect keeps the first such moment: neither a late start nor a retry moves it,
    so that all attempts of a run are for the same night."""
    planned: datetime.datetime | None = runtime.flow_run.scheduled_start_time
    return planned or datetime.datetime.now(datetime.UTC)


def _run_name() -> str:
    given = runtime.flow_run.parameters
    with invalid_input():
        night = night_of(given.get("date"), _scheduled(), given.get("time_zone") or "UTC")
        with invalid_input():
            manifest, output = filled(given["manifest"], night, "manifest"), filled(given["output"], night, "output")
            return f"night {night}: {short_place(manifest)} to {short_place(output, 2)}"
        return f"night {night}"
    return "night of an unknown date"  # the run itself says what is wrong with it


@flow(
    name="nightly",
    flow_run_name=_run_name,
    task_runner=threads(),
    persist_result=False,
)
@described
def nightly(
    manifest: form.NightManifest,
    output: form.NightOutput,
    date: form.NightDate = None,
    time_zone: form.TimeZone = "UTC",
    strict: form.Strict = False,
    priority: form.Priority = -10,
    videos_per_run: form.VideosPerRun = None,
) -> State[Any]:
    """Render the manifest of a night."""
    with invalid_input() as refused:
        night = night_of(date, _scheduled(), time_zone)
        parameters = RenderParameters(
            filled(manifest, night, "manifest"), filled(output, night, "output"), strict, priority=priority,
            videos_per_run=videos_per_run,
        ).in_full()  # fmt: skip
        try:
            if (ended := split(parameters)) is not None:
                return ended
            job = begin(parameters, RenderJob)
        except ObjectMissing as error:
            message = f"the night of {night}: {error}. Press Retry once it is there"
            return Failed(name="ManifestMissing", message=message)
    return refused[0] if refused else conduct(job)

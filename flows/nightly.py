"""The flow `nightly`: its form. A cron schedule runs it; what follows is in flows/orchestration/run.py."""

# No `from __future__ import annotations` here: Prefect pickles a served flow by value, and its parameters' types would
# arrive as names that nothing resolves.
import datetime
from typing import Annotated, Any

from prefect import flow, runtime
from prefect.states import Failed, State
from pydantic import Field

from flows.job.job import RenderJob
from flows.job.parameters import RenderParameters
from flows.orchestration.handover import begin
from flows.orchestration.run import conduct, invalid_input, threads
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
        return f"night {night_of(given.get('date'), _scheduled(), given.get('time_zone') or 'UTC')}"
    return "night of an unknown date"  # the run itself says what is wrong with it


@flow(
    name="nightly",
    flow_run_name=_run_name,
    task_runner=threads(),
    persist_result=False,
)
def nightly(
    manifest: Annotated[
        str, Field(description="Which manifest, such as s3://bucket/manifests/{date}.parquet", min_length=1)
    ],
    output: Annotated[str, Field(description="Where to, such as s3://bucket/nights/{date}", min_length=1)],
    date: Annotated[
        str | None,
        Field(description="The night, such as 2026-11-23; empty: the day that the run was scheduled for"),
    ] = None,
    time_zone: Annotated[str, Field(description="Where that day is told, such as Europe/Berlin", min_length=1)] = "UTC",
    strict: Annotated[bool, Field(description="Render nothing if any row is bad")] = False,
    priority: Annotated[
        int, Field(description="Goes before runs of lower priority on the same cluster", ge=-100, le=100)
    ] = -10,
) -> State[Any]:
    """Render the manifest of a night.

    Args:
        manifest: which manifest: any URI that fsspec knows; `{date}` stands for the night, as in
            s3://bucket/manifests/{date}.parquet or {date:%Y/%m/%d}.
        output: where frames and videos go, with `{date}` likewise.
        date: the night, such as 2026-11-23; empty: the day that the run was scheduled for.
        time_zone: where that day is told, such as Europe/Berlin.
        strict: render nothing if any row is bad.
        priority: a run of higher priority gets its actors first on a cluster that several runs share.
    """
    with invalid_input() as refused:
        night = night_of(date, _scheduled(), time_zone)
        parameters = RenderParameters(
            filled(manifest, night, "manifest"), filled(output, night, "output"), strict, priority=priority
        )
        try:
            job = begin(parameters, RenderJob)
        except ObjectMissing as error:
            told = f"the night of {night}: {error}. Press Retry once it is there"
            return Failed(name="ManifestMissing", message=told)
    return refused[0] if refused else conduct(job)

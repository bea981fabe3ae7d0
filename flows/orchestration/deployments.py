"""The deployments of nightreel, the one list of them: what a server shows, with a form for each.

`nightreel up` serves them from a process of this machine; `infra/prefect.yaml` has them for a cluster's work pool.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import EntrypointType, RunnerDeployment
from prefect.exceptions import ObjectNotFound

from flows.local.options import NightlyOptions
from flows.nightly import nightly
from flows.render_manifest import render_manifest
from flows.rerun_frames import rerun_frames

__all__ = ["DEPLOYMENTS", "Deployment", "served"]


@dataclass(frozen=True)
class Deployment:
    """A flow as the server offers it. `parameters` are what its form is filled with."""

    flow: Flow[..., Any]
    description: str
    tags: tuple[str, ...]
    parameters: tuple[tuple[str, Any], ...] = ()
    scheduled: bool = False

    @property
    def name(self) -> str:
        return self.flow.name

    @property
    def entrypoint(self) -> str:
        """Where a worker imports the flow from."""
        return f"{self.flow.fn.__module__}.{self.flow.fn.__name__}"


_NIGHTLY = NightlyOptions()

DEPLOYMENTS = (
    Deployment(
        render_manifest,
        "Render a manifest of prompts into videos. What is in storage already is not rendered again, so a Retry of a "
        "run costs only the frames that are missing.",
        ("nightreel", "render"),
    ),
    Deployment(
        rerun_frames,
        "Render some frames of one video again, and publish the video anew.",
        ("nightreel", "re-run"),
    ),
    Deployment(
        nightly,
        "Render the manifest of the night. `{date}` in the manifest's and the output's address becomes the night's "
        "date. The schedule is switched on once both are set.",
        ("nightreel", "nightly"),
        tuple(_NIGHTLY.parameters().items()),
        scheduled=True,
    ),
)


async def served(deployment: Deployment, night: NightlyOptions | None) -> RunnerDeployment:
    """What a runner registers. What people changed in the UI (the schedule, the form's values, whether it is paused)
    stays as it is, but for what `night` says."""
    known = await _registered(deployment)
    given = dict(deployment.parameters)
    paused = False
    if known is not None:
        given, paused = known.parameters, known.paused
    schedules = []
    if deployment.scheduled:
        if night is not None:
            given = {**given, **night.parameters()}
        if night is not None or known is None:
            schedules = [schedule(night or _NIGHTLY, active=night is not None)]
    made: RunnerDeployment = await deployment.flow.ato_deployment(
        deployment.name,
        description=deployment.description,
        tags=list(deployment.tags),
        parameters=given,
        paused=paused,
        schedules=schedules,
        enforce_parameter_schema=True,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    # set, and not left out: a deployment that a work pool had before is a served one from now on
    made.work_pool_name = made.work_queue_name = None
    return made


def schedule(night: NightlyOptions, *, active: bool) -> DeploymentScheduleCreate:
    """The cron schedule of `nightly`."""
    return DeploymentScheduleCreate(
        schedule=CronSchedule(cron=night.cron, timezone=night.time_zone), active=active, slug="nightly"
    )


async def _registered(deployment: Deployment) -> Any:
    async with get_client() as client:
        try:
            return await client.read_deployment_by_name(f"{deployment.name}/{deployment.name}")
        except ObjectNotFound:
            return None

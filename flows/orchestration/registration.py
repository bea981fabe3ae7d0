"""The deployments of the list, as a runner of this machine registers them on the server."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import Any

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.types.entrypoint import EntrypointType
from prefect.utilities.callables import ParameterSchema, parameter_schema

from flows.orchestration.deployments import Deployment, NightlyOptions
from flows.orchestration.schedules import prefect_schedule

__all__ = ["flow_of", "form_of", "known_parameters", "served"]


class ClosedForm(ParameterSchema):
    """A flow's parameters as a JSON schema that admits no others: the server would keep those as they are, secrets in
    them included, before the flow could refuse them."""

    additionalProperties: bool = False


def flow_of(deployment: Deployment) -> Flow[..., Any]:
    """The flow that a deployment offers."""
    module, _, function = deployment.entrypoint.rpartition(".")
    flow: Flow[..., Any] = resolve_name(f"{module}:{function}")
    return flow


def form_of(deployment: Deployment) -> ParameterSchema:
    """What the server checks a run's parameters against before it keeps them."""
    form = parameter_schema(flow_of(deployment)).model_dump(exclude_unset=True)
    return ClosedForm(**form, additionalProperties=False)


def known_parameters(deployment: Deployment, given: dict[str, Any]) -> dict[str, Any]:
    """Those of `given` that the form has: one of an earlier version that is gone would make the server refuse."""
    names = form_of(deployment).properties
    return {name: value for name, value in given.items() if name in names}


async def served(deployment: Deployment, night: NightlyOptions | None = None) -> RunnerDeployment:
    """What a runner registers. What people changed in the UI (the schedule, the form's values, whether it is paused)
    stays as it is, but for what `night` says, which also switches the schedule on."""
    known = await _registered(deployment)
    given: dict[str, Any] = dict(deployment.parameters)
    paused = False
    if known is not None:
        given, paused = known_parameters(deployment, known.parameters), known.paused
    schedule = deployment.schedule if known is None else None
    if night is not None:
        given, schedule = {**given, **night.parameters}, night.schedule
    schedules = [prefect_schedule(schedule, deployment.name, active=night is not None)] if schedule else []
    made: RunnerDeployment = await flow_of(deployment).ato_deployment(
        deployment.name,
        description=deployment.description,
        tags=list(deployment.tags),
        parameters=given,
        paused=paused,
        schedules=schedules,
        enforce_parameter_schema=True,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    made._parameter_openapi_schema = form_of(deployment)
    # set, and not left out: a deployment that a work pool had before is a served one from now on
    made.work_pool_name = made.work_queue_name = None
    return made


async def _registered(deployment: Deployment) -> Any:
    async with get_client() as client:
        try:
            return await client.read_deployment_by_name(f"{deployment.name}/{deployment.name}")
        except ObjectNotFound:
            return None

"""What `nightreel deploy` brings a Prefect server to: a work pool, the deployments in it, the automations.

Each step looks first and changes what differs, so that a second run changes nothing. What people set in the UI stays:
a form's values, schedules, whether something is paused, limits, queues and their priorities. What the list and the
settings say wins: a pool's job template, forms, descriptions, automations.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate, WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound

from flows.orchestration import automations
from flows.orchestration.deployments import DEPLOYMENTS, NIGHTLY, QUEUES, Deployment, NightlyOptions
from flows.orchestration.job_templates import WorkPool, job_template
from flows.orchestration.registration import form_of, known_parameters
from flows.orchestration.schedules import prefect_schedule
from infra.settings import InfraSettings
from renderers.errors import BadInput

__all__ = ["Change", "deploy"]

Action = Literal["created", "changed", "removed", "unchanged"]
What = Literal["work pool", "work queue", "deployment", "automation"]


@dataclass(frozen=True)
class Change:
    """What was done, or would be, to one thing of ours on the server; `fields` are those that differed."""

    what: What
    name: str
    action: Action
    fields: tuple[str, ...] = ()


def deploy(
    pool: WorkPool,
    settings: InfraSettings,
    night: NightlyOptions | None = None,
    *,
    limit: int | None = None,
    dry_run: bool = False,
) -> Iterator[Change]:
    """Bring the server that Prefect's settings name to what is asked for; yields each thing as it is done.

    `night` switches `nightly` on, on what it names; `limit` is of flow runs at once, None leaves it as it is. `dry_run`
    only looks.

    Raises:
        BadInput: there is a pool of that name and another type, whose runs would be lost with it.
    """
    with get_client(sync_client=True) as client:
        made = _pool(client, pool, limit, dry_run)
        yield made
        yield from _queues(client, pool, there=made.action != "created" or not dry_run, dry_run=dry_run)
        for deployment in DEPLOYMENTS:
            yield _deployment(client, deployment, pool, night if deployment.name == NIGHTLY else None, dry_run)
    differing = asyncio.run(automations.survey(settings))
    if not dry_run and set(differing.values()) != {"unchanged"}:
        asyncio.run(automations.install(settings))
    yield from (Change("automation", name, action) for name, action in differing.items())


def _pool(client: SyncPrefectClient, pool: WorkPool, limit: int | None, dry_run: bool) -> Change:
    change = partial(Change, "work pool", pool.name)
    template = job_template(pool)
    try:
        there = client.read_work_pool(pool.name)
    except ObjectNotFound:
        if not dry_run:
            client.create_work_pool(
                WorkPoolCreate(name=pool.name, type=pool.kind, base_job_template=template, concurrency_limit=limit)
            )
        return change("created")
    if there.type != pool.kind:
        raise BadInput(
            f"work pool '{pool.name}' is of type {there.type}, which Prefect can't change into {pool.kind}: give "
            "another name with --pool (the deployments move there), or delete the pool in the UI first"
        )
    wanted: dict[str, Any] = {"base_job_template": template}
    if limit is not None:
        wanted["concurrency_limit"] = limit
    differing = {field: value for field, value in wanted.items() if getattr(there, field) != value}
    if differing and not dry_run:
        client.update_work_pool(pool.name, WorkPoolUpdate(**differing))
    return change("changed" if differing else "unchanged", tuple(differing))


def _queues(client: SyncPrefectClient, pool: WorkPool, *, there: bool, dry_run: bool) -> Iterator[Change]:
    """Add the queues that the pool lacks. Prefect makes `default` with it, as the first; those that we put before it
    are given the first priorities, which moves it back, and the others come after all that there are."""
    names = {queue.name for queue in client.read_work_queues(pool.name)} if there else set[str]()
    before = list(QUEUES)[: list(QUEUES).index("default")]
    for priority, name in enumerate((it for it in QUEUES if it != "default"), start=1):
        lacking = name not in names
        if lacking and not dry_run:
            place = priority if name in before else None
            client.create_work_queue(name, QUEUES[name], priority=place, work_pool_name=pool.name)
        yield Change("work queue", name, "created" if lacking else "unchanged")


def _deployment(
    client: SyncPrefectClient, deployment: Deployment, pool: WorkPool, night: NightlyOptions | None, dry_run: bool
) -> Change:
    change = partial(Change, "deployment", deployment.name)
    wanted = _wanted(deployment, pool)
    try:
        there = client.read_deployment_by_name(f"{deployment.name}/{deployment.name}")
    except ObjectNotFound:
        if not dry_run:
            _create(client, deployment, wanted, night)
        return change("created")
    kept = known_parameters(deployment, there.parameters)
    if night is not None or kept != there.parameters:
        wanted["parameters"] = {**kept, **(night.parameters if night else {})}
    differing = {field: value for field, value in wanted.items() if _held(there, field) != value}
    if "work_pool_name" in differing:  # within a pool it may be where somebody has put it
        differing["work_queue_name"] = deployment.queue
    schedule_differs = night is not None and not any(
        it.active and (getattr(it.schedule, "cron", None), getattr(it.schedule, "timezone", None))
        == (night.cron, night.time_zone)
        for it in there.schedules
    )  # fmt: skip
    if not dry_run:
        if differing:
            client.update_deployment(there.id, DeploymentUpdate(**differing))
        if schedule_differs and night is not None:
            _replace_schedules(client, there.id, deployment, night)
    fields = (*differing, *(("schedules",) if schedule_differs else ()))
    return change("changed" if fields else "unchanged", fields)


def _wanted(deployment: Deployment, pool: WorkPool) -> dict[str, Any]:
    """The fields that are ours to say; all others are people's."""
    return {
        "description": deployment.description,
        "tags": list(deployment.tags),
        "entrypoint": deployment.entrypoint,
        "path": None,
        "pull_steps": [],
        "enforce_parameter_schema": True,
        "parameter_openapi_schema": form_of(deployment).model_dump(mode="json", exclude_unset=True),
        "work_pool_name": pool.name,
    }


def _held(there: Any, field: str) -> Any:
    value = getattr(there, field)
    if field == "pull_steps":
        return value or []
    if field == "path":
        return value or None
    return value


def _create(
    client: SyncPrefectClient, deployment: Deployment, wanted: dict[str, Any], night: NightlyOptions | None
) -> None:
    schedule = night.schedule if night else deployment.schedule
    client.create_deployment(
        flow_id=client.create_flow_from_name(deployment.name),
        name=deployment.name,
        parameters={**dict(deployment.parameters), **(night.parameters if night else {})},
        schedules=[prefect_schedule(schedule, deployment.name, active=night is not None)] if schedule else [],
        work_queue_name=deployment.queue,
        **wanted,
    )


def _replace_schedules(client: SyncPrefectClient, identity: Any, deployment: Deployment, night: NightlyOptions) -> None:
    made = prefect_schedule(night.schedule, deployment.name, active=True)
    body = {"schedules": [made.model_dump(mode="json")]}
    client.request("PATCH", "/deployments/{id}", path_params={"id": identity}, json=body).raise_for_status()

"""The doctor's look at the Prefect server: does it answer, is all that is ours on it, which runs only seem to run?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import prefect
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import ObjectNotFound

from flows.doctor.examination import Finding
from flows.doctor.runs import Sighting, judge_version
from flows.local.options import NAMES
from flows.local.runs import Interrupted, end_run
from flows.orchestration.automations import install, lacking
from infra.settings import InfraSettings
from infra.storage.errors import without_secrets

__all__ = ["check_server"]

PAGE = 200
SERVE = "start `nightreel up`, or deploy infra/prefect.yaml"


def check_server(url: str, settings: InfraSettings, *, patience: timedelta) -> Iterator[Finding]:
    """Look at the server at `url`, which Prefect's settings name. A run is stale after `patience` without a heartbeat.

    The mending of stale runs needs the server, not this function's client.
    """
    shown = without_secrets(url)
    with get_client(sync_client=True) as client:
        error = client.api_healthcheck()
        if error is not None:
            told = " ".join(str(error).split()) or type(error).__name__
            yield Finding(
                "server", "problem", f"Prefect's server '{shown}' does not answer: {told}",
                "start it (`nightreel up` does), or mend PREFECT_API_URL",
            )  # fmt: skip
            return
        yield judge_version(shown, client.api_version(), prefect.__version__)
        for name in NAMES:
            yield _deployment(client, name)
        yield _automations(settings)
        stale = list(_stale(client, settings, patience))
        yield from stale or [Finding("server", "ok", "no run of ours only seems to run")]


def _deployment(client: SyncPrefectClient, name: str) -> Finding:
    try:
        found = client.read_deployment_by_name(f"{name}/{name}")
    except ObjectNotFound:
        return Finding("server", "warning", f"there is no deployment '{name}'", SERVE)
    if found.status is not None and found.status.value == "NOT_READY":
        return Finding("server", "warning", f"nobody serves deployment '{name}': its runs wait", SERVE)
    return Finding("server", "ok", f"deployment '{name}' is there")


def _automations(settings: InfraSettings) -> Finding:
    missing = asyncio.run(lacking(settings))
    if not missing:
        return Finding("server", "ok", "the automations are there")
    return Finding(
        "server", "problem", f"automations are missing, or not as the settings say: {', '.join(missing)}",
        "without them nobody notices a dead run, nor starts it again", mend=partial(_install, settings),
    )  # fmt: skip


def _install(settings: InfraSettings) -> str:
    return f"installed {', '.join(asyncio.run(install(settings)))}"


def _stale(client: SyncPrefectClient, settings: InfraSettings, patience: timedelta) -> Iterator[Finding]:
    now = datetime.now(UTC)
    for run in _under_way(client):
        if now - run.since <= patience:
            continue
        finding = run.finding(now, patience)
        if finding is None:
            continue
        if finding.level == "problem":
            mend = partial(_end, run, settings.crash_restarts)
            finding = Finding(finding.area, finding.level, finding.what, finding.remedy, mend)
        yield finding


def _under_way(client: SyncPrefectClient) -> Iterator[Sighting]:
    offset = 0
    while True:
        wanted = {
            "flows": {"name": {"any_": list(NAMES)}},
            "flow_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}},
            "limit": PAGE,
            "offset": offset,
        }
        found = client.request("POST", "/flow_runs/filter", json=wanted).raise_for_status().json()
        for run in found:
            yield Sighting(
                id=run["id"], name=run["name"], state=run["state_type"], heard=_heard(client, run["id"]),
                since=datetime.fromisoformat(run["state"]["timestamp"]), attempts=run["run_count"],
                deployed=run["deployment_id"] is not None, pool=run.get("work_pool_name"),
            )  # fmt: skip
        if len(found) < PAGE:
            return
        offset += PAGE


def _heard(client: SyncPrefectClient, run: str) -> datetime | None:
    wanted: dict[str, Any] = {
        "filter": {
            "event": {"name": ["prefect.flow-run.heartbeat"]},
            "any_resource": {"id": [f"prefect.flow-run.{run}"]},
            "order": "DESC",
        },
        "limit": 1,
    }
    events = client.request("POST", "/events/filter", json=wanted).raise_for_status().json()["events"]
    return datetime.fromisoformat(events[0]["occurred"]) if events else None


def _end(run: Sighting, restarts: int) -> str:
    interrupted = Interrupted(run.id, run.name, run.state, run.attempts, run.deployed)
    with get_client(sync_client=True) as client:
        # its httpx client has the authentication that Prefect's settings hold
        state = end_run(client._client, interrupted, "found by `nightreel doctor`", restarts)
    return f"run '{run.name}' is {state}"

"""A look at the Prefect server for whoever wants facts and not Prefect's objects, as the doctor does.

Nothing here changes the server but `install_automations` and `end_dead_run`; `keeps_events` leaves an event.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import uuid4

import prefect
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import get_current_settings

from flows.orchestration import automations
from flows.orchestration.deployments import NAMES
from flows.orchestration.interrupted import Interrupted, RunUnderWay, end_run
from flows.orchestration.overdue import overdue
from flows.orchestration.unscheduled import unscheduled
from infra.settings import InfraSettings

__all__ = [
    "CLIENT_VERSION",
    "DeploymentState",
    "Inspection",
    "end_dead_run",
    "inspecting",
    "install_automations",
    "missing_automations",
    "server_trust",
]

PAGE = 200
#: Which of the server's services nights and automations can't do without.
SERVICES = ("scheduler", "late_runs", "event_persister", "triggers")
CLIENT_VERSION: str = prefect.__version__
DeploymentState = Literal["missing", "not served", "there"]


@contextmanager
def inspecting() -> Iterator[Inspection]:
    """Look at the server that Prefect's settings name, until the block ends."""
    with get_client(sync_client=True) as client:
        yield Inspection(client)


def server_trust() -> ssl.SSLContext:
    """Whose certificates Prefect's settings take for the server's, for a request that its client can't make."""
    api = get_current_settings().api
    context = ssl.create_default_context(cafile=api.ssl_cert_file or None)
    if api.tls_insecure_skip_verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class Inspection:
    """What one server holds."""

    def __init__(self, client: SyncPrefectClient) -> None:
        self._client = client

    def error(self) -> Exception | None:
        """Why it does not answer; None if it does."""
        return self._client.api_healthcheck()

    def refuses(self) -> bool:
        """Whether it wants another key, or one at all."""
        try:
            self._client.api_version()
        except PrefectHTTPStatusError as error:
            if error.response.status_code in (401, 403):
                return True
            raise
        return False

    def version(self) -> str:
        """The version of Prefect that it runs."""
        return self._client.api_version()

    def deployment(self, name: str) -> DeploymentState:
        """Whether one of our deployments is there, and a process or a work pool's worker looks after it."""
        try:
            found = self._client.read_deployment_by_name(f"{name}/{name}")
        except ObjectNotFound:
            return "missing"
        return "not served" if found.status is not None and found.status.value == "NOT_READY" else "there"

    def services_off(self) -> list[str]:
        """Those of the services that nights and automations rely on that this server's own settings switch off; they
        may run in a process of their own."""
        settings = self._client.request("GET", "/admin/settings").raise_for_status().json()["server"]["services"]
        return [name for name in SERVICES if not settings.get(name, {}).get("enabled", True)]

    def keeps_events(self, seconds: float) -> bool:
        """Send the server an event, and say whether it can be read back within `seconds`: what automations see."""
        name, identity = "nightreel.deploy.checked", str(uuid4())
        event = {
            "id": identity, "occurred": datetime.now(UTC).isoformat(), "event": name,
            "resource": {"prefect.resource.id": f"nightreel.deploy.{identity}"}, "related": [], "payload": {},
        }  # fmt: skip
        self._client.request("POST", "/events", json=[event]).raise_for_status()
        wanted = {"filter": {"event": {"name": [name]}, "id": {"id": [identity]}}, "limit": 1}
        until = time.monotonic() + seconds
        while not self._post("/events/filter", wanted)["events"]:
            if time.monotonic() > until:
                return False
            time.sleep(0.5)
        return True

    def pool_has_worker(self, pool: str) -> bool:
        """Whether a worker of a work pool has been heard of lately."""
        return any(worker.status == "ONLINE" for worker in self._client.read_workers_for_work_pool(pool))

    def unscheduled(self) -> list[str]:
        """The deployments of ours whose schedule is on, and that have no run to come."""
        return unscheduled(self._client._client, NAMES)

    def overdue(self) -> list[str]:
        """The runs of ours whose time has passed, and that the server has not noticed."""
        return overdue(self._client._client, NAMES)

    def runs_under_way(self) -> Iterator[RunUnderWay]:
        """The runs of our flows that the server holds to be under way."""
        offset = 0
        while True:
            wanted = {
                "flows": {"name": {"any_": list(NAMES)}},
                "flow_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}},
                "limit": PAGE,
                "offset": offset,
            }
            found = self._post("/flow_runs/filter", wanted)
            for run in found:
                yield RunUnderWay(
                    id=run["id"],
                    name=run["name"],
                    state=run["state_type"],
                    since=datetime.fromisoformat(run["state"]["timestamp"]),
                    heard=self._heard(run["id"]),
                    attempts=run["run_count"],
                    deployed=run["deployment_id"] is not None,
                    pool=run.get("work_pool_name"),
                )
            if len(found) < PAGE:
                return
            offset += PAGE

    def _heard(self, run: str) -> datetime | None:
        wanted: dict[str, Any] = {
            "filter": {
                "event": {"name": ["prefect.flow-run.heartbeat"]},
                "any_resource": {"id": [f"prefect.flow-run.{run}"]},
                "order": "DESC",
            },
            "limit": 1,
        }
        events = self._post("/events/filter", wanted)["events"]
        return datetime.fromisoformat(events[0]["occurred"]) if events else None

    def _post(self, path: Literal["/flow_runs/filter", "/events/filter"], body: dict[str, Any]) -> Any:
        return self._client.request("POST", path, json=body).raise_for_status().json()


def missing_automations(settings: InfraSettings) -> list[str]:
    """The names of the automations that are not there as `settings` ask for them."""
    return asyncio.run(automations.lacking(settings))


def install_automations(settings: InfraSettings) -> list[str]:
    """Bring the automations to what `settings` ask for; returns the names of ours."""
    return asyncio.run(automations.install(settings))


def end_dead_run(run: RunUnderWay, why: str, restarts: int) -> str:
    """Give a run whose process is dead its next state; returns that state's name."""
    interrupted = Interrupted(run.id, run.name, run.state, run.attempts, run.deployed)
    with get_client(sync_client=True) as client:
        # its httpx client has the authentication that Prefect's settings hold
        return end_run(client._client, interrupted, why, restarts)

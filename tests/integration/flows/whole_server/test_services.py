"""Each service of Prefect's server that we rely on, seen to do its work on the versions of the lock.

A service that fails leaves the server healthy: SQLAlchemy 2.1 broke the scheduler of Prefect 3.8.8, and only the
server's log knew. `infra/docs/operating.md` has the table of services; automations have a file of their own here.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect import flow, get_run_logger, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.schedules import CronSchedule
from prefect.states import Failed

from flows.doctor.server import check_server
from flows.local.service_errors import failing, lately, log_end, service_errors
from flows.orchestration.run_logs import tidy_task_logs
from infra.environment import LOG_DATE_FORMAT
from infra.settings import InfraSettings
from tests.helpers.prefect_server import PrefectServer, running_prefect_server
from tests.helpers.root import ROOT
from tests.helpers.server_runs import new_run, read, set_state, wait_for_state, wait_until

pytestmark = pytest.mark.timeout(400)

# Rounds of a second where the server's own take twenty, and what waits minutes waits seconds.
_QUICK = {
    "SCHEDULER_LOOP_SECONDS": "1",
    "PAUSE_EXPIRATIONS_LOOP_SECONDS": "1",
    "CANCELLATION_CLEANUP_LOOP_SECONDS": "1",
    "CANCELLATION_CLEANUP_CANCELLING_TIMEOUT_SECONDS": "4",
    "FOREMAN_LOOP_SECONDS": "1",
    "FOREMAN_DEPLOYMENT_LAST_POLLED_TIMEOUT_SECONDS": "4",
    "DB_VACUUM_LOOP_SECONDS": "2",
}


@pytest.fixture(scope="module")
def quick_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    variables = {f"PREFECT_SERVER_SERVICES_{name}": value for name, value in _QUICK.items()}
    variables["PREFECT_LOGGING_FORMATTERS_STANDARD_DATEFMT"] = LOG_DATE_FORMAT
    with running_prefect_server(tmp_path_factory.mktemp("server"), **variables) as server:
        yield server


@pytest.fixture
def server(quick_server: PrefectServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[PrefectServer]:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    for name, value in quick_server.environment.items():
        monkeypatch.setenv(name, value)
    with temporary_settings({PREFECT_API_URL: quick_server.api}):
        yield quick_server


def post(path: str, body: Any) -> Any:
    with get_client(sync_client=True) as client:
        answer = client.request("POST", path, json=body).raise_for_status()  # type: ignore[arg-type]
    return answer.json() if answer.content else None


def test_the_table_names_every_service_of_the_server() -> None:
    """A newer Prefect may have others: then somebody has to say what we rely on them for, and to see them work."""
    import prefect.server.api.server  # noqa: F401  # all of them are registered by now
    from prefect.server.services.base import Service
    from prefect.server.services.perpetual_services import get_perpetual_services

    modules = {service.function.__module__ for service in get_perpetual_services()}
    modules |= {service.__module__ for service in Service.all_services()}
    names = {
        module.removeprefix("prefect.server.").removeprefix("services.").replace(".services.", ".")
        for module in modules
    }
    pages = (ROOT / "infra" / "docs" / "operating.md").read_text(encoding="utf-8")
    page = pages.split("## Services of Prefect's server")[1]
    assert set(re.findall(r"^\| `([a-z_.]+)` \|", page, flags=re.MULTILINE)) == names


def test_the_scheduler_has_the_runs_of_an_active_schedule_ready(server: PrefectServer) -> None:
    run = read(new_run("nightly"))
    deployment = run.deployment_id
    assert deployment is not None

    def ahead() -> list[datetime]:
        found = post(
            "/flow_runs/filter",
            {
                "deployments": {"id": {"any_": [str(deployment)]}},
                "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
                "limit": 200,
            },
        )
        return sorted(datetime.fromisoformat(it["expected_start_time"]) for it in found if it["auto_scheduled"])

    with get_client(sync_client=True) as client:
        client.create_deployment_schedules(deployment, [(CronSchedule(cron="* * * * *", timezone="UTC"), True)])
    wait_until(lambda: len(ahead()) >= 3, "the scheduler made no runs")
    first, second, *_ = ahead()
    assert second - first == timedelta(minutes=1)


def test_a_pause_with_an_end_ends_and_one_without_waits_for_resume(server: PrefectServer) -> None:
    def suspended(until: datetime | None) -> UUID:
        run = new_run("render-manifest")
        set_state(run, StateType.PENDING)
        set_state(run, StateType.RUNNING)
        details = {"pause_reschedule": True} | ({"pause_timeout": until.isoformat()} if until else {})
        post(
            f"/flow_runs/{run}/set_state",
            {"state": {"type": "PAUSED", "name": "Suspended", "state_details": details}},
        )
        return run

    for_ever, for_a_moment = suspended(None), suspended(datetime.now(UTC) + timedelta(seconds=2))
    ended = wait_for_state(for_a_moment, "Failed")
    assert ended.state is not None
    assert "never resumed" in (ended.state.message or "")
    assert read(for_ever).state_name == "Suspended"

    post(f"/flow_runs/{for_ever}/resume", {})
    assert read(for_ever).state_name == "Resuming"
    set_state(for_ever, StateType.COMPLETED)


def test_cancelling_ends_even_where_nobody_is_left_to_end_it(server: PrefectServer) -> None:
    run = new_run("render-manifest")
    set_state(run, StateType.PENDING)
    set_state(run, StateType.RUNNING)
    task_run = post(
        "/task_runs/",
        {
            "flow_run_id": str(run), "task_key": "render", "dynamic_key": "0", "name": "reef 0-4",
            "state": {"type": "RUNNING", "name": "Running"},
        },
    )["id"]  # fmt: skip
    set_state(run, StateType.CANCELLING, "Cancelling")  # and no process hears of it
    wait_for_state(run, "Cancelled")
    with get_client(sync_client=True) as client:
        wait_until(lambda: client.read_task_run(UUID(task_run)).state_name == "Cancelled", "the task run was not ended")


def test_a_deployment_that_nobody_serves_any_more_is_seen(server: PrefectServer) -> None:
    run = read(new_run("rerun-frames"))

    def finding() -> str:
        found = check_server(server.api, InfraSettings(), stale_after=timedelta(hours=1))
        (what,) = (it.what for it in found if "'rerun-frames'" in it.what and "schedule" not in it.what)
        return what

    # as a runner does every few seconds
    post("/deployments/get_scheduled_flow_runs", {"deployment_ids": [str(run.deployment_id)]})
    wait_until(lambda: finding() == "deployment 'rerun-frames' is there", "it was not seen to be served")
    wait_until(lambda: "nobody serves deployment 'rerun-frames'" in finding(), "it was not seen to be left")


@task(name="render")
def a_task(number: int) -> int:
    get_run_logger().warning("rendering %d", number)
    return number


@flow(name="render-manifest", persist_result=False)
def a_flow() -> UUID:
    from prefect import runtime

    assert [it.result() for it in a_task.map([1, 2, 3])] == [1, 2, 3]
    return UUID(str(runtime.flow_run.id))


def test_task_runs_and_their_logs_are_recorded(server: PrefectServer) -> None:
    run = a_flow()

    def completed() -> int:
        chosen = {"flow_runs": {"id": {"any_": [str(run)]}}, "task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
        return int(post("/task_runs/count", chosen))

    def messages() -> set[str]:
        return {it["message"] for it in post("/logs/filter", {"logs": {"flow_run_id": {"any_": [str(run)]}}})}

    wait_until(lambda: completed() == 3, "the recorder of task runs recorded none")
    wait_until(lambda: {f"rendering {number}" for number in (1, 2, 3)} <= messages(), "the logs did not come")


@task(name="stitch")
def a_failing_task() -> Any:
    return Failed(name="FramesMissing", message="1 rendered, 1 missing")


@flow(name="render-manifest", persist_result=False)
def a_failing_flow() -> UUID:
    from prefect import runtime

    a_failing_task(return_state=True)
    return UUID(str(runtime.flow_run.id))


def test_a_failed_task_run_leaves_no_empty_stack_trace_in_the_log(server: PrefectServer) -> None:
    tidy_task_logs()
    run = a_failing_flow()

    def messages() -> list[str]:
        return [it["message"] for it in post("/logs/filter", {"logs": {"flow_run_id": {"any_": [str(run)]}}})]

    wait_until(lambda: any("1 missing" in message for message in messages()), "the log did not come")
    assert "NoneType: None" not in "\n".join(messages())


def event(name: str, occurred: datetime) -> str:
    """Send an event of this name; returns the id of what it is about."""
    about = f"nightreel.test.{uuid4()}"
    post("/events", [
        {"id": str(uuid4()), "event": name, "related": [], "payload": {}, "occurred": occurred.isoformat(),
         "resource": {"prefect.resource.id": about}}
    ])  # fmt: skip
    return about


def kept(about: str) -> int:
    wanted = {"occurred": {"since": "2000-01-01T00:00:00Z"}, "any_resource": {"id": [about]}}
    return int(post("/events/filter", {"filter": wanted})["total"])


def test_events_are_kept_for_a_week_and_not_for_ever(server: PrefectServer) -> None:
    now = datetime.now(UTC)
    old, new = event("nightreel.test", now - timedelta(days=30)), event("nightreel.test", now)
    wait_until(lambda: kept(new) == 1, "the event was not kept")
    wait_until(lambda: kept(old) == 0, "the old event was not removed: the database would grow without bounds")
    assert kept(new) == 1


def test_events_reach_who_listens(server: PrefectServer) -> None:
    """Prefect's pages and its runner hear of changes so, of Cancel among them."""
    from prefect.events.clients import get_events_subscriber
    from prefect.events.filters import EventFilter, EventNameFilter

    async def listen() -> str:
        chosen = EventFilter(event=EventNameFilter(name=["nightreel.test.heard"]))
        async with get_events_subscriber(filter=chosen) as events:
            about = await asyncio.to_thread(event, "nightreel.test.heard", datetime.now(UTC))
            async for heard in events:
                if heard.resource.id == about:
                    return about
        raise AssertionError("the stream ended")

    assert asyncio.run(asyncio.wait_for(listen(), 120)).startswith("nightreel.test.")


def test_no_service_failed_again_and_again_meanwhile(quick_server: PrefectServer) -> None:
    errors = service_errors(log_end(quick_server.log))  # one is a database in use for a moment
    assert failing(errors, lately(minutes=60)) == []

"""How failures of the server's services are read from its log, and when `nightreel up` says so."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from flows.local.service_errors import failing, log_end, service_errors
from flows.local.service_watch import ServiceWatch, remedy
from flows.orchestration.unscheduled import expects_runs
from infra.environment import LOG_DATE_FORMAT

NOW = datetime.now().astimezone().replace(microsecond=0)
MINUTE = timedelta(minutes=1)
# As Prefect 3.8.8 wrote it on SQLAlchemy 2.1.9, shortened.
TRACE = """Traceback (most recent call last):
  File ".../docket/worker.py", line 1134, in _execute
    result = await execution.function(
             ^^^^^^^^^^^^^^^^^^^^^^^^^
  File ".../prefect/server/services/scheduler.py", line 348, in schedule_recent_deployments
KeyError: 'the first of a chain'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File ".../prefect/server/models/deployments.py", line 890, in _insert_scheduled_flow_runs
sqlalchemy.exc.InvalidRequestError: Can't evaluate bulk DML statement; please supply a bulk DML parameter collection
"""


def record(when: datetime, logger: str, message: str, level: str = "ERROR") -> str:
    return f"{when:{LOG_DATE_FORMAT}}.113 | {level:<7} | {logger} - {message}\n"


def failure(when: datetime, function: str) -> str:
    return record(when, "docket.dependencies", f"↩ [   113ms] {function}(){{{function}}}") + TRACE


def test_failures_of_services_are_read_and_requests_that_failed_are_not() -> None:
    log = (
        record(NOW, "prefect.server.services.scheduler", "Scheduled 3 runs.", "INFO")
        + failure(NOW, "schedule_recent_deployments")
        + "ERROR:    Exception in ASGI application\nTraceback (most recent call last):\nRuntimeError: of a request\n"
        + record(NOW + MINUTE, "prefect.server.events.services.actions", "Error running action")
        + record(NOW + MINUTE, "prefect.flow_runs", "not the server's", "ERROR")
        + "ValueError: of a flow run\n"
    )
    first, second = service_errors(log.splitlines())
    assert (first.when, first.service, first.lost) == (NOW, "scheduler", "no night begins by its schedule")
    assert second.service == "automations"
    assert second.error == "Error running action"


def test_the_error_is_the_last_one_of_a_chain() -> None:
    (error,) = service_errors(failure(NOW, "schedule_deployments").splitlines())
    assert error.error.startswith("sqlalchemy.exc.InvalidRequestError: Can't evaluate bulk DML statement")


def test_one_failure_alone_is_nothing_and_old_ones_are_history() -> None:
    log = (
        failure(NOW - 60 * MINUTE, "monitor_late_runs")
        + failure(NOW - 2 * MINUTE, "monitor_late_runs")
        + failure(NOW - 2 * MINUTE, "schedule_deployments")
        + failure(NOW - MINUTE, "schedule_recent_deployments")  # the scheduler too
        + failure(NOW, "of_another_version")
    )
    errors = service_errors(log.splitlines())
    assert [error.service for error in failing(errors, NOW - 10 * MINUTE)] == ["scheduler"]
    assert {error.service for error in failing(errors, NOW - 90 * MINUTE)} == {"scheduler", "watch for late runs"}


def test_of_a_statement_that_failed_the_error_is_told_and_not_where_to_read_on() -> None:
    log = record(NOW, "prefect.server.utilities.messaging.memory", "Failed to process message") + (
        "Traceback (most recent call last):\n  File 'x'\n"
        "sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) database is locked\n"
        "[SQL: INSERT INTO events (id) VALUES (?)]\n[parameters: ('a',)]\n"
        "(Background on this error at: https://sqlalche.me/e/20/e3q8)\n"
    )
    (found,) = service_errors(log.splitlines())
    assert found.error == "sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) database is locked"
    assert "busy" in remedy(Path("own_server.log"), found.error)
    assert "requirements.lock" not in remedy(Path("own_server.log"), found.error)


def test_only_the_end_of_a_log_is_read(tmp_path: Path) -> None:
    log = tmp_path / "own_server.log"
    assert log_end(log) == []
    log.write_text("old\nnew\n")
    assert log_end(log, 4) == ["new"]


CRON = {"cron": "0 1 * * *", "timezone": "UTC", "day_or": True}


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (CRON, True),
        ({"interval": 3600.0}, True),
        ({"interval": 200 * 86_400.0}, False),
        ({"cron": "0 1 1 12 *"}, False),  # further off than the scheduler looks
        ({"rrule": "FREQ=DAILY;COUNT=1"}, False),  # may be over
        ({"cron": "@daily"}, False),
    ],
)
def test_which_schedules_must_have_runs_to_come(schedule: dict[str, Any], expected: bool) -> None:
    def deployment(*, paused: bool = False, **of_schedule: Any) -> dict[str, Any]:
        return {"paused": paused, "schedules": [{"active": True, "schedule": schedule, **of_schedule}]}

    assert expects_runs(deployment()) is expected
    assert not expects_runs(deployment(paused=True))
    assert not expects_runs(deployment(active=False))
    assert not expects_runs(deployment(max_scheduled_runs=2))


class Server:
    """The two answers of a server that the watch asks for."""

    def __init__(self) -> None:
        self.scheduled = 3
        self.client = httpx.Client(base_url="http://server/api", transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/flow_runs/count"):
            return httpx.Response(200, json=self.scheduled)
        night = {"name": "nightly", "id": "1", "paused": False, "schedules": [{"active": True, "schedule": CRON}]}
        return httpx.Response(200, json=[night])


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.client.close()


def test_failures_before_the_start_are_not_said_and_new_ones_are_said_once(tmp_path: Path, server: Server) -> None:
    log, said = tmp_path / "own_server.log", list[str]()
    now = datetime.now().astimezone().replace(microsecond=0)  # the module may have been read long ago
    log.write_text(failure(now, "schedule_deployments") * 2)
    watch = ServiceWatch(log, server.client, said.append)
    watch.tick(0.0)
    assert said == []
    whole = failure(now, "schedule_deployments")
    with log.open("a") as file:
        file.write(whole + whole[:-30])  # the end of the trace comes later
    watch.tick(20.0)
    (line,) = said
    assert line.startswith("ERROR: the scheduler of Prefect's server fails, so no night begins by its schedule: ")
    assert f"All of it is in '{log}'." in line
    assert "requirements.lock" in line
    with log.open("a") as file:
        file.write(whole)
    watch.tick(40.0)
    assert len(said) == 1
    watch.tick(1830.0)
    assert len(said) == 2


def test_a_schedule_without_runs_is_said_after_its_patience_whatever_the_log_says(
    tmp_path: Path, server: Server
) -> None:
    said = list[str]()
    watch = ServiceWatch(tmp_path / "own_server.log", server.client, said.append)
    for now in range(0, 100, 5):
        watch.tick(float(now))
    server.scheduled = 0
    for now in range(100, 170, 5):
        watch.tick(float(now))
    assert said == []
    server.scheduled = 3  # the scheduler made them after all
    watch.tick(170.0)
    server.scheduled = 0
    for now in range(180, 270, 10):
        watch.tick(float(now))
    (line,) = said
    assert "the schedule of 'nightly' is on, but Prefect's server has no run of it to come" in line

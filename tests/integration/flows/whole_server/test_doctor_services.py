"""The doctor on a server whose services run nowhere, as where their process of its own has died."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Scheduled

from flows.doctor.findings import Finding
from flows.doctor.server import check_server
from infra.settings import InfraSettings
from tests.helpers.prefect_server import running_prefect_server
from tests.helpers.server_runs import new_run

pytestmark = [pytest.mark.minutes, pytest.mark.timeout(400)]  # a server of its own


def test_runs_that_nobody_calls_late_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        running_prefect_server(tmp_path, PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED="false") as server,
        temporary_settings({PREFECT_API_URL: server.api}),
    ):
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        new_run("nightly", name="of tomorrow")
        assert unnoticed(server.api).level == "ok"
        run = new_run("nightly", name="of yesterday")
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(
                run, Scheduled(scheduled_time=datetime.now(UTC) - timedelta(minutes=5)), force=True
            )
        found = unnoticed(server.api)
    assert found.level == "problem"
    assert found.what.startswith("the time of of yesterday has passed, and Prefect's server does not call them late")


def unnoticed(api: str) -> Finding:
    found = check_server(api, InfraSettings(), stale_after=timedelta(minutes=10))
    (one,) = [it for it in found if "has passed" in it.what]
    return one

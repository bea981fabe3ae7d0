"""The doctor on a real server: runs that only seem to run, missing automations, deployments that nobody serves."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType

from flows.cli import run as nightreel
from flows.doctor.findings import Finding, repair_all
from flows.doctor.server import check_server
from flows.orchestration.deployments import NAMES
from infra.settings import InfraSettings, load_settings
from tests.helpers.prefect_server import PrefectServer
from tests.helpers.server_runs import new_run, read, set_state, wait_until

pytestmark = pytest.mark.timeout(400)

SILENCE = timedelta(seconds=15)


def heartbeat(run: UUID, after: timedelta) -> None:
    """A heartbeat of `run`, `after` now."""
    event = {
        "id": str(uuid4()), "event": "prefect.flow-run.heartbeat", "related": [], "payload": {},
        "occurred": (datetime.now(UTC) + after).isoformat(),
        "resource": {"prefect.resource.id": f"prefect.flow-run.{run}"},
    }  # fmt: skip
    with get_client(sync_client=True) as client:
        client.request("POST", "/events", json=[event]).raise_for_status()


def look(server: PrefectServer, **settings: Any) -> list[Finding]:
    return list(check_server(server.api, InfraSettings(**settings), stale_after=SILENCE))


def dead(findings: list[Finding]) -> list[str]:
    return sorted(it.what.split("'")[1] for it in findings if "without a sign of life" in it.what)


def test_dead_runs_are_found_and_repaired(server: PrefectServer) -> None:
    runs = {
        "dead": new_run("render-manifest", name="dead"),
        "never began": new_run("nightly", name="never began"),
        "cancelled": new_run("rerun-frames", name="cancelled"),
        "by hand": new_run("render-manifest", name="by hand", deployed=False),
        "too often": new_run("render-manifest", name="too often"),
        "alive": new_run("render-manifest", name="alive"),
        "of others": new_run("something-else", name="of others"),
        "waiting": new_run("render-manifest", name="waiting"),
        "over": new_run("render-manifest", name="over"),
    }
    for name, run in runs.items():
        if name != "waiting":
            set_state(run, StateType.PENDING)
        if name not in ("waiting", "never began"):
            set_state(run, StateType.RUNNING)
    set_state(runs["cancelled"], StateType.CANCELLING)
    set_state(runs["over"], StateType.COMPLETED)
    set_state(runs["too often"], StateType.RUNNING, "Again")
    set_state(runs["too often"], StateType.RUNNING, "And again")
    heartbeat(runs["dead"], -timedelta(hours=1))
    with get_client(sync_client=True) as client:
        task = client.request("POST", "/task_runs/", json={
            "flow_run_id": str(runs["dead"]), "task_key": "render", "dynamic_key": "0", "name": "reef 0-4",
            "state": {"type": "RUNNING", "name": "Running"},
        }).raise_for_status().json()["id"]  # fmt: skip

    lost = ["by hand", "cancelled", "dead", "never began", "too often"]

    def found() -> list[str]:
        heartbeat(runs["alive"], timedelta())
        return [name for name in dead(look(server)) if name in runs]  # a test that failed before leaves runs of its own

    wait_until(lambda: found() == lost, "the dead were not found")
    assert read(runs["dead"]).state_name == "Running", "looking changes nothing"

    heartbeat(runs["alive"], timedelta())
    repaired = [it.repaired for it in repair_all(look(server, crash_restarts=2)) if "without a sign" in it.what]
    assert "run 'dead' is AwaitingRetry" in repaired
    assert read(runs["waiting"]).state_type is StateType.SCHEDULED  # nobody serves it, so it may be Late
    assert {name: read(run).state_name for name, run in runs.items() if name != "waiting"} == {
        "dead": "AwaitingRetry",
        "never began": "AwaitingRetry",
        "cancelled": "Cancelled",
        "by hand": "Crashed",  # nobody could start it
        "too often": "Crashed",
        "alive": "Running",
        "of others": "Running",
        "over": "Completed",
    }
    assert found() == []
    with get_client(sync_client=True) as client:
        assert client.read_task_run(UUID(task)).state_name == "Crashed"


def test_what_is_missing_on_the_server_is_found_and_put_there(
    server: PrefectServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with get_client(sync_client=True) as client:
        for it in client.request("POST", "/automations/filter", json={}).raise_for_status().json():
            client.delete_automation(it["id"])
        for it in client.read_deployments():
            client.delete_deployment(it.id)
    monkeypatch.delenv("NIGHTREEL_RAY_ADDRESS", raising=False)
    load_settings.cache_clear()

    def doctor(*arguments: str) -> tuple[int, list[dict[str, Any]]]:
        capsys.readouterr()
        code = nightreel(["doctor", "--json", *arguments])
        document = json.loads(capsys.readouterr().out)
        assert document["exit_code"] == code
        return code, [it for it in document["findings"] if it["area"] == "server"]

    code, found = doctor()
    assert code == 1
    assert [it["level"] for it in found] == ["ok", "warning", *["warning"] * len(NAMES), "ok", "ok", "problem", "ok"]
    assert "asks nobody for a key" in found[1]["what"]  # as `prefect server start` makes it
    assert [it["what"] for it in found[2:-4]] == [f"there is no deployment '{name}'" for name in NAMES]
    assert found[-2]["can_be_repaired"]

    code, found = doctor("--repair")
    assert code == 1
    assert found[-2]["repaired"].startswith("installed nightreel: no sign of life")

    new_run("render-manifest")
    code, found = doctor()
    assert code == 0
    assert [it["level"] for it in found[3:]] == [*["warning"] * (len(NAMES) - 1), "ok", "ok", "ok", "ok"]
    load_settings.cache_clear()


def test_a_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    url = "http://user:secret@127.0.0.1:9/api"
    with temporary_settings({PREFECT_API_URL: url, PREFECT_CLIENT_MAX_RETRIES: 0}):
        (found,) = check_server(url, InfraSettings(), stale_after=SILENCE)
    assert (found.level, found.repair) == ("problem", None)
    assert "does not answer" in found.what
    assert "secret" not in found.what

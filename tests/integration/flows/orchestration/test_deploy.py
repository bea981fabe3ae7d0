"""`nightreel deploy` on a real Prefect server: what it makes, that it is idempotent, and that a real worker of the pool
renders a manifest to its end. Docker and Kubernetes are not here: their templates are held against Prefect's schema."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from pydantic import SecretStr

from flows.orchestration.deploying import deploy as deploying
from flows.orchestration.deployments import NAMES, NightlyOptions
from flows.orchestration.job_templates import WorkPool
from flows.orchestration.patience import PatientTransport
from infra.settings import InfraSettings
from renderers.errors import BadInput
from tests.helpers.commands import Commands
from tests.helpers.prefect_server import PrefectServer, running_prefect_server
from tests.helpers.ray_head import running_head
from tests.helpers.render_jobs import frame_files, quick_row, write_manifest
from tests.helpers.root import ROOT

# each of its commands imports Prefect, and there are a server, a worker and a run
pytestmark = pytest.mark.minutes

KEY = "admin:a-key-of-the-tests"
OURS = {"render-manifest", "rerun-frames", "nightly", "finetune"}
AUTOMATIONS = {
    "nightreel: no sign of life", "nightreel: goes on after a crash", "nightreel: crashed while starting",
    "nightreel: night not begun",
}  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    folder = tmp_path_factory.mktemp("server")
    with running_prefect_server(folder, PREFECT_SERVER_API_AUTH_STRING=KEY) as server:
        yield server


@pytest.fixture
def nightreel(server: PrefectServer, tmp_path: Path) -> Commands:
    return Commands(tmp_path, {"PREFECT_API_URL": server.api, "PREFECT_API_AUTH_STRING": KEY})


@pytest.fixture
def client(server: PrefectServer) -> Iterator[httpx.Client]:
    user, password = KEY.split(":")
    with httpx.Client(base_url=server.api, timeout=60, transport=PatientTransport(), auth=(user, password)) as client:
        yield client


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a Ray of this machine."""
    with running_head(tmp_path, monkeypatch) as address:
        yield address


def deploy(nightreel: Commands, *arguments: str, **environment: str) -> dict[str, Any]:
    """The command, as a process: seconds to import Prefect each time."""
    said = nightreel("deploy", *arguments, "--json", **environment)
    assert said.code == 0, said
    return dict(json.loads(said.out))


def bring(server: PrefectServer, pool: WorkPool | None = None, **asked: Any) -> dict[str, str]:
    """What the command does with the server, in this process: what is done to each thing."""
    settings = InfraSettings(notify_url=asked.pop("notify_url", None))
    with temporary_settings({PREFECT_API_URL: server.api, PREFECT_API_AUTH_STRING: KEY}):
        return {f"{it.what} {it.name}": it.action for it in deploying(pool or WorkPool(), settings, **asked)}


def actions(said: dict[str, Any]) -> dict[str, str]:
    return {f"{it['what']} {it['name']}": it["action"] for it in said["changes"]}


def held(client: httpx.Client) -> list[Any]:
    """All that `deploy` is about, as the server holds it; not the moments when workers and clients asked."""
    pools = client.post("/work_pools/filter", json={}).json()
    found = client.post("/deployments/filter", json={}).json() + client.post("/automations/filter", json={}).json()
    return [
        {name: value for name, value in it.items() if name not in ("status", "last_polled")}
        for it in (*pools, *found)
    ]  # fmt: skip


def queues(client: httpx.Client) -> list[str]:
    """The queues of the pool, the first that is served before the others."""
    found = client.post("/work_pools/nightreel/queues/filter", json={}).raise_for_status().json()
    return [it["name"] for it in sorted(found, key=lambda it: it["priority"])]


@pytest.mark.timeout(900)
def test_it_makes_everything_once(server: PrefectServer, nightreel: Commands, client: httpx.Client) -> None:
    looked = deploy(nightreel, "--dry-run")
    assert set(actions(looked).values()) == {"created"}
    assert held(client) == []

    first = deploy(nightreel, NIGHTREEL_RAY_ADDRESS="head.example:6379", NIGHTREEL_HEARTBEAT_SECONDS="45")
    assert set(actions(first).values()) == {"created"}
    assert {it["name"] for it in first["changes"]} == {"nightreel", "urgent", "bulk", *OURS, *AUTOMATIONS}
    assert queues(client) == ["urgent", "default", "bulk"]
    assert {it["name"]: it["work_queue_name"] for it in client.post("/deployments/filter", json={}).json()} == {
        "render-manifest": "default", "rerun-frames": "urgent", "nightly": "bulk", "finetune": "bulk",
    }  # fmt: skip
    assert [it["what"] for it in first["findings"] if it["level"] != "ok"] == [
        "work pool 'nightreel' has no worker: its runs wait"
    ]
    environment = client.get("/work_pools/nightreel").json()["base_job_template"]["variables"]["properties"]["env"]
    # the automations were installed for this very interval
    assert environment["default"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "45"
    assert environment["default"]["NIGHTREEL_RAY_ADDRESS"] == "head.example:6379"

    before = held(client)
    again = nightreel("deploy", NIGHTREEL_RAY_ADDRESS="head.example:6379", NIGHTREEL_HEARTBEAT_SECONDS="45")
    assert again.code == 0
    assert "nothing to change" in again.out
    assert held(client) == before

    # a person edits the night in the UI; a change of ours leaves that alone
    night = client.get("/deployments/name/nightly/nightly").json()
    (schedule,) = night["schedules"]
    assert schedule["active"] is False
    edited = {"manifest": "mine-{date}.parquet", "output": "mine", "time_zone": "Asia/Tokyo"}
    client.patch(f"/deployments/{night['id']}", json={"parameters": edited, "description": "x"}).raise_for_status()
    client.patch(f"/deployments/{night['id']}/schedules/{schedule['id']}", json={"active": True}).raise_for_status()
    mine = {"work_queue_name": "default", "work_pool_name": "nightreel"}
    client.patch(f"/deployments/{night['id']}", json=mine).raise_for_status()
    client.patch("/work_pools/nightreel/queues/bulk", json={"priority": 1}).raise_for_status()
    third = bring(server, limit=3)
    assert {name for name, action in third.items() if action != "unchanged"} == {
        "work pool nightreel", "deployment nightly", "automation nightreel: no sign of life",
    }  # fmt: skip
    kept = client.get("/deployments/name/nightly/nightly").json()
    assert (kept["parameters"], kept["work_queue_name"]) == (edited, "default")
    assert queues(client) == ["bulk", "urgent", "default"]
    assert [(it["id"], it["active"]) for it in kept["schedules"]] == [(schedule["id"], True)]
    assert client.get("/work_pools/nightreel").json()["concurrency_limit"] == 3

    options = NightlyOptions("m-{date}.parquet", "o", "30 2 * * *")
    assert bring(server, night=options)["deployment nightly"] == "changed"
    changed = client.get("/deployments/name/nightly/nightly").json()
    assert [(it["active"], it["schedule"]["cron"]) for it in changed["schedules"]] == [(True, "30 2 * * *")]
    assert changed["parameters"]["manifest"] == "m-{date}.parquet"
    assert set(bring(server, night=options).values()) == {"unchanged"}

    # the webhook comes, is moved, and goes
    there, moved = (SecretStr(f"http://127.0.0.1:9/{name}") for name in ("one", "two"))
    assert list(bring(server, notify_url=there).values()).count("created") == 2
    assert list(bring(server, notify_url=moved).values()).count("changed") == 2
    assert set(bring(server, notify_url=moved).values()) == {"unchanged"}
    assert list(bring(server).values()).count("removed") == 2

    # a pool of another type is not overwritten; what `prefect deploy` makes of the file is what this command makes
    with pytest.raises(BadInput, match="of type process"):
        bring(server, WorkPool("docker", image="nightreel:test"))
    prefect = [
        sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", "infra/prefect.yaml",
    ]  # fmt: skip
    done = subprocess.run(prefect, cwd=ROOT, env=nightreel.environment, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    # but for one thing: Prefect's own command can't say that a form has no other parameters
    again = {name for name, action in bring(server).items() if action != "unchanged"}
    assert again == {f"deployment {name}" for name in NAMES}
    assert set(bring(server).values()) == {"unchanged"}

    # types of which nothing can be started here: the server holds their templates against Prefect's schema
    for kind in ("docker", "kubernetes"):
        pool = WorkPool(kind, f"pool-{kind}", "nightreel:test", "storage", "models")
        assert bring(server, pool)[f"work pool pool-{kind}"] == "created"
        assert set(bring(server, pool).values()) == {"unchanged"}
        assert client.get(f"/work_pools/pool-{kind}").json()["type"] == kind
        night = client.get("/deployments/name/nightly/nightly").json()
        assert (night["work_pool_name"], night["work_queue_name"]) == (f"pool-{kind}", "bulk")


def test_a_server_that_can_not_be_used_is_said_to_be(nightreel: Commands) -> None:
    nobody = nightreel("deploy", PREFECT_API_URL="")
    assert nobody.code == 3
    assert "PREFECT_API_URL is not set" in nobody.err
    wrong = nightreel("deploy", PREFECT_API_AUTH_STRING="admin:wrong")
    assert wrong.code == 3
    assert "PREFECT_API_AUTH_STRING" in wrong.err
    away = nightreel("deploy", PREFECT_API_URL="http://127.0.0.1:9/api")
    assert away.code == 3
    assert "correct PREFECT_API_URL" in away.err


@contextmanager
def worker(nightreel: Commands, pool: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A process worker of the pool, as it is started on a machine of a cluster, and its log."""
    log = nightreel.folder / "worker.log"
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool]
    environment = {**nightreel.environment, "PREFECT_WORKER_QUERY_SECONDS": "1"}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=nightreel.folder, env=environment, stdout=out, stderr=out, start_new_session=True
        )
    try:
        yield process, log
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.timeout(900)
def test_a_worker_of_the_pool_renders_to_the_end(
    cluster: str, nightreel: Commands, client: httpx.Client, tmp_path: Path
) -> None:
    """The run joins the Ray cluster that the template names."""
    manifest = write_manifest(tmp_path / "m.parquet", [quick_row("reef", frames=3), quick_row("apple")])
    output = str(tmp_path / "out")
    deploy(nightreel, "--pool", "cluster", NIGHTREEL_RAY_ADDRESS=cluster)
    with worker(nightreel, "cluster") as (process, log):
        deployment = client.get("/deployments/name/render-manifest/render-manifest").json()
        given = {"parameters": {"manifest": manifest, "output": output}, "state": {"type": "SCHEDULED"}}
        run = client.post(f"/deployments/{deployment['id']}/create_flow_run", json=given).raise_for_status().json()
        state: dict[str, Any] = {"type": "SCHEDULED"}
        until = time.monotonic() + 600
        while state["type"] not in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(1)
            state = client.get(f"/flow_runs/{run['id']}").json()["state"]
        assert (state["type"], state["message"]) == (
            "COMPLETED", "4 frames, 2 videos; 4 frames rendered by this run"
        ), log.read_text()  # fmt: skip
        assert len(frame_files(output, "reef")) == 3
        found = deploy(nightreel, "--pool", "cluster", NIGHTREEL_RAY_ADDRESS=cluster)
        assert set(actions(found).values()) == {"unchanged"}
        assert [it["what"] for it in found["findings"] if it["level"] != "ok"] == []
        # signs of life by the interval of the template: the doctor and the automations tell dead runs by them
        wanted = {
            "filter": {
                "event": {"name": ["prefect.flow-run.heartbeat"]},
                "any_resource": {"id": [f"prefect.flow-run.{run['id']}"]},
            }
        }
        assert client.post("/events/filter", json=wanted).json()["total"] >= 1


def begin(client: httpx.Client, name: str, **parameters: Any) -> str:
    deployment = client.get(f"/deployments/name/{name}/{name}").json()
    given = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
    made = client.post(f"/deployments/{deployment['id']}/create_flow_run", json=given).raise_for_status().json()
    return str(made["id"])


def run_of(client: httpx.Client, identity: str) -> dict[str, Any]:
    return dict(client.get(f"/flow_runs/{identity}").raise_for_status().json())


def parts_of(client: httpx.Client, identity: str) -> list[dict[str, Any]]:
    wanted = {"flow_runs": {"parent_flow_run_id": {"any_": [identity]}}}
    return list(client.post("/flow_runs/filter", json=wanted).raise_for_status().json())


def until(log: Path, look: Callable[[], Any], seconds: float = 900) -> Any:
    """What `look` gives once it gives something true."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(1)
    return seen


@pytest.mark.timeout(1800)
def test_nights_that_overlap_and_split_end_in_a_pool_of_one_place(
    cluster: str, nightreel: Commands, client: httpx.Client, tmp_path: Path
) -> None:
    """Each becomes three runs; a render that comes last begins before what is left of both. Cancel ends the parts."""
    nights = ["2026-01-09", "2026-01-10", "2026-01-11"]
    for night in nights:
        write_manifest(tmp_path / f"{night}.parquet", [quick_row("a", frames=2), quick_row("b")])
    other = write_manifest(tmp_path / "other.parquet", [quick_row("c")])
    patterns = {"manifest": f"{tmp_path}/{{date}}.parquet", "output": f"{tmp_path}/{{date}}", "videos_per_run": 1}
    deploy(nightreel, "--pool", "narrow", "--limit", "1", NIGHTREEL_RAY_ADDRESS=cluster)
    with worker(nightreel, "narrow") as (_, log):
        first, second = (begin(client, "nightly", date=night, **patterns) for night in nights[:2])
        until(log, lambda: len(parts_of(client, first)) == 2 and len(parts_of(client, second)) == 2)
        render = begin(client, "render-manifest", manifest=other, output=str(tmp_path / "other"))
        for run in (first, second, render):
            until(log, lambda run=run: run_of(client, run)["state"]["type"] in ("COMPLETED", "FAILED", "CRASHED"))
            assert run_of(client, run)["state_type"] == "COMPLETED", run_of(client, run)["state"]
        assert [run_of(client, run)["state"]["message"] for run in (first, second)] == [
            "3 frames, 2 videos in 2 parts; 3 frames rendered by this run"
        ] * 2
        parts = [part for run in (first, second) for part in parts_of(client, run)]
        assert {part["work_queue_name"] for part in parts} == {"bulk"}
        began = run_of(client, render)["start_time"]
        assert sum(part["start_time"] < began for part in parts) <= 1, "it was in the queue before bulk"
        assert [len(frame_files(str(tmp_path / night), "a")) for night in nights[:2]] == [2, 2]

        third = begin(client, "nightly", date=nights[2], **patterns)
        until(log, lambda: run_of(client, third)["state"]["name"] == "AwaitingParts")
        cancelled = {"state": {"type": "CANCELLING"}}
        client.post(f"/flow_runs/{third}/set_state", json=cancelled).raise_for_status()  # what the UI asks for
        until(log, lambda: run_of(client, third)["state"]["type"] == "CANCELLED")
        until(log, lambda: {part["state_type"] for part in parts_of(client, third)} <= {"CANCELLED", "COMPLETED"})

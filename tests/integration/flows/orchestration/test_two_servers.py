"""Prefect on PostgreSQL and Redis, with two API servers: one is killed, and a run goes on to its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.commands import Commands
from tests.helpers.ray_head import running_head
from tests.helpers.render_jobs import frame_files, quick_row, write_manifest
from tests.helpers.two_servers import TwoServers, running_two_servers, what_is_missing

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(bool(what_is_missing()), reason=what_is_missing()),
]

ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a Ray of this machine."""
    with running_head(tmp_path, monkeypatch) as address:
        yield address


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[TwoServers]:
    with running_two_servers(tmp_path) as servers:
        yield servers


def held(servers: TwoServers, path: str, **asked: Any) -> Any:
    """What the API says; a server that has just been killed may have been the one that was asked."""
    for _ in range(30):
        with suppress(Exception), servers.client() as client:
            said = client.post(path, json=asked) if asked else client.get(path)
            return said.raise_for_status().json()
        time.sleep(1)
    raise AssertionError(f"no answer to {path}")


@pytest.mark.timeout(900)
def test_a_run_outlives_one_of_two_api_servers(servers: TwoServers, cluster: str, tmp_path: Path) -> None:
    nightreel = Commands(tmp_path, {**servers.environment, "NIGHTREEL_RAY_ADDRESS": cluster})
    # with a webhook, whose block's type nobody has registered on this server
    deployed = nightreel("deploy", "--pool", "farm", NIGHTREEL_NOTIFY_URL="http://127.0.0.1:9/none")
    assert deployed.code == 0, deployed
    rows = [quick_row("reef", frames=24, steps=24), quick_row("apple")]
    manifest, output = write_manifest(tmp_path / "m.parquet", rows), str(tmp_path / "out")
    log = tmp_path / "worker.log"
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "farm"]
    environment = {**nightreel.environment, "PREFECT_WORKER_QUERY_SECONDS": "1"}
    with log.open("wb") as out:
        worker = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=out, stderr=out, start_new_session=True
        )
    try:
        deployment = held(servers, "/deployments/name/render-manifest/render-manifest")
        given = {"parameters": {"manifest": manifest, "output": output}, "state": {"type": "SCHEDULED"}}
        run = held(servers, f"/deployments/{deployment['id']}/create_flow_run", **given)
        killed, state = 0, run["state"]
        until = time.monotonic() + 600
        while state["type"] not in ENDED:
            assert worker.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            if not killed and len(frame_files(output, "reef")) >= 2:
                servers.kill_one()
                killed = len(frame_files(output, "reef"))
            time.sleep(0.5)
            state = held(servers, f"/flow_runs/{run['id']}")["state"]
        assert 0 < killed < 24, "it was over before a server was killed"
        assert (state["type"], state["message"]) == (
            "COMPLETED", "25 frames, 2 videos; 25 frames rendered by this run"
        ), log.read_text()  # fmt: skip
        assert servers.servers[0].poll() is not None
        assert servers.servers[1].poll() is None
        assert len(frame_files(output, "reef")) == 24
        # the other one knows all of it: the run's tasks, its artifacts
        asked = {"flow_runs": {"id": {"any_": [run["id"]]}}}
        tasks = held(servers, "/task_runs/filter", **asked)
        assert tasks
        assert {task["state_type"] for task in tasks} == {"COMPLETED"}
        assert held(servers, "/artifacts/filter", artifacts={"flow_run_id": {"any_": [run["id"]]}})
        looked = nightreel("doctor")
        assert "error" not in looked.out.lower(), looked.out
        assert "the server asks for a key" in looked.out, looked.out
    finally:
        with suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()

"""The automations on a real server with its services, a real flow process, and a real webhook."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.states import Scheduled
from pydantic import SecretStr

from flows.orchestration.automations import install, planned
from flows.orchestration.deployments import NAMES
from infra.settings import InfraSettings
from tests.helpers.prefect_server import PrefectServer
from tests.helpers.server_runs import crash, new_run, read, set_state, wait_for_state, wait_until

pytestmark = pytest.mark.timeout(400)

SECRET = "a-token-nobody-may-see"
# what validation would refuse: a heartbeat every four seconds, so that silence is noticed after twelve, as is lateness
QUICK = InfraSettings().model_copy(update={"heartbeat_seconds": 4, "crash_restarts": 2, "late_minutes": 0.2})

# A flow process as a runner starts it: it picks up the run and never ends by itself.
SLEEPER = """
import sys, time
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow

@flow(name="render-manifest", persist_result=False)
def sleeper():
    while True:
        time.sleep(0.2)

with get_client(sync_client=True) as client:
    run = client.read_flow_run(sys.argv[1])
run_flow(sleeper, flow_run=run)
"""


def installed() -> dict[str, dict[str, Any]]:
    with get_client(sync_client=True) as client:
        found = client.request("POST", "/automations/filter", json={}).raise_for_status().json()
    names = [it["name"] for it in found]
    assert len(set(names)) == len(names)
    return {it["name"]: it for it in found}


def blocks() -> list[Any]:
    with get_client(sync_client=True) as client:
        return client.read_block_documents_by_type("webhook", include_secrets=False)


class Webhook:
    """A web server that keeps what is sent to it."""

    def __init__(self) -> None:
        self.calls: queue.Queue[tuple[str, str, bytes]] = queue.Queue()
        calls = self.calls

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                calls.put((self.path, self.headers["Content-Type"], body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/{SECRET}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def next(self) -> dict[str, Any]:
        path, kind, body = self.calls.get(timeout=90)
        assert (path, kind) == (f"/{SECRET}", "application/json")
        sent: dict[str, Any] = json.loads(body)
        return sent


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    made = Webhook()
    yield made
    made.close()


def test_installing_again_changes_what_differs_and_nothing_else(server: PrefectServer) -> None:
    with_hook = InfraSettings(notify_url=SecretStr(f"http://127.0.0.1:9/{SECRET}"))
    names = asyncio.run(install(with_hook))
    first = installed()
    assert sorted(names) == sorted(first) == sorted(it.name for it in planned(with_hook, blocks()[0].id))
    assert first["nightreel: no sign of life"]["trigger"]["within"] == 180.0

    # nothing differs: nothing is written
    asyncio.run(install(with_hook))
    assert installed() == first
    assert len(blocks()) == 1
    assert SECRET not in str(first)
    assert SECRET not in str(blocks())

    # one was switched off by an operator, one is there twice, one is no longer ours, and a setting changed
    off = first["nightreel: goes on after a crash"]
    with get_client(sync_client=True) as client:
        client.pause_automation(off["id"])
        for twin in planned(InfraSettings()):
            client.create_automation(twin)
        client.create_automation(planned(InfraSettings())[0].model_copy(update={"name": "nightreel: of old"}))
        client.create_automation(planned(InfraSettings())[0].model_copy(update={"name": "somebody else's"}))
    asyncio.run(install(InfraSettings(heartbeat_seconds=100, crash_restarts=1)))
    now = installed()
    assert set(now) == {name for name in names if "calls" not in name} | {"somebody else's"}
    assert blocks() == []
    assert now["nightreel: no sign of life"]["trigger"]["within"] == 300.0
    assert now["nightreel: goes on after a crash"]["enabled"] is False
    assert now["nightreel: goes on after a crash"]["trigger"]["match"]["prefect.run-count"] == ["1"]

    asyncio.run(install(InfraSettings(crash_restarts=0)))
    assert set(installed()) == {"nightreel: no sign of life", "nightreel: night not begun", "somebody else's"}


@pytest.mark.slow  # the server's shortest silence is a minute and a half
def test_a_run_whose_process_was_killed_is_noticed_and_goes_on(server: PrefectServer, tmp_path: Path) -> None:
    asyncio.run(install(QUICK))
    run = new_run("render-manifest")
    set_state(run, StateType.PENDING)
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    # no runner above it: nobody tells the server that it died
    process = subprocess.Popen([sys.executable, str(tmp_path / "sleeper.py"), str(run)], start_new_session=True)
    try:
        wait_until(lambda: heartbeats(run) or process.poll() is not None, "no heartbeat")
        assert process.poll() is None  # on a slow machine the server may miss its next heartbeat before we look
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    wait_for_state(run, "AwaitingRetry")
    history = states(run)
    assert history[-2:] == [
        ("CRASHED", "Crashed", "No sign of life for 12 s: its process or machine is gone"),
        ("SCHEDULED", "AwaitingRetry", "Crashed; goes on with what is missing in storage"),
    ]
    assert [kind for kind, *_ in history].count("RUNNING") == 1


def test_a_run_that_crashes_again_and_again_stays_crashed(server: PrefectServer) -> None:
    asyncio.run(install(QUICK))
    ours, foreign, lone = new_run("nightly"), new_run("of-somebody-else"), new_run("nightly", deployed=False)
    for _ in range(2):
        crash(ours)
        wait_for_state(ours, "AwaitingRetry")
    crash(foreign)
    crash(lone)  # nobody could start it
    crash(ours)

    marker = new_run("rerun-frames")
    crash(marker)
    wait_for_state(marker, "AwaitingRetry")  # events are worked off in order: those before were looked at

    assert (read(ours).run_count, read(ours).state_name) == (3, "Crashed")
    assert read(foreign).state_name == "Crashed"
    assert read(lone).state_name == "Crashed"


def test_a_run_that_crashes_before_it_begins_is_started_once_more(server: PrefectServer) -> None:
    asyncio.run(install(QUICK))
    run = new_run("render-manifest")
    set_state(run, StateType.CRASHED)
    wait_for_state(run, "AwaitingRetry")
    set_state(run, StateType.CRASHED)

    marker = new_run("rerun-frames")
    set_state(marker, StateType.CRASHED)
    wait_for_state(marker, "AwaitingRetry")
    assert read(run).state_name == "Crashed"


def test_the_webhook_hears_how_a_run_ended(server: PrefectServer, webhook: Webhook) -> None:
    asyncio.run(install(InfraSettings(notify_url=SecretStr(webhook.url))))
    other, night = new_run("of-somebody-else"), new_run("nightly", name='night "2026-11-23"')
    for run in (other, night):
        set_state(run, StateType.PENDING)
        set_state(run, StateType.RUNNING)
        set_state(run, StateType.FAILED, "FramesMissing", '17/12000 frames "missing"\n<b>')

    sent = webhook.next()
    assert sent == {
        "flow": "nightly",
        "run": 'night "2026-11-23"',
        "id": str(night),
        "state": "FramesMissing",
        "type": "FAILED",
        "message": '17/12000 frames "missing"\n<b>',
        "link": f"{server.url}/runs/flow-run/{night}",
        "text": 'night "2026-11-23": FramesMissing. 17/12000 frames "missing"\n<b>',
    }

    ends = (StateType.COMPLETED, StateType.CANCELLED, StateType.CRASHED, StateType.FAILED)
    assert len(NAMES) == len(ends)
    for flow, kind in zip(NAMES, ends, strict=True):  # every flow of ours, success included
        run = new_run(flow)
        set_state(run, StateType.RUNNING)
        set_state(run, kind)
        sent = webhook.next()
        assert (sent["flow"], sent["id"], sent["type"], sent["message"]) == (flow, str(run), kind.value, "")
    assert webhook.calls.empty()
    assert SECRET not in server.log.read_text()


def test_a_night_that_does_not_begin_is_shown_and_the_webhook_hears_of_it(
    server: PrefectServer, webhook: Webhook
) -> None:
    asyncio.run(install(QUICK.model_copy(update={"notify_url": SecretStr(webhook.url)})))
    time = datetime.now(UTC) - timedelta(seconds=40)
    late, other, begun = (
        new_run(flow, name=flow, state=Scheduled(scheduled_time=time))
        for flow in ("nightly", "render-manifest", "nightly")
    )
    wait_for_state(begun, "Late")
    set_state(begun, StateType.PENDING)
    wait_for_state(other, "Late")  # the server marks them one by one, in no order

    sent = webhook.next()
    assert (sent["id"], sent["state"], sent["type"]) == (str(late), "NotBegun", "SCHEDULED")
    assert sent["text"].startswith(
        "nightly: NotBegun. Late for 0.2 minutes, and nobody has begun it. Does `nightreel up`"
    )
    run = read(late)
    assert (run.state_name, run.state.message) == ("NotBegun", sent["message"])  # in the UI
    assert run.expected_start_time == time  # so it is for the same night as before
    # whoever serves it still finds it
    with get_client(sync_client=True) as client:
        found = client.request(
            "POST",
            "/deployments/get_scheduled_flow_runs",
            json={"deployment_ids": [str(run.deployment_id)], "scheduled_before": datetime.now(UTC).isoformat()},
        )
    assert str(late) in [it["id"] for it in found.raise_for_status().json()]
    assert read(other).state_name == "Late"
    assert read(begun).state_name == "Pending"
    assert [name for _, name, _ in states(late)] == ["Scheduled", "Late", "NotBegun"]
    assert webhook.calls.empty()
    set_state(begun, StateType.COMPLETED)  # other tests look for runs under way


def heartbeats(run: object) -> int:
    wanted = {
        "filter": {
            "event": {"name": ["prefect.flow-run.heartbeat"]},
            "any_resource": {"id": [f"prefect.flow-run.{run}"]},
        }
    }
    with get_client(sync_client=True) as client:
        return int(client.request("POST", "/events/filter", json=wanted).raise_for_status().json()["total"])


def states(run: Any) -> list[tuple[str, str | None, str | None]]:
    with get_client(sync_client=True) as client:
        found = sorted(client.read_flow_run_states(run), key=lambda state: state.timestamp)
    return [(state.type.value, state.name, state.message) for state in found]

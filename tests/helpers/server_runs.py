"""Flow runs without a process behind them: registered on a server by hand, so that each state can be reached."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State, StateType

DEADLINE = 180.0  # seconds; things take one or two where nothing else runs


def new_run(flow: str, *, deployed: bool = True, name: str | None = None, **given: Any) -> UUID:
    """A run of a flow of this name, of a deployment of the same name or of none."""
    with get_client(sync_client=True) as client:
        flow_id = client.create_flow_from_name(flow)
        if deployed:
            deployment = client.create_deployment(flow_id=flow_id, name=flow, enforce_parameter_schema=False)
            return client.create_flow_run_from_deployment(deployment, name=name, **given).id
        answer = client.request("POST", "/flow_runs/", json={"flow_id": str(flow_id), "name": name or flow})
        return UUID(answer.raise_for_status().json()["id"])


def set_state(run: UUID, kind: StateType, name: str | None = None, message: str = "") -> None:
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run, State(type=kind, name=name, message=message), force=True)


def read(run: UUID) -> FlowRun:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(run)


def crash(run: UUID) -> None:
    """The run begins and crashes, as the server sees it."""
    for kind in (StateType.PENDING, StateType.RUNNING, StateType.CRASHED):
        set_state(run, kind)


def wait_until(what: Callable[[], object], goal: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not what():
        assert time.monotonic() < deadline, goal
        time.sleep(0.2)


def wait_for_state(run: UUID, name: str) -> FlowRun:
    wait_until(lambda: read(run).state_name == name, f"run {run} never became {name}: it is {read(run).state}")
    return read(run)

"""Flow runs under way whose process is dead: they are scheduled again, and their task runs no longer show Running.

By plain HTTP and without Prefect, whose import takes seconds that a command on its way out does not have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

__all__ = [
    "Interrupted",
    "RunUnderWay",
    "end_interrupted",
    "end_run",
]

PAGE = 200


@dataclass(frozen=True)
class RunUnderWay:
    """A run that the server holds to be under way. `since` is when it got its `state` (Prefect's state type), `heard`
    the last heartbeat, `pool` the work pool that starts its processes, if one does."""

    id: str
    name: str
    state: str
    since: datetime
    heard: datetime | None
    attempts: int
    deployed: bool
    pool: str | None

    def silence(self, now: datetime) -> timedelta:
        """How long there has been no sign of life."""
        return now - max(self.since, self.heard or self.since)


@dataclass(frozen=True)
class Interrupted:
    """A run whose process is dead. `state` is Prefect's state type; `attempts` how often it began."""

    id: str
    name: str
    state: str
    attempts: int
    deployed: bool = True  # by a deployment, so that it can be scheduled again

    def next_state(self, why: str, restarts: int | None, now: datetime) -> dict[str, Any]:
        """The state that it gets: it goes on, unless its cancelling was under way, or it began more than `restarts`
        times again (None: as often as it likes), since a run that takes its machine down each time must end at last."""
        if self.state == "CANCELLING":
            return {"type": "CANCELLED", "name": "Cancelled", "message": f"Its process is gone: {why}"}
        if not self.deployed:
            message = f"Its process is gone: {why}. The same command goes on with what is missing"
            return {"type": "CRASHED", "name": "Crashed", "message": message}
        if restarts is not None and self.attempts > restarts:
            message = f"Interrupted for the {self.attempts}th time, since {why}. Retry goes on with what is missing"
            return {"type": "CRASHED", "name": "Crashed", "message": message}
        details = {"scheduled_time": now.isoformat()}
        message = f"Interrupted, since {why}; goes on with what is missing"
        return {"type": "SCHEDULED", "name": "AwaitingRetry", "message": message, "state_details": details}


def interrupted_runs(client: httpx.Client, deployments: Sequence[str]) -> list[Interrupted]:
    """The runs of these deployments that the server holds to be under way, none of a work pool's."""
    wanted = {
        "deployments": {"name": {"any_": list(deployments)}},
        "flow_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}},
        "limit": PAGE,
    }
    return [
        Interrupted(run["id"], run["name"], run["state_type"], run["run_count"])
        for run in _post(client, "/flow_runs/filter", wanted)
        if not run.get("work_pool_name")
    ]


def end_interrupted(
    client: httpx.Client, deployments: Sequence[str], why: str, restarts: int | None = None
) -> list[Interrupted]:
    """Schedule again what `interrupted_runs` finds. To be called only while none of their processes lives.

    Raises:
        httpx.HTTPError: the server does not answer, or refuses.
    """
    done: list[Interrupted] = []
    while found := interrupted_runs(client, deployments):
        for run in found:
            end_run(client, run, why, restarts)
        done += found
        if len(found) < PAGE:
            break
    return done


def end_run(client: httpx.Client, run: Interrupted, why: str, restarts: int | None = None) -> str:
    """End the task runs of one run whose process is dead, and give it its next state; returns that state's name."""
    _end_tasks(client, run.id, why)
    state = run.next_state(why, restarts, datetime.now(UTC))
    _post(client, f"/flow_runs/{run.id}/set_state", {"state": state, "force": True})
    return str(state["name"])


def _end_tasks(client: httpx.Client, run: str, why: str) -> None:
    wanted = {
        "flow_runs": {"id": {"any_": [run]}},
        "task_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING"]}}},
        "limit": PAGE,
    }
    state = {"type": "CRASHED", "name": "Crashed", "message": f"Its process is gone: {why}"}
    for task in _post(client, "/task_runs/filter", wanted):
        _post(client, f"/task_runs/{task['id']}/set_state", {"state": state, "force": True})


def _post(client: httpx.Client, path: str, body: dict[str, Any]) -> Any:
    return client.post(path, json=body).raise_for_status().json()

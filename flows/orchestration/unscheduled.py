"""Schedules of ours that are switched on, and for which the server has no run to come.

This is how a broken scheduler shows, whatever it is that broke it: a working one keeps at least three runs ahead of
each active schedule. By plain HTTP and without Prefect, as `nightreel up` and the doctor look with their own clients.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

__all__ = ["unscheduled", "unscheduled_message"]

# Prefect's scheduler looks no further ahead than a hundred days.
HORIZON_SECONDS = 100 * 86_400.0


def unscheduled(client: httpx.Client, deployments: Sequence[str]) -> list[str]:
    """The names of those deployments whose schedule is on, and whose next run is not on the server.

    Raises:
        httpx.HTTPError: the server does not answer, or refuses.
    """
    wanted = {"deployments": {"name": {"any_": list(deployments)}}}
    return [
        deployment["name"]
        for deployment in _post(client, "/deployments/filter", wanted)
        if expects_runs(deployment) and not _runs_to_come(client, deployment["id"])
    ]


def expects_runs(deployment: dict[str, Any]) -> bool:
    """Whether a deployment, as the server shows it, must have runs to come; without a doubt, so that nobody is called
    in vain: a rule may have an end, and a time of one month may lie beyond what the scheduler looks at."""
    return not deployment["paused"] and any(
        it["active"] and _is_soon(it["schedule"]) and not it.get("max_scheduled_runs")
        for it in deployment["schedules"]
    )  # fmt: skip


def unscheduled_message(deployment: str) -> str:
    """What to say of such a deployment."""
    return f"the schedule of '{deployment}' is on, but Prefect's server has no run of it to come: none will begin"


def _is_soon(schedule: dict[str, Any]) -> bool:
    if "interval" in schedule:
        return float(schedule["interval"]) < HORIZON_SECONDS
    fields = str(schedule.get("cron", "")).split()
    return len(fields) == 5 and fields[3] == "*"


def _runs_to_come(client: httpx.Client, deployment: str) -> int:
    wanted = {
        "deployments": {"id": {"any_": [deployment]}},
        "flow_runs": {
            "state": {"type": {"any_": ["SCHEDULED"]}},
            "next_scheduled_start_time": {"after_": datetime.now(UTC).isoformat()},
        },
    }
    return int(_post(client, "/flow_runs/count", wanted))


def _post(client: httpx.Client, path: str, body: dict[str, Any]) -> Any:
    return client.post(path, json=body).raise_for_status().json()

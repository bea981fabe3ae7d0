"""Runs of ours whose time has come and that the server has not even called late: its services do not run.

Where API servers and services are processes of their own (`prefect server start --no-services`, `prefect server
services start`), nothing in an API server's answers says whether the others live; this does. By plain HTTP, as
`unscheduled` looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import httpx

__all__ = ["overdue", "overdue_message"]

# The service calls a run late 15 s after its time, and looks every 5 s.
PATIENCE = timedelta(minutes=2)
SHOWN = 20


def overdue(client: httpx.Client, flows: Sequence[str]) -> list[str]:
    """The names of such runs of `flows`, some at most.

    Raises:
        httpx.HTTPError: the server does not answer, or refuses.
    """
    wanted = {
        "flows": {"name": {"any_": list(flows)}},
        "flow_runs": {
            "state": {"name": {"any_": ["Scheduled"]}},
            "next_scheduled_start_time": {"before_": (datetime.now(UTC) - PATIENCE).isoformat()},
        },
        "limit": SHOWN,
    }
    return [run["name"] for run in client.post("/flow_runs/filter", json=wanted).raise_for_status().json()]


def overdue_message(runs: Sequence[str]) -> str:
    """What to say of them."""
    return (
        f"the time of {', '.join(runs)} has passed, and Prefect's server does not call them late: its services "
        "(late_runs, and so perhaps the scheduler and the automations) do not run"
    )

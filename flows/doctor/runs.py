"""What the doctor says of a server and its runs, from what was seen of them; no Prefect here."""

from __future__ import annotations

from datetime import datetime, timedelta

from flows.doctor.findings import Finding
from flows.orchestration.interrupted import RunUnderWay

__all__ = ["judge_run", "judge_version"]


def judge_run(run: RunUnderWay, now: datetime, stale_after: timedelta) -> Finding | None:
    """What to say of a run; None while it was heard of within `stale_after`. How it is repaired is the caller's."""
    silence = run.silence(now)
    if silence <= stale_after:
        return None
    minutes = f"{silence.total_seconds() / 60:.0f} minutes"
    if run.state == "PENDING" and run.pool:
        return Finding(
            "server",
            "warning",
            f"run '{run.name}' has waited {minutes} for work pool '{run.pool}'",
            "look whether the pool has a worker, and its cluster room",
        )
    return Finding(
        "server",
        "problem",
        f"run '{run.name}' is {run.state.capitalize()}, without a sign of life for {minutes}",
        "its process is gone; it can go on from what is in storage",
    )


def judge_version(url: str, server: str, ours: str) -> Finding:
    """Servers and clients of one minor version understand each other. An older server refuses what newer clients send
    [a deployment's schedule, Prefect 3.4.0 and 3.8.8]; a newer one knows what they mean."""
    if server.split(".")[:2] == ours.split(".")[:2]:
        return Finding("server", "ok", f"Prefect {server} answers at '{url}'")
    what = f"Prefect {server} answers at '{url}', but here is Prefect {ours}"
    if _minor(server) < _minor(ours):
        remedy = (
            f"the server is upgraded first: back its database up, install Prefect {ours} there, run `prefect server "
            "database upgrade -y`, and start it"
        )
        return Finding("server", "problem", what, remedy)
    return Finding("server", "warning", what, "install the same version on both sides")


def _minor(version: str) -> tuple[int, ...]:
    """`3.8.8` as (3, 8); of what is no version, a later one than any."""
    numbers = version.split(".")[:2]
    return tuple(map(int, numbers)) if all(it.isdecimal() for it in numbers) else (10**9,)

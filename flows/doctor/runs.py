"""What the doctor says of a server and its runs, from what was seen of them; no Prefect here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from flows.doctor.examination import Finding

__all__ = ["Sighting", "judge_version"]


@dataclass(frozen=True)
class Sighting:
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

    def finding(self, now: datetime, patience: timedelta) -> Finding | None:
        """What to say of it; None while it was heard of within `patience`. How it is mended is the caller's."""
        silence = self.silence(now)
        if silence <= patience:
            return None
        minutes = f"{silence.total_seconds() / 60:.0f} minutes"
        if self.state == "PENDING" and self.pool:
            return Finding(
                "server", "warning", f"run '{self.name}' has waited {minutes} for work pool '{self.pool}'",
                "look whether the pool has a worker, and its cluster room",
            )  # fmt: skip
        return Finding(
            "server", "problem",
            f"run '{self.name}' is {self.state.capitalize()}, without a sign of life for {minutes}",
            "its process is gone; it can go on from what is in storage",
        )  # fmt: skip


def judge_version(url: str, server: str, ours: str) -> Finding:
    """Servers and clients of one minor version understand each other."""
    if server.split(".")[:2] == ours.split(".")[:2]:
        return Finding("server", "ok", f"Prefect {server} answers at '{url}'")
    return Finding(
        "server", "warning", f"Prefect {server} answers at '{url}', but here is Prefect {ours}",
        "install the same version on both sides",
    )  # fmt: skip

"""Watching whether Prefect's server does its work while `nightreel up` runs: by its log, and by what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import httpx

from flows.local.service_errors import ServiceError, failing, failure_message, lately, log_end, service_errors
from flows.orchestration.deployments import NAMES
from flows.orchestration.unscheduled import unscheduled, unscheduled_message

__all__ = ["ServiceWatch", "remedy"]

LOOK_SECONDS = 10.0
# A schedule that was just switched on, or a server that has just started, has its runs after some seconds; the
# scheduler's slower round comes every minute.
PATIENCE_SECONDS = 75.0
# What goes on is said again, but does not flood the terminal.
SILENCE_SECONDS = 1800.0


class ServiceWatch:
    """Looks at the log of the server, from its present end on, and asks the server by `client`; `tell` hears."""

    def __init__(self, log: Path, client: httpx.Client, tell: Callable[[str], None]) -> None:
        self._log, self._client, self._tell = log, client, tell
        self._start = self._size = _size(log)
        self._errors: list[ServiceError] = []
        self._missing: dict[str, float] = {}  # deployments without runs to come, and since when
        self._said: dict[str, float] = {}
        self._next = 0.0

    def tick(self, now: float) -> None:
        """Look, if it is time to at `now`, in seconds."""
        if now < self._next:
            return
        self._next = now + LOOK_SECONDS
        self._look_at_log(now)
        with suppress(httpx.HTTPError):  # a server that is being restarted
            self._look_at_schedules(now)

    def _look_at_log(self, now: float) -> None:
        size = _size(self._log)
        if size != self._size:  # read again from its start on: a stack trace may be written in two parts
            self._size, self._start = size, min(self._start, size)
            self._errors = service_errors(log_end(self._log, self._start))
        for error in failing(self._errors, lately()):
            self._say(error.service, failure_message(error), now, error.error)

    def _look_at_schedules(self, now: float) -> None:
        self._missing = {name: self._missing.get(name, now) for name in unscheduled(self._client, NAMES)}
        for name, since in self._missing.items():
            if now - since >= PATIENCE_SECONDS:
                self._say(name, unscheduled_message(name), now)

    def _say(self, what: str, message: str, now: float, error: str = "") -> None:
        if now - self._said.get(what, -SILENCE_SECONDS) >= SILENCE_SECONDS:
            self._said[what] = now
            self._tell(f"ERROR: {message}. {remedy(self._log, error)}")


def remedy(log: Path, error: str = "") -> str:
    """What a person can do about a server of this installation whose services fail, the last time with `error`."""
    if "database is locked" in error:
        return (
            f"All of it is in '{log}'. The disk or the processor was too busy for Prefect's database, and what failed "
            "is tried again; if it goes on, move PREFECT_HOME to a faster disk, or give the server PostgreSQL"
        )
    return (
        f"All of it is in '{log}'. Are Prefect {version('prefect')} and SQLAlchemy {version('sqlalchemy')} the "
        "versions of requirements.lock? Others may not go together: install those, then start `nightreel up` again"
    )


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0

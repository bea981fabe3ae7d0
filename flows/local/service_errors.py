"""What the services of Prefect's server write into its log when they fail, read from there.

Nothing else tells: a service that fails every minute keeps the server healthy, its pages say "schedule active", and no
run ever comes. Only the log has it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from infra.environment import LOG_DATE_FORMAT

__all__ = ["ServiceError", "failing", "failure_message", "lately", "log_end", "service_errors"]

# A single failure is a database in use for a moment, which the next round makes good.
FAILURES = 2
TAIL_BYTES = 2_000_000

_RECORD = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\.\d+ \| (\w+) *\| (\S+) - (.*)$")
# As docket writes the end of a task: its seconds, then the call of the function.
_CALL = re.compile(r"\[ *[^\]]*\] (\w+)\(")
# Services by the names under which they log: what people call them, and what does not happen while they fail.
_SERVICES = {
    ("schedule_deployments", "schedule_recent_deployments", "scheduler"): (
        "scheduler", "no night begins by its schedule"
    ),
    ("monitor_late_runs", "mark_flow_run_late", "late_runs"): (
        "watch for late runs", "nobody hears of a night that does not begin"
    ),
    ("monitor_expired_pauses", "fail_expired_pause", "pause_expirations"): (
        "watch over pauses", "a pause with an end does not end"
    ),
    (
        "evaluate_proactive_triggers_periodic", "triggers", "reactivetriggers", "proactivetriggers", "actions",
        "eventpersister", "event_persister",
    ): ("automations", "dead runs are not started again, and no webhook is called"),
    (
        "monitor_cancelled_flow_runs", "monitor_subflow_runs", "ensure_cancelling_timeout_checks",
        "cancellation_cleanup",
    ): ("clean-up after Cancel", "cancelled runs may stay Cancelling"),
    ("task_run_recorder", "taskrunrecorder"): ("recorder of task runs", "the pages show no task runs"),
}  # fmt: skip
# Lines at a trace's left edge that name no error: SQLAlchemy's statement, its parameters and where to read on.
_NO_ERROR = ("Traceback", "The above", "During", "[SQL", "[parameters", "(Background on this error")
_BY_NAME = {name: service for names, service in _SERVICES.items() for name in names}


@dataclass(frozen=True)
class ServiceError:
    """One failure of a service: `service` as people call it, `lost` what does not happen meanwhile."""

    when: datetime
    service: str
    lost: str
    error: str


def service_errors(lines: Iterable[str]) -> list[ServiceError]:
    """The failures of services in a log's lines, in their order; requests that failed are not among them."""
    found: list[ServiceError] = []
    open_record = False  # whether the lines to come are the stack trace of found[-1]
    for line in lines:
        record = _RECORD.match(line)
        if record is not None:
            when, level, logger, message = record.groups()
            open_record = level in ("ERROR", "CRITICAL") and logger.startswith(("docket", "prefect.server."))
            if open_record:
                found.append(_error(when, logger, message))
        elif open_record and line[:1].strip() and not line.startswith(_NO_ERROR):
            last = found[-1]  # of a chain of exceptions, the last one
            found[-1] = ServiceError(last.when, last.service, last.lost, line.strip())
    return found


def failing(errors: Sequence[ServiceError], since: datetime) -> list[ServiceError]:
    """The latest failure of each service that failed again and again since then."""
    latest: dict[str, list[ServiceError]] = {}
    for error in errors:
        if error.when >= since:
            latest.setdefault(error.service, []).append(error)
    return [failures[-1] for failures in latest.values() if len(failures) >= FAILURES]


def failure_message(error: ServiceError) -> str:
    """What to say of it."""
    return f"the {error.service} of Prefect's server fails, so {error.lost}: {error.error}"


def log_end(log: Path, start: int = 0) -> list[str]:
    """The last lines of a log from byte `start` on, some megabytes at most; none if it is not there."""
    try:
        with log.open("rb") as file:
            file.seek(max(start, log.stat().st_size - TAIL_BYTES))
            return file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []


def lately(minutes: float = 10.0) -> datetime:
    """The time before which a failure is history."""
    return datetime.now().astimezone() - timedelta(minutes=minutes)


def _error(when: str, logger: str, message: str) -> ServiceError:
    call = _CALL.search(message) if logger.startswith("docket") else None
    name = call[1] if call else logger.rpartition(".")[2]
    service, lost = _BY_NAME.get(name, (f"service '{name}'", "what it does is not done"))
    return ServiceError(datetime.strptime(when, LOG_DATE_FORMAT).astimezone(), service, lost, message)

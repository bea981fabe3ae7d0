"""The doctor's look at the Prefect server: does it answer, is all that is ours on it, which runs only seem to run?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from flows.doctor.findings import Finding, not_looked_at
from flows.doctor.privacy import check_server_asks
from flows.doctor.runs import judge_run, judge_version
from flows.local.service_errors import failing, failure_message, lately, log_end, service_errors
from flows.local.service_watch import remedy
from flows.orchestration.deployments import NAMES
from flows.orchestration.inspection import (
    CLIENT_VERSION,
    DeploymentState,
    Inspection,
    end_dead_run,
    inspecting,
    install_automations,
    missing_automations,
    server_trust,
)
from flows.orchestration.interrupted import RunUnderWay
from flows.orchestration.overdue import overdue_message
from flows.orchestration.unscheduled import unscheduled_message
from infra.settings import InfraSettings
from manifests.masking import without_secrets

__all__ = ["check_server"]

# A schedule that was just switched on has its runs after some seconds.
SCHEDULER_SECONDS = 15.0
SERVE = "start `nightreel up`, or run `nightreel deploy` and a worker of its pool"


def check_server(
    url: str, settings: InfraSettings, *, stale_after: timedelta, log: Path | None = None
) -> Iterator[Finding]:
    """Look at the server at `url`, which Prefect's settings name: runs without a heartbeat for `stale_after` are stale.

    `log` is the server's own, where a `nightreel up` of this machine runs it. Repairing stale runs needs the server,
    not this function's client.
    """
    shown = without_secrets(url)
    with inspecting() as server:
        error = server.error()
        if error is not None:
            reason = " ".join(str(error).split()) or type(error).__name__
            yield Finding(
                "server",
                "problem",
                f"Prefect's server '{shown}' does not answer: {reason}",
                "start it (`nightreel up` does), or correct PREFECT_API_URL",
            )
            return
        yield judge_version(shown, server.version(), CLIENT_VERSION)
        yield from check_server_asks(url, server_trust())
        for name in NAMES:
            yield _deployment(name, server.deployment(name))
        yield from _schedules(server, log)
        yield from _overdue(server)
        if log is not None:
            yield from _services(log)
        yield _automations(settings)
        stale = list(_stale(server, settings, stale_after))
        yield from stale or [Finding("server", "ok", "no run of ours only seems to run")]


def _deployment(name: str, state: DeploymentState) -> Finding:
    if state == "missing":
        return Finding("server", "warning", f"there is no deployment '{name}'", SERVE)
    if state == "not served":
        return Finding("server", "warning", f"nobody serves deployment '{name}': its runs wait", SERVE)
    return Finding("server", "ok", f"deployment '{name}' is there")


def _schedules(server: Inspection, log: Path | None) -> Iterator[Finding]:
    """By what comes of it: a scheduler that works keeps runs to come, whatever its log says."""
    end = time.monotonic() + SCHEDULER_SECONDS
    while (missing := server.unscheduled()) and time.monotonic() < end:
        time.sleep(1.0)
    for name in missing:
        what = "look into that server's log for errors of its scheduler" if log is None else remedy(log)
        yield Finding("server", "problem", unscheduled_message(name), what)
    if not missing:
        yield Finding("server", "ok", "every schedule that is on has its next run")


def _overdue(server: Inspection) -> Iterator[Finding]:
    """By what comes of it, too: a server whose services are elsewhere does not say whether they live."""
    if runs := server.overdue():
        yield Finding(
            "server", "problem", overdue_message(runs),
            "start them on that server's database (`prefect server services start`), or start it without --no-services",
        )  # fmt: skip
    else:
        yield Finding("server", "ok", "no run's time has passed unnoticed")


def _services(log: Path) -> Iterator[Finding]:
    """By the log: what failed again and again just now is a problem, a single failure of the last day is not."""
    try:
        log.stat()
    except OSError as gone:
        yield not_looked_at("server", f"the server's services, by its log '{log}',", gone, "start `nightreel up` again")
        return
    errors = service_errors(log_end(log))
    now = failing(errors, lately())
    for error in now:
        yield Finding("server", "problem", failure_message(error), remedy(log, error.error))
    earlier = [
        error for error in errors if error.when >= lately(24 * 60) and error.service not in {e.service for e in now}
    ]
    if earlier:
        last = earlier[-1]
        yield Finding(
            "server",
            "warning",
            f"the {last.service} of Prefect's server failed at {last.when:%H:%M}: {last.error}",
            f"look whether it comes again: the server's log is '{log}'",
        )
    elif not now:
        yield Finding("server", "ok", "no service of the server failed within a day")


def _automations(settings: InfraSettings) -> Finding:
    missing = missing_automations(settings)
    if not missing:
        return Finding("server", "ok", "the automations are there")
    return Finding(
        "server",
        "problem",
        f"automations are missing, or not as the settings say: {', '.join(missing)}",
        "without them nobody notices a dead run, nor starts it again",
        repair=partial(_install, settings),
    )


def _install(settings: InfraSettings) -> str:
    return f"installed {', '.join(install_automations(settings))}"


def _stale(server: Inspection, settings: InfraSettings, stale_after: timedelta) -> Iterator[Finding]:
    now = datetime.now(UTC)
    for run in server.runs_under_way():
        finding = judge_run(run, now, stale_after)
        if finding is None:
            continue
        if finding.level == "problem":
            finding = replace(finding, repair=partial(_end, run, settings.crash_restarts))
        yield finding


def _end(run: RunUnderWay, restarts: int) -> str:
    return f"run '{run.name}' is {end_dead_run(run, 'found by `nightreel doctor`', restarts)}"

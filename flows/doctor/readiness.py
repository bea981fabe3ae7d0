"""Whether nights can be left to a Prefect server: it answers, it asks who comes, its services do their work."""

from __future__ import annotations

from collections.abc import Iterator

from flows.doctor.findings import Finding
from flows.doctor.privacy import check_server_asks
from flows.doctor.runs import judge_version
from flows.orchestration.inspection import CLIENT_VERSION, Inspection, server_trust
from manifests.masking import without_secrets

__all__ = ["check_answers", "check_services"]

EVENT_SECONDS = 20.0


def check_answers(server: Inspection, url: str) -> Iterator[Finding]:
    """Look whether the server at `url` answers, in which version, and whom; ends with a problem where it does not."""
    shown = without_secrets(url)
    error = server.error()
    if error is not None:
        reason = " ".join(str(error).split()) or type(error).__name__
        what = f"Prefect's server '{shown}' does not answer: {reason}"
        yield Finding("server", "problem", what, "start it, or correct PREFECT_API_URL")
        return
    if server.refuses():
        remedy = "set PREFECT_API_AUTH_STRING (or PREFECT_API_KEY) to what that server asks for"
        yield Finding("server", "problem", f"Prefect's server '{shown}' does not take this process's key", remedy)
        return
    yield judge_version(shown, server.version(), CLIENT_VERSION)
    yield from check_server_asks(url, server_trust())


def check_services(server: Inspection, pool: str | None, *, write: bool) -> Iterator[Finding]:
    """Look whether the services that nights and automations rely on are on, and, if it may `write` an event, whether
    events come through; and whether `pool` has a worker."""
    off = server.services_off()
    if off:
        yield Finding(
            "server",
            "warning",
            f"this server runs no {', '.join(off)}",
            "run `prefect server services start` beside it, on the same database and message broker",
        )
    if write and not server.keeps_events(EVENT_SECONDS):
        yield Finding(
            "server",
            "problem",
            f"an event was not kept within {EVENT_SECONDS:.0f} s: automations hear of nothing",
            "run the server's services (`prefect server services start`), and look into their log",
        )
    elif not off:
        yield Finding("server", "ok", "its services are on" + (", and events come through" if write else ""))
    if pool is not None and not server.pool_has_worker(pool):
        yield Finding(
            "server",
            "warning",
            f"work pool '{pool}' has no worker: its runs wait",
            f"where runs are to start: prefect worker start --pool {pool}",
        )

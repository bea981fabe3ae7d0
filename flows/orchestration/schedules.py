"""Cron schedules as Prefect understands them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from prefect._vendor.croniter import croniter  # type: ignore[attr-defined]
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule

from flows.orchestration.deployments import Schedule

__all__ = ["is_cron", "prefect_schedule"]


def is_cron(text: str) -> bool:
    """Whether `text` names times, of which one comes: the 30th of February never does."""
    try:
        CronSchedule(cron=text)
        # Prefect's own reader of such texts, which no part of it shows
        times: Any = croniter
        times(text, datetime.now(UTC), max_years_between_matches=10).get_next()
    except (ValueError, LookupError, TypeError, OverflowError):
        return False
    return True


def prefect_schedule(schedule: Schedule, slug: str, *, active: bool) -> DeploymentScheduleCreate:
    """A deployment's schedule for the server; `slug` is by what a later registration knows it again."""
    return DeploymentScheduleCreate(
        schedule=CronSchedule(cron=schedule.cron, timezone=schedule.time_zone), active=active, slug=slug
    )

"""A night that its schedule starts by itself, on the shipped lock, from the server's scheduler to the video."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.browser import Pages, browser_pages
from tests.helpers.render_jobs import quick_row, write_manifest
from tests.helpers.root import ROOT
from tests.helpers.up import RunningUp, running_up

# The scheduler looks every minute, a cron of a minute comes within another one; the rest is Ray's start.
NIGHT_SECONDS = 360.0
SHOTS = ROOT / "test-output" / "ui"


def start_a_night(folder: Path) -> None:
    """Have the scheduler of a `nightreel up` start a night in `folder`, and wait for its video."""
    write_manifests(folder)
    every_minute = (
        "--nightly", f"{folder}/{{date}}.parquet", "--output", f"{folder}/nights/{{date}}", "--cron", "* * * * *"
    )  # fmt: skip
    with running_up(folder, {}, *every_minute) as up:
        wait_for_a_night(up, folder)


def write_manifests(folder: Path) -> None:
    """A manifest for today, and one for tomorrow: midnight may pass meanwhile."""
    today = datetime.now(UTC).date()
    for night in (today, today + timedelta(days=1)):
        write_manifest(folder / f"{night}.parquet", [quick_row("apple")])


def wait_for_a_night(up: RunningUp, folder: Path) -> str:
    """Wait until the first night that the schedule started has ended, with its picture and report; returns its id."""

    def nights() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = up.post("/flow_runs/filter", deployments={"name": {"any_": ["nightly"]}})
        return found

    def ended() -> bool:
        return any(run["state_type"] in ("COMPLETED", "FAILED", "CRASHED") for run in nights())

    up.wait_until(ended, NIGHT_SECONDS, "a night that the schedule started")
    (first, *_) = [run for run in nights() if run["state_type"] in ("COMPLETED", "FAILED", "CRASHED")]
    assert first["auto_scheduled"] is True
    assert first["state_name"] == "Completed", first["state"]["message"]
    assert list((folder / "nights").glob("*/apple/video.png"))
    assert list((folder / "nights").glob("*/report/index.html"))
    return str(first["id"])


def gives_nightly_its_schedule(pages: Pages, deployment: str, folder: Path) -> None:
    """What a person clicks, from the page of the deployment on: its parameters, then the schedule."""
    page = pages.page
    pages.open(deployment)
    page.locator(".page-heading__actions, header").get_by_role("button").last.click()
    page.get_by_text("Edit", exact=True).last.click()
    pages.write("manifest", f"{folder}/{{date}}.parquet")
    pages.write("output", f"{folder}/nights/{{date}}")
    pages.shot("night 1 parameters")
    pages.click("Save")
    pages.shows("Schedules")

    card = page.locator(".deployment-schedule-card", has_text="nightly")
    card.get_by_role("switch").wait_for()
    assert card.get_by_role("switch").get_attribute("aria-checked") == "false"
    card.get_by_role("button").last.click()
    page.get_by_text("Edit", exact=True).last.click()
    form = page.locator(".p-modal", has_text="Edit schedule")
    labelled(form, "Value").locator("input").fill("* * * * *")
    labelled(form, "Active").get_by_role("switch").click()
    pages.shot("night 2 schedule")
    form.get_by_role("button", name="Save", exact=True).click()
    form.wait_for(state="hidden")
    page.locator(".deployment-schedule-card [aria-checked=true]").wait_for()
    pages.shot("night 3 schedule is on")


def labelled(form: Any, name: str) -> Any:
    """The field of a form of Prefect's own under this label."""
    return form.locator(".p-label", has=form.page.get_by_text(name, exact=True)).last


@pytest.mark.minutes
@pytest.mark.timeout(1500)
def test_a_schedule_starts_a_night_whose_video_is_published(tmp_path: Path) -> None:
    start_a_night(tmp_path)


@pytest.mark.minutes
@pytest.mark.timeout(1500)
def test_a_schedule_that_a_person_set_by_clicks_starts_a_night(tmp_path: Path) -> None:
    write_manifests(tmp_path)
    with running_up(tmp_path) as up, browser_pages(up.ui_url, SHOTS, up.sign_in) as pages:
        gives_nightly_its_schedule(pages, up.ready["forms"]["nightly"].removesuffix("/run"), tmp_path)
        night = wait_for_a_night(up, tmp_path)
        pages.open(f"/runs/flow-run/{night}")
        pages.shows("Completed")
        pages.shot("night 4 the night")

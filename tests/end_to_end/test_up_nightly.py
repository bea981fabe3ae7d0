"""A night that its schedule starts by itself, on the shipped lock, from the server's scheduler to the video."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.render_jobs import quick_row, write_manifest
from tests.helpers.up import running_up

# The scheduler looks every minute, a cron of a minute comes within another one; the rest is Ray's start.
NIGHT_SECONDS = 360.0


def start_a_night(folder: Path) -> None:
    """Have the scheduler of a `nightreel up` start a night in `folder`, and wait for its video."""
    today = datetime.now(UTC).date()
    for night in (today, today + timedelta(days=1)):  # midnight may pass meanwhile
        write_manifest(folder / f"{night}.parquet", [quick_row("apple")])
    every_minute = (
        "--nightly", f"{folder}/{{date}}.parquet", "--output", f"{folder}/nights/{{date}}", "--cron", "* * * * *"
    )  # fmt: skip
    with running_up(folder, {}, *every_minute) as up:

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


@pytest.mark.minutes
@pytest.mark.timeout(1500)
def test_a_schedule_starts_a_night_whose_video_is_published(tmp_path: Path) -> None:
    start_a_night(tmp_path)

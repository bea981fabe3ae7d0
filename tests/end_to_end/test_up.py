"""`nightreel up` from outside: what it offers, what Ctrl-C and SIGKILL leave, and what goes on when it comes back."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest

from flows.orchestration.deployments import NAMES
from infra.ports import free_port
from tests.helpers.commands import Commands, wait_until_gone
from tests.helpers.listening import LOOPBACK, listening
from tests.helpers.render_jobs import frame_files, quick_row, write_manifest
from tests.helpers.up import RunningUp, running_up

FRAMES = 30
NIGHT = ("--nightly", "night-{date}.parquet", "--output", "nights/{date}", "--time-zone", "Europe/Berlin")


def a_render_under_way(up: RunningUp, folder: Path) -> str:
    """A run of a video of some frames, the first of which are there."""
    row = quick_row("reef", frames=FRAMES, steps_first=25, steps=25)
    manifest = write_manifest(folder / "long.parquet", [row])
    run = up.start_run("render-manifest", manifest=manifest, output=str(folder / "long"))
    up.wait_until(lambda: len(frame_files(str(folder / "long"), "reef")) > 1, 240, "two frames")
    return run


def frames_once(folder: Path, video: str = "reef") -> bool:
    """Whether every frame is there, once, and the video too."""
    numbers = [int(file.name.split("-")[0]) for file in frame_files(str(folder), video)]
    return numbers == list(range(FRAMES)) and (folder / video / "video.mp4").is_file()


def offers_what_it_should(up: RunningUp) -> None:
    for name in NAMES:
        deployment = up.deployment(name)
        assert (deployment["status"], deployment["paused"]) == ("READY", False)
        assert deployment["enforce_parameter_schema"] is True
        assert deployment["description"]
        assert "nightreel" in deployment["tags"]
        fields = deployment["parameter_openapi_schema"]["properties"]
        assert [field for field, about in fields.items() if not about.get("description")] == []
        assert up.ready["forms"][name].startswith(up.ui_url)
    night = up.deployment("nightly")
    (schedule,) = night["schedules"]
    assert schedule["active"] is True
    assert schedule["schedule"]["timezone"] == "Europe/Berlin"
    assert night["parameters"] == {
        "manifest": "night-{date}.parquet", "output": "nights/{date}", "time_zone": "Europe/Berlin"
    }  # fmt: skip
    page = up.client.get(up.ui_url)
    assert page.status_code == 200
    assert "<html" in page.text.lower()
    settings = up.client.get(f"{up.ui_url}/ui-settings").json()
    assert (settings["api_url"], settings["auth"]) == ("/api", "BASIC")  # of its own origin; it asks for the key


def refuses_bad_input(up: RunningUp) -> None:
    deployment = up.deployment("render-manifest")["id"]
    parameters = {"manifest": "m.parquet", "output": "out", "range_frames": 0}
    refused = up.client.post(f"/deployments/{deployment}/create_flow_run", json={"parameters": parameters})
    assert refused.status_code == 409
    assert "range_frames" in refused.text
    assert "minimum of 1" in refused.text


def refuses_a_second(up: RunningUp, folder: Path) -> None:
    port = up.ui_url.rpartition(":")[2]
    (folder / "elsewhere").mkdir()
    second = Commands(folder / "elsewhere", {"PREFECT_HOME": str(folder / "prefect")})("up", "--port", free_port())
    assert second.code == 3
    assert "runs already" in second.err
    assert up.ui_url in second.err
    elsewhere = Commands(folder / "elsewhere", {})("up", "--port", port)
    assert elsewhere.code == 3
    assert f"port {port} can't be used" in elsewhere.err
    assert "--port" in elsewhere.err


def listens_on_loopback_only(up: RunningUp) -> None:
    addresses = listening(up.processes())
    assert sum(addresses.values()) > 5
    assert set(addresses) <= LOOPBACK, addresses


def forgets_runs_of_long_ago(up: RunningUp, folder: Path, old: str, young: str) -> None:
    with closing(sqlite3.connect(folder / "prefect" / "prefect.db", timeout=60)) as database, database:
        database.execute("UPDATE flow_run SET end_time = '2026-01-01 00:00:00.000000' WHERE id = ?", [str(UUID(old))])
    up.wait_until(lambda: up.client.get(f"/flow_runs/{old}").status_code == 404, 120, "the end of an old run")
    assert up.client.get(f"/flow_runs/{young}").status_code == 200


@pytest.mark.minutes
@pytest.mark.timeout(1800)
def test_up_renders_stops_goes_on_and_leaves_nothing(tmp_path: Path) -> None:
    with running_up(tmp_path, {}, *NIGHT) as up:
        offers_what_it_should(up)
        refuses_bad_input(up)
        refuses_a_second(up, tmp_path)

        manifest = write_manifest(tmp_path / "m.parquet", [quick_row("apple", frames=3)])
        first = up.start_run("render-manifest", manifest=manifest, output=(tmp_path / "out").as_uri())
        assert up.wait_for_run(first)["state_name"] == "Completed"
        assert len(frame_files(str(tmp_path / "out"), "apple")) == 3

        run = a_render_under_way(up, tmp_path)
        listens_on_loopback_only(up)
        processes = up.processes()
        assert len(processes) > 6
        assert up.stop() == 0
        assert wait_until_gone(processes, 30) == []
        assert "goes on when `nightreel up` is started again" in up.said()
        kept = frame_files(str(tmp_path / "long"), "reef")
        assert len(kept) < FRAMES

    # without --nightly: what was set, or changed in the UI, stays
    with running_up(tmp_path, {"PREFECT_SERVER_SERVICES_DB_VACUUM_LOOP_SECONDS": "2"}) as up:
        ended = up.wait_for_run(run)
        assert (ended["state_name"], ended["run_count"]) == ("Completed", 2)
        assert frames_once(tmp_path / "long")
        forgets_runs_of_long_ago(up, tmp_path, first, run)
        assert up.deployment("nightly")["schedules"][0]["active"] is True
        assert up.deployment("nightly")["parameters"]["output"] == "nights/{date}"

        processes = up.processes()
        os.kill(up.pid, signal.SIGKILL)
        assert wait_until_gone(processes, 30) == []

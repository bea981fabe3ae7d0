"""Suspend and Resume, as Prefect's pages do them, on a run of `nightreel up`."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flows.runs.record import RunRequest, RunState
from flows.runs.stored import put_request, stored_runs
from infra.storage.storage import Storage
from tests.helpers.commands import Commands
from tests.helpers.render_jobs import frame_files, quick_row, write_manifest
from tests.helpers.up import RunningUp, running_up

# The page's form writes 300; the server then looks every second, so that an end would be seen soon.
TIMEOUT = timedelta(seconds=12)
QUICK = {"PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_LOOP_SECONDS": "1"}
# Twenty steps each: half a minute of work here. Of three steps each the rest was done, on a faster machine, before
# the seconds had passed in which the priority is heard and the suspension arrives.
FRAMES, STEPS = 80, 20


def suspend(up: RunningUp, run: str) -> None:
    """What the button Submit of the form "Suspend Flow Run" sends."""
    until = (datetime.now(UTC) + TIMEOUT).isoformat()
    details = {"pause_timeout": until, "pause_reschedule": True}
    up.post(f"/flow_runs/{run}/set_state", state={"type": "PAUSED", "name": "Suspended", "state_details": details})


def latest(output: str) -> RunState:
    """Where the output's latest run stands."""
    state = stored_runs(Storage(output))[-1].state
    assert state is not None
    return state


def ask_for_priority(output: str, priority: int) -> None:
    """What the live page does for a person."""
    run, now = stored_runs(Storage(output))[-1].record.run, datetime.now(UTC)
    put_request(Storage(output), RunRequest(run=run, kind="priority", priority=priority, asked=now), f"{now:%H%M%S}")


@pytest.mark.minutes
@pytest.mark.timeout(1500)
def test_a_suspended_run_waits_past_the_timeout_of_the_form_and_goes_on_by_resume(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "m.parquet", [quick_row("reef", frames=FRAMES, steps=STEPS)])
    output = tmp_path / "out"
    with running_up(tmp_path, QUICK) as up:
        run = up.start_run("render-manifest", manifest=manifest, output=str(output))
        up.wait_until(lambda: len(frame_files(str(output), "reef")) > 2, 300, "the first frames")
        ask_for_priority(str(output), 7)
        up.wait_until(lambda: latest(str(output)).priority == 7, 60, "the priority")
        suspend(up, run)
        suspended = time.monotonic()
        up.wait_until(
            lambda: "Waits for Resume" in (up.run(run)["state"]["message"] or ""), TIMEOUT.seconds, "the message"
        )
        up.wait_until(lambda: time.monotonic() - suspended > TIMEOUT.seconds + 8, 60, "the timeout")
        shown = up.run(run)
        assert (shown["state_type"], shown["state_name"]) == ("PAUSED", "Suspended")
        kept = len(frame_files(str(output), "reef"))
        assert kept < FRAMES
        left = {"event": {"name": ["prefect.flow-run.left-suspended"]}, "related": {"role": ["flow"]}}
        up.wait_until(lambda: bool(up.post("/events/filter", filter=left)["events"]), 60, "the process's last words")
        assert latest(str(output)).result == "Suspended"

        # meanwhile: a command of this user on this machine joins the cluster by the address that `up` printed
        commands = Commands(tmp_path, {"PREFECT_HOME": str(tmp_path / "prefect")})
        other = write_manifest(tmp_path / "other.parquet", [quick_row("apple")])
        rendered = commands(
            "render", other, "--output", tmp_path / "other", seconds=400,
            NIGHTREEL_RAY_ADDRESS=up.ray_address, PREFECT_API_URL=up.api_url,
        )  # fmt: skip
        assert rendered.code == 0, rendered.err
        assert len(frame_files(str(tmp_path / "other"), "apple")) == 1

        up.post(f"/flow_runs/{run}/resume")
        ended = up.wait_for_run(run, 400)
        assert ended["state_name"] == "Completed", ended["state"]["message"]
        assert len(frame_files(str(output), "reef")) == FRAMES
        assert f"{FRAMES - kept} frames" in ended["state"]["message"]
        assert (latest(str(output)).result, latest(str(output)).priority) == ("Completed", 7)
        mine = up.post("/artifacts/filter", artifacts={"flow_run_id": {"any_": [run]}})
        keys = [it["key"] for it in mine]
        assert sorted(keys) == ["live", "progress", "summary", "videos"], "none is left of before Suspend"

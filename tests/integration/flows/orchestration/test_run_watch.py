"""What an operator does to a run from the UI while it renders: cancel, pause, resume."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from flows.orchestration.watch import LABEL
from flows.render_manifest import render_manifest
from renderers.frame_rendering.frame_object import FrameObject
from tests.helpers.flow_runs import BackgroundRun, server, until
from tests.helpers.render_jobs import frame_files, quick_row, write_manifest

pytestmark = [pytest.mark.usefixtures("prefect_server", "ray_cluster"), pytest.mark.minutes]


@pytest.mark.timeout(300)
def test_a_cancelled_run_stops_its_actors_and_leaves_whole_frames(tmp_path: Path) -> None:
    # frame 0 is quick; the next would take hours
    row = quick_row("reef", frames=3, steps=10_000)
    output = tmp_path / "out"
    with BackgroundRun(render_manifest, write_manifest(tmp_path / "m.parquet", [row]), output) as run:
        until(lambda: frame_files(str(output), "reef"), 120)
        time.sleep(1)  # into frame 1
        with server() as client:
            from prefect.states import Cancelling

            began = time.monotonic()
            client.set_flow_run_state(run.id(), Cancelling(), force=True)
        state = run.over(60)
    assert time.monotonic() - began < 60
    assert (state.type.value, state.name) == ("CANCELLED", "Cancelled")
    assert state.message == "2/3 frames missing; 0 of 1 video done; 1 frame rendered by this run"
    (whole,) = frame_files(str(output), "reef")
    FrameObject.from_bytes(whole.read_bytes())
    # stopped on purpose: nothing of it is a failure
    assert not list(output.glob("reef/failures/*"))


@pytest.mark.timeout(300)
def test_a_paused_run_begins_no_frame_and_goes_on_when_it_is_resumed(tmp_path: Path) -> None:
    row = quick_row("reef", frames=200, steps=1)
    output = tmp_path / "out"
    manifest = write_manifest(tmp_path / "m.parquet", [row])
    with BackgroundRun(render_manifest, manifest, output, range_frames=100) as run:
        from prefect.states import Paused

        until(lambda: len(frame_files(str(output), "reef")) > 2, 120)
        with server() as client:
            client.set_flow_run_state(run.id(), Paused(timeout_seconds=600))

        def still() -> int:
            before = len(frame_files(str(output), "reef"))
            time.sleep(4)
            return before if len(frame_files(str(output), "reef")) == before else 0

        paused_at = until(still, 60)
        assert paused_at < 200
        with server() as client:
            assert client.read_flow_run(run.id()).state.is_paused()
            client.resume_flow_run(run.id())
        state = run.over(200)
    assert (state.type.value, state.name) == ("COMPLETED", "Completed")
    assert len(frame_files(str(output), "reef")) == 200


@pytest.mark.timeout(300)
def test_a_run_that_another_process_has_begun_is_left_to_it(tmp_path: Path) -> None:
    row = quick_row("reef", frames=3, steps=10_000)
    output = tmp_path / "out"
    with BackgroundRun(render_manifest, write_manifest(tmp_path / "m.parquet", [row]), output) as run:
        until(lambda: frame_files(str(output), "reef"), 120)
        with server() as client:
            until(lambda: client.read_flow_run(run.id()).labels.get(LABEL), 60)
            client.update_flow_run_labels(run.id(), {LABEL: "another process"})
        run.over(60)
        with server() as client:
            # the state is the other one's to set
            assert client.read_flow_run(run.id()).state.is_running()

"""The documents of a run survive numbers that are none: those of its own work, and those of anybody's."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flows.job.output_videos import stored_status, stored_wants
from flows.runs.record import RunRecord, RunState, RunVideo, WorkerState
from flows.runs.stored import put_record, put_state, read_state
from infra.storage.layout import run_record_key, run_state_key
from infra.storage.storage import Storage
from renderers.registry import Registry

NOW = datetime(2026, 11, 28, 20, 0, tzinfo=UTC)


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), float("-inf")])
def test_a_worker_whose_loss_overflowed_leaves_the_runs_state_readable(tmp_path: Path, loss: float) -> None:
    output = Storage(str(tmp_path))
    put_record(output, RunRecord(run="1", began=NOW))
    put_state(output, RunState(run="1", updated=NOW, workers=(WorkerState(worker="actor-0", busy=True, loss=loss),)))
    state = read_state(output, "1")
    assert state is not None
    assert (state.workers[0].worker, state.workers[0].loss) == ("actor-0", None)


@pytest.mark.parametrize("number", ["1e999", "Infinity", "NaN", "null"])
@pytest.mark.parametrize("name", ["elapsed", "start_up_seconds", "render_seconds", "gpus_per_actor"])
def test_a_number_that_is_none_costs_no_more_than_itself(tmp_path: Path, name: str, number: str) -> None:
    output = Storage(str(tmp_path))
    text = f'{{"run": "1", "updated": "{NOW.isoformat()}", "phase": "rendering", "{name}": {number}}}'
    output.put(run_state_key("1"), text.encode(), existing="replace")
    state: Any = read_state(output, "1")
    assert (state.phase, getattr(state, name)) == ("rendering", 0.0)
    json.dumps(state.model_dump(mode="json"), allow_nan=False)


@pytest.mark.parametrize("updated", ["2026-11-28T20:00:00", "2026-11-28T21:00:00+01:00", "1795896000"])
def test_a_time_without_a_zone_is_one_in_utc(tmp_path: Path, updated: str) -> None:
    state = RunState.model_validate_json(f'{{"run": "1", "updated": "{updated}"}}')
    assert state.updated == NOW
    assert state.silent(datetime(2026, 11, 28, 20, 2, tzinfo=UTC))


@pytest.mark.parametrize("updated", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-12:00", "9999-01-01T00:00:00"])
def test_a_time_with_which_nobody_can_reckon_is_none(tmp_path: Path, updated: str) -> None:
    output = Storage(str(tmp_path))
    output.put(run_state_key("1"), f'{{"run": "1", "updated": "{updated}"}}'.encode())
    assert read_state(output, "1") is None


def test_a_run_that_was_heard_of_in_days_to_come_is_silent() -> None:
    state = RunState(run="1", updated=datetime(2126, 1, 1, tzinfo=UTC))
    assert state.silent(NOW)
    assert not RunState(run="1", updated=NOW + timedelta(minutes=9)).silent(NOW), "a clock that is ahead"


@pytest.mark.parametrize("frames", [-1, 10**9, 10**30])
def test_a_video_of_more_frames_than_a_row_may_have_is_no_run_of_ours(tmp_path: Path, frames: int) -> None:
    output = Storage(str(tmp_path))
    record = {"run": "1", "began": NOW.isoformat(), "videos": [{"video_id": "reef", "frames": frames}]}
    output.put(run_record_key("1"), json.dumps(record).encode())
    damaged: list[str] = []
    assert stored_wants(output, damaged).videos == ()
    assert "'report/runs/1/run.json', is damaged" in damaged[0]


def test_thousands_of_long_videos_that_nobody_began_are_told_in_no_time(tmp_path: Path) -> None:
    output = Storage(str(tmp_path))
    videos = tuple(RunVideo(video_id=f"v{number}", frames=1_000_000) for number in range(3000))
    put_record(output, RunRecord(run="1", began=NOW, videos=videos))
    began = time.process_time()
    found = [it.to_dict() for it in stored_status(output, Registry())]
    assert (len(found), found[0]["missing"], found[0]["done"]) == (3000, "0-999999", 0)
    assert time.process_time() - began < 20

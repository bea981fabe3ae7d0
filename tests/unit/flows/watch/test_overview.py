"""An output in one line of the list of all."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flows.runs.record import RunRecord, RunState, WorkerState
from flows.runs.stored import put_record, put_state
from flows.watch.overview import overview
from infra.storage.storage import Storage

NOW = datetime(2026, 11, 28, 20, 0, tzinfo=UTC)


def put_run(output: Storage, name: str, **state: Any) -> None:
    put_record(output, RunRecord(run=name, began=NOW - timedelta(hours=1)))
    put_state(output, RunState(run=name, updated=NOW - timedelta(seconds=3), **state))


def put_summary(output: Storage, **videos: int) -> None:
    summary = {
        "videos": {"total": sum(videos.values()), **videos}, "frames": {"wanted": 30, "done": 20}, "bad_rows": 0,
        "finished": "2026-11-27T20:00:00+00:00",
    }  # fmt: skip
    output.put("report/summary.json", json.dumps(summary).encode(), existing="replace")


def test_one_that_lives_says_how_far_it_is_and_when_it_ends(tmp_path: Path) -> None:
    output = Storage(str(tmp_path))
    worker = WorkerState(worker="actor-0", state="rendering", busy=True)
    put_run(output, "1", phase="ended", ended=NOW)
    put_run(output, "2", phase="rendering", frames=20, frames_done=9, eta=600.0, workers=(worker,))
    answer = overview(output, NOW)
    assert (answer["state"], answer["frames_done"], answer["frames"]) == ("live", 9, 20)
    assert answer["ends"] == "2026-11-28T20:09:57+00:00"
    assert (answer["runs"], answer["starting"]) == (1, False), "the frames are those of this one run"
    put_run(output, "2", phase="starting", frames=20)
    assert overview(output, NOW)["starting"] is True


@pytest.mark.parametrize(
    ("videos", "state", "failed"),
    [
        ({"done": 3}, "done", 0),
        ({"done": 1, "failed": 1, "invalid": 1}, "failed", 2),
        ({"done": 1, "missing": 2}, "missing", 0),
    ],
)
def test_one_that_has_ended_is_what_its_report_says(
    tmp_path: Path, videos: dict[str, int], state: str, failed: int
) -> None:
    output = Storage(str(tmp_path))
    put_run(output, "1", phase="ended", ended=NOW)
    put_summary(output, **videos)
    answer = overview(output, NOW)
    assert (answer["state"], answer["failed"]) == (state, failed)
    assert answer["when"].startswith("2026-11-28T20:00:00")


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        "nothing",
        '{"videos": 3}',
        '{"videos": {"total": "x"}, "frames": {}}',
        '{"videos": {"total": 1e999}, "frames": {}}',
    ],
)
def test_a_report_of_any_content_ends_nobody(tmp_path: Path, text: str) -> None:
    output = Storage(str(tmp_path))
    output.put("report/summary.json", text.encode(), existing="replace")
    assert overview(output, NOW)["state"] in ("none", "unread")


def test_an_output_that_is_gone_has_no_report(tmp_path: Path) -> None:
    assert overview(Storage(str(tmp_path / "gone")), NOW)["state"] in ("none", "unread")

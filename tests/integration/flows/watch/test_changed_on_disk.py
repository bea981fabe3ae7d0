"""An output on a real disk whose files somebody changed: whatever lies there, the other video is shown, nothing outside
is read, and nobody is waited for."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flows.job.output_videos import stored_status
from flows.retention.pruning import look
from flows.runs.record import RunRecord, RunState, RunVideo
from flows.runs.stored import put_record, put_state
from flows.watch.outputs import name_of
from infra.storage.storage import Storage
from renderers.registry import Registry
from tests.helpers.finished import put_finished_still
from tests.helpers.live_client import KEY, client_of
from tests.helpers.render_jobs import quick_row

RUN = "20261128T000000-00000000"
NOW = datetime(2026, 11, 28, tzinfo=UTC)


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(20 << 30)


def _replaced(by: Callable[[Path], object]) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.unlink()
        by(path)

    return change


CHANGES: dict[str, Callable[[Path], None]] = {
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "huge": _sparse,
    "pipe": _replaced(os.mkfifo),
    "folder": _replaced(Path.mkdir),
    "link to itself": _replaced(lambda path: path.symlink_to(path.name)),
    "link to a device": _replaced(lambda path: path.symlink_to("/dev/zero")),
    "link to accounts": _replaced(lambda path: path.symlink_to("/etc/passwd")),
    "link to all": _replaced(lambda path: path.symlink_to("/")),
    "nested": lambda path: path.write_bytes(b"[" * 3_000_000) and None,
    "nothing": lambda path: path.write_bytes(b"null") and None,
}
OBJECTS = ("apple/plans/*", "apple/provenance.json", "apple/frames/*", f"report/runs/{RUN}/run.json",
           f"report/runs/{RUN}/state.json")  # fmt: skip


@pytest.mark.parametrize("what", OBJECTS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_file_costs_its_video_and_no_more(tmp_path: Path, change: str, what: str) -> None:
    output = Storage(str(tmp_path))
    for video in ("apple", "pear"):
        put_finished_still(output, quick_row(video))
    put_record(output, RunRecord(run=RUN, began=NOW, videos=(RunVideo(video_id="apple", frames=1),)))
    put_state(output, RunState(run=RUN, updated=NOW, phases="d", done=(1,)))
    (path,) = tmp_path.glob(what)
    CHANGES[change](path)

    began = time.monotonic()
    shown = {it.video_id: it.state for it in stored_status(output, Registry())}
    look(output, Registry(), NOW)
    with client_of(output) as client:
        client.headers["Authorization"] = f"Bearer {KEY}"
        answers = [
            client.get(f"/live/api/{question}", params={"o": name_of(output.root), "video": "apple", "frame": "0"})
            for question in ("view", "overview", "video", "frame")
        ]
    assert shown["pear"] == "done"
    assert {answer.status_code for answer in answers} <= {200, 404}
    assert not any("root:" in answer.text for answer in answers)
    assert time.monotonic() - began < 20

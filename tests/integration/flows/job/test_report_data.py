"""The report is read back from storage: each record once, and several at a time."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from flows.job.report_data import FRAMES_TABLE, gather_report, publish_report
from infra.storage.storage import Storage
from tests.helpers.render_jobs import planned, quick_row, render, write_manifest

ROWS = [quick_row("reef", "a fish", frames=6, steps=1), quick_row("boat", "a boat", frames=4, steps=1)]


class _Counting(Storage):
    """A storage that lets two records be read at a time, and no less."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.reads = Counter[str]()
        self._two = threading.Barrier(2)

    def read(self, key: str) -> bytes:
        if "/segments/" in key:
            self._two.wait(30)
        self.reads[key] += 1
        return super().read(key)


def test_records_of_earlier_runs_are_read_once_and_side_by_side(tmp_path: Path) -> None:
    manifest, output = write_manifest(tmp_path / "m.parquet", ROWS), str(tmp_path / "out")
    first = gather_report(render(manifest, output, range_frames=3), actors=1)
    job = planned(manifest, output, range_frames=3)
    storage = job.output = _Counting(output)

    gathered = gather_report(job, actors=1)
    publish_report(storage, gathered)

    records = {key: count for key, count in storage.reads.items() if key.endswith(".json")}
    assert len(records) == 4
    assert set(storage.reads.values()) == {1}
    frames = pq.read_table(Path(output, FRAMES_TABLE)).to_pylist()
    assert [(it["video_id"], it["frame"]) for it in frames] == [
        *(("reef", frame) for frame in range(6)), *(("boat", frame) for frame in range(4)),
    ]  # fmt: skip
    assert frames == first.frames.to_pylist()
    for again, before in zip(gathered.report.videos, first.report.videos, strict=True):
        assert (again.frame_losses, again.frame_seconds) == (before.frame_losses, before.frame_seconds)
        assert (again.state, again.poster, before.skipped, again.rendered) == ("done", before.poster, 0, 0)

"""Damaged frames that the doctor takes away are rendered again, the same bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.doctor.findings import exit_code, repair_all
from flows.doctor.storage import check_storage
from tests.helpers.render_jobs import frame_files, frame_objects, quick_row, render, write_manifest


@pytest.mark.timeout(300)
def test_damaged_frames_are_found_and_taken_away(tmp_path: Path) -> None:
    output = str(tmp_path / "out")
    manifest = write_manifest(tmp_path / "m.parquet", [quick_row("reef", frames=5, steps=1)])
    assert render(manifest, output).complete
    whole = frame_objects(output)
    assert [it.level for it in check_storage(output, deep=True)] == ["ok", "ok", "ok"]

    first, second, third, fourth, _ = frame_files(output, "reef")
    flipped = bytearray(first.read_bytes())
    flipped[len(flipped) // 2] ^= 4
    first.write_bytes(bytes(flipped))
    second.write_bytes(second.read_bytes()[:-100])
    third.write_bytes(fourth.read_bytes())  # a good frame, under the key of another

    assert [it.level for it in check_storage(output, deep=False)] == ["ok", "ok"]
    found = list(check_storage(output, deep=True))
    assert [it.level for it in found] == ["ok", "ok", "problem"]
    assert found[2].what.startswith("3 of 5 frames damaged: reef/frames/000000-")
    assert len(frame_objects(output)) == 5, "looking changes nothing"

    repaired = list(repair_all(found))
    assert repaired[2].repaired == "removed 3 damaged frames: render again to have them back"
    assert exit_code(repaired) == 1
    assert frame_files(output, "reef") == [fourth, *frame_files(output, "reef")[1:]]
    assert len(frame_objects(output)) == 2

    assert render(manifest, output).complete
    assert frame_objects(output) == whole
    assert exit_code(check_storage(output, deep=True)) == 0

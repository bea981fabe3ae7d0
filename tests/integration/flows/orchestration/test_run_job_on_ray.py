"""`nightreel.run_job` on Ray: the same frames as in this process, from Python, without a flow run."""

from __future__ import annotations

from pathlib import Path

import nightreel
from tests.helpers.render_jobs import frame_files, quick_row


def test_a_job_on_ray_makes_the_frames_of_one_in_this_process(ray_cluster: None, tmp_path: Path) -> None:
    rows = [quick_row("still"), quick_row("reef", frames=4)]
    seen = list[nightreel.JobProgress]()
    there = nightreel.run_job(rows, tmp_path / "ray", on="ray", workers=1, on_progress=seen.append)
    here = nightreel.run_job(rows, tmp_path / "process")

    assert (there.complete, there.rendered) == (here.complete, here.rendered) == (True, 5)
    assert seen[-1].frames_done == 5
    for video in ("still", "reef"):
        one, other = (frame_files(str(tmp_path / output), video) for output in ("ray", "process"))
        assert [file.name for file in one] == [file.name for file in other]
        assert all(a.read_bytes() == b.read_bytes() for a, b in zip(one, other, strict=True))

"""The report as JSON: every key that the module promises, numbers that JSON can hold, and nothing secret."""

from __future__ import annotations

import json
import re

from flows.report import document
from flows.report.document import summary_document


def test_numbers_and_lists(make_video, make_job, make_failure, bad_rows):
    failures = (make_failure(1), make_failure(1, attempt=2), make_failure(2, kind="infrastructure"))
    lost = make_video(
        state="failed", done=3, rendered=2, skipped=1, reason="loss is\nNaN", failures=failures,
        frame_losses=((0, 0.5), (2, 0.4), (3, 0.4)), frame_seconds=((0, 3.0), (2, float("nan")), (3, 2.0)),
    )  # fmt: skip
    good = make_video(video_id="lagoon", frame_seconds=((0, 1.0), (1, 2.0)))
    seen = summary_document(make_job(good, lost, problems=bad_rows, gpus_per_actor=0.5))

    assert json.loads(json.dumps(seen, allow_nan=False)) == seen
    assert (seen["schema"], seen["complete"], seen["bad_rows"]) == (1, False, 2)
    assert seen["videos"] == {
        "total": 2, "done": 1, "waiting": 0, "rendering": 0, "missing": 0, "failed": 1, "invalid": 0,
    }  # fmt: skip
    assert seen["frames"] == {"wanted": 8, "done": 7, "missing": 1, "rendered": 6, "kept": 1}
    assert seen["failures"] == {
        "FloatingPointError": {"attempts": 2, "frames": 1, "standing": 1},
        "infrastructure": {"attempts": 1, "frames": 1, "standing": 0},
    }
    assert seen["incomplete"] == [
        {"video_id": "reef", "state": "failed", "frames": 4, "done": 3, "reason": "loss is NaN"}
    ]
    assert seen["slowest"] == [
        {"video_id": "reef", "render_seconds": 5.0, "frames": 4, "seconds_per_frame": 2.5},
        {"video_id": "lagoon", "render_seconds": 3.0, "frames": 4, "seconds_per_frame": 1.5},
    ]
    assert (seen["gpu_hours"], seen["actor_hours"]) == (0.03167, 0.06333)
    assert seen["problems"][2] == {
        "file": "b.parquet", "row": 3, "video_id": None, "column": "video_id", "message": "video_id is no name",
        "allowed": "letters and digits",
    }  # fmt: skip


def test_every_key_is_described(make_job):
    described = set(re.findall(r"`(\w+)`", "\n".join(
        line.split("|")[1] for line in (document.__doc__ or "").splitlines() if line.startswith("| `")
    )))  # fmt: skip
    assert set(summary_document(make_job())) == described


def test_an_empty_job_is_complete(make_job):
    seen = summary_document(make_job(render_seconds=float("nan"), actors=None))
    assert (seen["complete"], seen["render_seconds"], seen["overhead"], seen["slowest"]) == (True, None, None, [])

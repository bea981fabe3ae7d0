"""A video's run is shared by many threads: what it gives is a copy, and everything in it is behind its lock."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from flows.job.state import VideoRun
from flows.job.video_report import _seams
from flows.planning.segment_tasks import segment_task
from flows.retry_and_quarantine.records import FailureRecord
from infra.workers.tasks import FrameReport, SegmentReport
from tests.helpers.lock_watch import watch_lock
from tests.helpers.planned_work import work_of
from tests.helpers.render_jobs import planned, quick_row, write_manifest


def report(frame: int) -> FrameReport:
    return FrameReport("reef", frame, 0.5, seconds=1.0)


def failure(frame: int | None) -> FailureRecord:
    return FailureRecord("reef", frame, 1, "a worker", "application", "no", 0.0, "2026-11-23")


def test_the_watch_notices_an_access_without_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    run = VideoRun(work_of("reef", 4, 2))
    breaches = watch_lock(monkeypatch, VideoRun)
    assert len(run._available) == 0
    run._worker = "somebody"
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        with run._lock:
            held.set()
            over.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(10)
    assert not run._claimed  # another one's lock is none
    over.set()
    thread.join()
    with run._lock:
        assert run._rendered == 0
    assert [line.rpartition(": ")[2] for line in breaches] == ["_available", "_worker", "_claimed"]


def test_every_method_holds_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    run, after = VideoRun(work_of("reef", 4, 2)), VideoRun(work_of("reef", 4, 2))
    breaches = watch_lock(monkeypatch, VideoRun)
    run.committed(report(0))
    run.committed(report(1))
    run.failed(failure(2))
    run.failed_for_good("no")
    run.worked("a worker")
    run.saved_plan()
    run.lost(1)
    run.converge(3)
    assert (run.begin_repair(1), run.begin_repair(1)) == (True, False)
    run.committed(report(1))
    assert (run.claim(), run.claim()) == (0, None)
    run.encoded(0, SegmentReport("key", 1, (report(1),), 0.1, change_after=0.25))
    run.give_up_stitching("too long")
    after.continue_from(run)
    for name in (name for name in dir(VideoRun) if isinstance(getattr(VideoRun, name), property)):
        getattr(run, name)
    assert run.outcome([0, 1, 2]) == (2, 1)
    assert [frame for frame in range(4) if run.wants(frame)] == [2]
    assert run.failing_frames() == {2}
    assert (after.rendered, after.failures, after.missing) == (3, [failure(2)], 4)
    assert breaches == []


def test_the_change_from_the_last_frame_of_a_loop_to_its_first_is_known_of_the_first() -> None:
    """Whichever range is encoded first; a video that is no loop has none."""
    for order in ((0, 1), (1, 0)):
        run = VideoRun(work_of("reef", 72, 36, loop=True))
        for frame in (0, 36):
            run.committed(report(frame))
        for number in order:
            after = (0.5, 0.25)[number]
            run.encoded(number, SegmentReport("key", 1, (report(36 * number),), 0.1, change_after=after))
        assert [it.change for it in run.reports_of([0, 36])] == [0.25, 0.5]
        first, second = run.work.frames[0], run.work.frames[71]
        assert [segment_task(run.work, number).after for number in (0, 1)] == [run.work.frames[36].digest, first.digest]
        assert second.target_digest == first.digest
    open_ = VideoRun(work_of("reef", 72, 36))
    assert segment_task(open_.work, 1).after == ""


def test_the_first_frame_of_a_loop_is_a_seam() -> None:
    known = [replace(report(frame), change=2.0 + (frame == 0)) for frame in range(72)]
    assert _seams(work_of("reef", 72, loop=True), known) == ((0, 1.5),)
    assert _seams(work_of("reef", 72), known) == ()
    keyframes = work_of("reef", 72, loop=True, handoff="keyframes", keyframe_every=8)
    assert {frame for frame, _ in _seams(keyframes, known)} == {0, 8, 16, 24, 32, 40, 48, 56, 64}


def test_what_it_gives_is_a_copy() -> None:
    run = VideoRun(work_of("reef", 2))
    before = run.snapshot()
    frames, reports, failures = run.available, run.reports, run.failures
    run.committed(report(0))
    run.failed(failure(1))
    reports.clear()
    failures.append(failure(0))
    assert (frames, before.available, before.reports) == (frozenset(), frozenset(), {})
    assert (list(run.reports), run.failures) == ([0], [failure(1)])


def test_what_is_to_come_is_measured_in_steps_and_not_in_frames() -> None:
    """A first frame has many times the steps of a later one: by frames a night of 20 minutes was to take an hour."""
    run = VideoRun(work_of("reef", 4, 2, steps_first=100))  # 10 s, then a second each
    assert run.estimates() == pytest.approx((0, 13))
    run.committed(report(0))
    assert run.estimates() == pytest.approx((10, 3))
    again = VideoRun(work_of("reef", 4, 2, missing={3}, steps_first=100))
    again.continue_from(run)
    assert again.estimates() == pytest.approx((10, 1)), "what was rendered under the plan before counts for the speed"


def test_what_starts_from_a_frame_that_was_given_up_is_not_to_come() -> None:
    """The end told counted frames that never came, until the job had ended without them."""
    run = VideoRun(work_of("reef", 6, 2, steps_first=100))
    run.committed(report(0))
    run.committed(report(1))
    assert run.estimates() == pytest.approx((11, 4))
    run.failed(failure(3))
    assert run.estimates(run.failing_frames()) == pytest.approx((11, 1)), "frame 2: those after 3 begin with it"
    assert run.estimates() == pytest.approx((11, 4)), "it may be tried again"


def test_when_a_job_ends_is_told_by_the_steps_that_are_left(tmp_path: Path) -> None:
    job = planned(
        write_manifest(tmp_path / "m.parquet", [quick_row("reef", frames=5, steps_first=90, steps=10)]),
        str(tmp_path / "out"),
    )
    assert job.progress().eta is None
    job.runs["reef"].committed(FrameReport("reef", 0, 0.5, seconds=90.0, total_seconds=90.0))
    assert job.progress().eta == pytest.approx(40, abs=5), "not 360: four frames, each a ninth of the first"

"""Which frames of a task run are rendered in one pass."""

from __future__ import annotations

from collections.abc import Iterable

from flows.job.state import VideoRun
from flows.planning.ready_frames import ReadyFrames, is_due
from infra.workers.tasks import FrameReport
from tests.helpers.planned_work import work_of

# 0 12 | 3 6 9 | 1 2, 4 5, 7 8, 10 11
KEYED = {"handoff": "keyframes", "keyframe_every": 3}
ORDER = (0, 12, 3, 6, 9, 1, 2, 4, 5, 7, 8, 10, 11)


def put(run: VideoRun, frames: Iterable[int]) -> None:
    """As if these had been rendered and committed."""
    for frame in frames:
        run.committed(FrameReport(run.work.video_id, frame, 0.0))


def taken(ready: ReadyFrames, most: int, committing: set[tuple[str, int]] | None = None) -> list[int]:
    return [index for _, index in ready.take(most, committing or set())]


def keyed_run(there: set[int] | None = None) -> tuple[VideoRun, ReadyFrames]:
    run = VideoRun(work_of("reef", 13, missing=set(range(13)) - (there or set()), **KEYED))
    ready = ReadyFrames()
    ready.add(run, [index for index in ORDER if not run.has(index)])
    return run, ready


def test_the_gaps_of_a_video_advance_side_by_side() -> None:
    run, ready = keyed_run()
    passes = []
    while batch := taken(ready, 8):
        passes.append(batch)
        put(run, batch)
    assert passes == [[0], [12], [3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]]


def test_never_more_than_the_most_and_no_frame_twice() -> None:
    run, ready = keyed_run({0, 12, 3, 6, 9})
    passes = []
    while batch := taken(ready, 3):
        passes.append(batch)
        put(run, batch)
    assert passes == [[1, 4, 7], [2, 5, 8], [10], [11]]


def test_a_frame_begins_from_one_that_is_being_committed_and_waits_for_one_that_it_is_drawn_to() -> None:
    run, ready = keyed_run({0, 12})
    assert taken(ready, 2) == [3, 6]
    committing = {("reef", 3), ("reef", 6)}
    assert taken(ready, 8, committing) == [9]  # but neither 1 nor 4, which are drawn to 3 and 6
    put(run, {3, 6})
    assert taken(ready, 8, {("reef", 9)}) == [1, 4, 10]  # 10 starts from 9, 7 is drawn to it
    assert taken(ready, 8, {("another", 9)}) == []  # that is none of its frames


def test_what_lost_a_frame_that_it_needs_is_dropped_and_nothing_else() -> None:
    run, ready = keyed_run({0, 12, 3, 6})
    assert taken(ready, 8) == [9, 1, 4]
    put(run, {1, 4})  # 9 failed for good
    assert taken(ready, 8) == [2, 5]
    put(run, {2, 5})
    assert taken(ready, 8) == []
    assert not any(is_due(run, index) for index in (7, 8, 10, 11))


def test_a_frame_put_back_comes_before_those_after_it() -> None:
    run, ready = keyed_run({0, 12, 3, 6, 9})
    assert taken(ready, 1) == [1]
    ready.put_back(run, 1)
    assert taken(ready, 2) == [1, 4]


def test_videos_have_queues_of_their_own_and_ranges_of_a_chain_share_one() -> None:
    runs = [VideoRun(work_of(name, 4, 2)) for name in ("reef", "boat")]
    ready = ReadyFrames()
    for run in runs:
        for frame_range in run.work.ranges:
            ready.add(run, frame_range.missing)
    assert [(run.work.video_id, index) for run, index in ready.take(8)] == [("reef", 0), ("boat", 0)]
    put(runs[0], [0])
    # the boat's first frame failed: nothing of it can be begun
    assert [(run.work.video_id, index) for run, index in ready.take(8)] == [("reef", 1)]


def test_frames_that_are_there_or_not_wanted_are_not_rendered() -> None:
    run = VideoRun(work_of("reef", 6))
    ready = ReadyFrames()
    ready.add(run, range(6))
    put(run, {0, 1, 2})
    run.converge(4)
    assert taken(ready, 8) == [3]
    put(run, [3])
    assert taken(ready, 8) == []

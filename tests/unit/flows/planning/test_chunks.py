"""Whole plans, asserted at once: which ranges, which chunks, which one after which."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.planning.chunks import MAX_TASK_RUNS, MOST_TASK_RUNS, Chunk, Part, chunks_of
from flows.planning.remaining import RangeWork, VideoWork, cut, plan_video
from renderers.frame_plan.frame_plan import ParentFrame
from tests.helpers.planned_work import plan_of, work_of


@pytest.mark.parametrize(
    ("frames", "frame_seconds", "range_frames", "expected"),
    [
        (1, 1.0, None, [(0, 1)]),
        (120, 1.0, None, [(0, 120)]),
        (121, 1.0, None, [(0, 120), (120, 121)]),
        (3, 500.0, None, [(0, 1), (1, 2), (2, 3)]),
        (12, 1.0, 5, [(0, 5), (5, 10), (10, 12)]),
        (12, 1.0, 16, [(0, 12)]),
    ],
)
def test_a_video_is_cut_by_its_estimate_or_by_what_is_asked_for(
    frames: int, frame_seconds: float, range_frames: int | None, expected: list[tuple[int, int]]
) -> None:
    assert [(r.start, r.stop) for r in cut(frames, frame_seconds, 120.0, range_frames)] == expected


def test_the_work_of_a_video_says_what_is_missing_and_what_is_to_be_encoded() -> None:
    work = work_of("reef", 12, 5, missing={1, 7}, segments=[0, 1], steps_first=30)

    keys = [frame_range.segment for frame_range in work.ranges]
    assert work.ranges == (
        RangeWork(0, 5, (1,), keys[0], True, 1.0),
        RangeWork(5, 10, (7,), keys[1], True, 1.0),
        RangeWork(10, 12, (), keys[2], True, 0.0),  # nothing to render, but its segment is not there
    )
    assert [key.rpartition("-")[0] for key in keys] == [
        "reef/segments/000000-000005", "reef/segments/000005-000010", "reef/segments/000010-000012",
    ]  # fmt: skip
    assert (work.missing, work.seconds, work.published, work.complete) == (2, 2.0, False, False)


def test_the_first_frame_counts_with_its_own_steps() -> None:
    assert work_of("reef", 3, missing={0, 2}, steps_first=300).seconds == pytest.approx(31.0)


def test_a_plan_of_stills_short_and_long_videos() -> None:
    still = work_of("apple", 1)
    short = work_of("boat", 20)
    long = work_of("reef", 300)

    assert chunks_of([still, short, long], actors=2, chunk_seconds=120) == (
        Chunk("reef 0-119", (Part("reef", 0),), 120.0),
        Chunk("reef 120-239", (Part("reef", 1),), 120.0, after="reef 0-119"),
        Chunk("reef 240-299", (Part("reef", 2),), 60.0, after="reef 120-239"),
        Chunk("boat 0-19", (Part("boat", 0),), 20.0),
        Chunk("apple", (Part("apple", 0),), 1.0),  # what comes last is small, so that the end is even
    )


def test_bundles_shrink_towards_the_end_as_far_as_a_task_run_is_worth_it() -> None:
    stills = [work_of(f"still-{number}", 1) for number in range(400)]

    sizes = [len(chunk.parts) for chunk in chunks_of(stills, actors=4, chunk_seconds=120)]

    assert sum(sizes) == 400
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 45  # an eighth of what is left after it, for four actors
    assert sizes[-1] <= 7
    assert len(sizes) < 40
    assert [len(chunk.parts) for chunk in chunks_of(stills, actors=1, chunk_seconds=120)] == [120, 120, 120, 40]


def test_the_last_bundles_are_as_small_as_the_number_of_task_runs_allows() -> None:
    videos = [work_of(f"reef-{number}", 5) for number in range(3000)]  # 7.5 s over 2,000 task runs

    for actors, least in ((64, 5), (1024, 10)):
        chunks = chunks_of(videos, actors=actors, chunk_seconds=20)
        assert len(chunks) <= MOST_TASK_RUNS
        assert chunks[-2].seconds == least


def test_a_short_video_of_several_ranges_is_one_chunk_and_a_lone_one_shows_its_frames() -> None:
    assert chunks_of([work_of("big", 100), work_of("reef", 12, 5)], actors=1, chunk_seconds=120) == (
        Chunk("big 0-99", (Part("big", 0),), 100.0),
        Chunk("reef 0-11", (Part("reef", 0), Part("reef", 1), Part("reef", 2)), 12.0),
    )


def test_bundles_hold_what_an_actor_renders_together_side_by_side_by_shape() -> None:
    wide = {"width": 64, "height": 32}
    stills = [work_of(f"still-{n}", 1, **(wide if n % 2 else {})) for n in range(8)]

    def bundles(actors: int, max_batch: int) -> list[str]:
        chunks = chunks_of(stills, actors=actors, chunk_seconds=120, max_batch=max_batch)
        return [" ".join(part.video.removeprefix("still-") for part in chunk.parts) for chunk in chunks]

    assert bundles(actors=8, max_batch=1) == [str(n) for n in range(8)]
    assert bundles(actors=2, max_batch=4) == ["1 3 5 7", "0 2 4 6"]
    assert bundles(actors=4, max_batch=8) == ["1 3", "5 7", "0 2", "4 6"]  # no actor stays without work for it


def test_ranges_that_need_nothing_are_left_out_and_nobody_waits_for_frames_that_are_there() -> None:
    reef = work_of("reef", 600, missing={7, 8, 240, 241, 479, 480}, segments=range(5))

    assert chunks_of([reef], actors=1, chunk_seconds=1) == (
        Chunk("reef 0-119", (Part("reef", 0),), 2.0),
        Chunk("reef 240-359", (Part("reef", 2),), 2.0),
        Chunk("reef 360-479", (Part("reef", 3),), 1.0),
        Chunk("reef 480-599", (Part("reef", 4),), 1.0, after="reef 360-479"),
    )


def test_a_range_that_is_only_encoded_waits_for_nobody() -> None:
    reef = work_of("reef", 360, missing=range(120), segments=[2])

    assert chunks_of([reef], actors=1, chunk_seconds=60) == (
        Chunk("reef 0-119", (Part("reef", 0),), 120.0),
        Chunk("reef 120-239", (Part("reef", 1),), 0.0),
    )


def test_higher_priority_goes_first_then_the_longest_and_bundles_do_not_mix_priorities() -> None:
    videos = [work_of("a", 1), work_of("b", 2), work_of("urgent", 1, priority=5), work_of("long", 900)]

    chunks = chunks_of(videos, actors=1, chunk_seconds=120)

    assert [chunk.name for chunk in chunks] == ["urgent", *(f"long {i}-{i + 119}" for i in range(0, 840, 120)),
                                                "long 840-899", "b +1"]  # fmt: skip


def test_what_is_published_and_whole_is_no_work_even_without_its_segments() -> None:
    done = work_of("reef", 12, 5, missing=(), published=True)

    assert done.complete
    assert chunks_of([done], actors=2, chunk_seconds=120) == ()


def test_a_published_video_that_lost_a_frame_is_work_again() -> None:
    damaged = work_of("reef", 12, 5, missing=[6], segments=range(3), published=True)

    assert (damaged.published, damaged.complete) == (True, False)
    assert chunks_of([damaged], actors=2, chunk_seconds=120) == (Chunk("reef 5-9", (Part("reef", 1),), 1.0),)


@pytest.mark.parametrize("size", [5, 12])
def test_a_video_that_only_waits_to_be_joined_needs_no_worker(size: int) -> None:
    waiting = work_of("reef", 12, size, missing=(), segments=range(-(-12 // size)))

    assert not waiting.complete
    assert chunks_of([waiting], actors=2, chunk_seconds=120) == ()


def test_thousands_of_videos_stay_within_what_the_server_takes() -> None:
    one = work_of("v", 130)
    assert len(one.ranges) == 2
    videos = [replace(one, plan=plan_of(f"v{i}", 130)) for i in range(2000)]

    assert len(chunks_of(videos, actors=8, chunk_seconds=120)) <= MAX_TASK_RUNS + 1
    assert len(chunks_of(videos, actors=1000, chunk_seconds=120)) <= 2000


def test_long_videos_advance_in_cohorts_of_one_shape_where_actors_render_several_together() -> None:
    def of(name: str, frames: int, **columns: object) -> VideoWork:
        return work_of(name, frames, 10, **columns)  # type: ignore[arg-type]

    videos = [of("a", 30), of("b", 29), of("wide", 28, width=128), of("c", 21), of("urgent", 20, priority=1)]
    chunks = chunks_of(videos, actors=2, chunk_seconds=1, max_batch=8)

    assert [(chunk.name, [(part.video, part.index) for part in chunk.parts], chunk.after) for chunk in chunks] == [
        ("urgent 0-9", [("urgent", 0)], None),
        ("urgent 10-19", [("urgent", 1)], "urgent 0-9"),
        ("a 0-9 +2", [("a", 0), ("b", 0), ("c", 0)], None),
        ("a 10-19 +2", [("a", 1), ("b", 1), ("c", 1)], "a 0-9 +2"),
        ("a 20-29 +2", [("a", 2), ("b", 2), ("c", 2)], "a 10-19 +2"),
        ("wide 0-9", [("wide", 0)], None),
        ("wide 10-19", [("wide", 1)], "wide 0-9"),
        ("wide 20-27", [("wide", 2)], "wide 10-19"),
    ]
    alone = chunks_of(videos, actors=8, chunk_seconds=1, max_batch=8)
    assert {len(chunk.parts) for chunk in alone} == {1}  # an actor for each is quicker still


# --- whatever the state of storage ------------------------------------------------------------------------------------


@st.composite
def states(draw: st.DrawFn) -> list[VideoWork]:
    videos = []
    for number in range(draw(st.integers(1, 4))):
        frames, size = draw(st.integers(1, 30)), draw(st.integers(1, 10))
        missing = draw(st.sets(st.integers(0, frames - 1)))
        segments = draw(st.sets(st.integers(0, (frames - 1) // size)))
        steps, published = draw(st.integers(1, 40)), draw(st.booleans())
        videos.append(work_of(f"v{number}", frames, size, missing=missing, segments=segments, published=published,
                              steps=steps, priority=draw(st.integers(-1, 1))))  # fmt: skip
    return videos


@settings(max_examples=150, deadline=None)
@given(
    videos=states(),
    actors=st.integers(1, 5),
    chunk_seconds=st.sampled_from([0.5, 5.0, 50.0]),
    max_batch=st.sampled_from([1, 3]),
)
def test_every_missing_frame_is_in_exactly_one_chunk_that_comes_after_the_one_it_starts_from(
    videos: list[VideoWork], actors: int, chunk_seconds: float, max_batch: int
) -> None:
    chunks = chunks_of(videos, actors=actors, chunk_seconds=chunk_seconds, max_batch=max_batch)

    by_name = {chunk.name: place for place, chunk in enumerate(chunks)}
    assert len(by_name) == len(chunks)
    work = {video.video_id: video for video in videos}
    home: dict[tuple[str, int], int] = {}
    segments = set()
    for place, chunk in enumerate(chunks):
        assert chunk.parts
        assert chunk.seconds == pytest.approx(sum(work[p.video].ranges[p.index].seconds for p in chunk.parts))
        for part in chunk.parts:
            assert (part.video, part.index) not in segments
            segments.add((part.video, part.index))
            for frame in work[part.video].ranges[part.index].missing:
                assert (part.video, frame) not in home
                home[part.video, frame] = place
    assert home.keys() == {(v.video_id, f) for v in videos for it in v.ranges for f in it.missing}
    wanted = {(v.video_id, i) for v in videos if not v.complete for i, p in enumerate(v.ranges) if p.encode}
    assert segments == wanted
    # The chunk that makes the frame before is this very one, or an earlier one that it waits for: so there is no cycle.
    parents: dict[int, set[int]] = {place: set() for place in range(len(chunks))}
    for (video, frame), place in home.items():
        before = home.get((video, frame - 1))
        if before is not None and before != place:
            parents[place].add(before)
    for place, chunk in enumerate(chunks):
        after = set() if chunk.after is None else {by_name[chunk.after]}
        assert after == parents[place]
        assert all(before < place for before in after)


@settings(max_examples=50, deadline=None)
@given(
    frames=st.integers(1, 300), steps=st.integers(1, 400), chunk_seconds=st.floats(0.1, 500),
    size=st.none() | st.integers(1, 50), data=st.data(),
)  # fmt: skip
def test_ranges_and_segments_hang_on_the_row_alone(
    frames: int, steps: int, chunk_seconds: float, size: int | None, data: st.DataObject
) -> None:
    """Neither what is in storage nor the number of actors may move a cut: the segments' bytes hang on it."""
    plan = plan_of("reef", frames, steps=steps)
    present = data.draw(st.sets(st.integers(0, frames - 1)))

    def cuts(present: Collection[int]) -> list[tuple[int, int, str]]:
        work = plan_video(plan, present, (), published_content=None, chunk_seconds=chunk_seconds, range_frames=size)
        return [(it.start, it.stop, it.segment) for it in work.ranges]

    first = cuts(())
    assert cuts(present) == first
    assert [frame for start, stop, _ in first for frame in range(start, stop)] == list(range(frames))


def test_videos_that_wait_for_a_frame_of_another_come_after_it_and_never_with_it() -> None:
    def child(name: str, parent: str, frame: int, frames: int = 5) -> VideoWork:
        work = work_of(name, frames)
        plan = replace(
            work.plan,
            row=work.plan.row.model_copy(update={"continues": parent}),
            parent=ParentFrame(parent, frame, "a" * 64),
        )
        return plan_video(plan, (), (), published_content=None, chunk_seconds=120)

    reef = work_of("reef", 20)
    videos = [child("b", "a", 2), child("a", "reef", 7), child("c", "reef", 9, 400), child("d", "reef", 7), reef]
    chunks = chunks_of(videos, actors=2, chunk_seconds=120)
    place = {part.video: (number, chunk) for number, chunk in reversed(list(enumerate(chunks))) for part in chunk.parts}
    assert place["reef"][1].parents == ()
    assert ("reef", 7) in place["a"][1].parents
    assert place["b"][1].parents == (("a", 2),)
    assert place["c"][1].parents == (("reef", 9),)
    assert [chunk.parents for chunk in chunks if {part.video for part in chunk.parts} == {"c"}][1:] == [()] * 3
    for name, parent in (("a", "reef"), ("b", "a"), ("c", "reef"), ("d", "reef")):
        assert place[name][0] > place[parent][0]

    def begun(work: VideoWork) -> VideoWork:
        return replace(work, ranges=(replace(work.ranges[0], missing=work.ranges[0].missing[1:]), *work.ranges[1:]))

    assert not any(chunk.parents for chunk in chunks_of([reef, begun(videos[1])], actors=2, chunk_seconds=120))
    # the frame is there already: nobody waits
    there = work_of("reef", 20, missing=range(8, 20))
    assert not any(chunk.parents for chunk in chunks_of([there, videos[1]], actors=2, chunk_seconds=120))

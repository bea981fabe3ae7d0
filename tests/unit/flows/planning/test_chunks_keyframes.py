"""Plans of videos with keyframes: what runs ahead, what waits for what, and that it can all be done."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.planning.chunks import Part, chunks_of
from flows.planning.remaining import VideoWork
from tests.helpers.planned_work import work_of


def keyed(video_id: str, frames: int, size: int | None = None, **columns: object) -> VideoWork:
    return work_of(video_id, frames, size, handoff="keyframes", keyframe_every=3, **columns)  # type: ignore[arg-type]


def test_keyframes_run_ahead_and_each_gap_waits_for_its_own_two() -> None:
    chunks = chunks_of([keyed("reef", 25, steps=4, steps_first=4)], actors=8, chunk_seconds=120)

    assert [(chunk.name, chunk.parts[0].frames, chunk.needs) for chunk in chunks] == [
        ("reef keyframes 0,12,24", (0, 12, 24), ()),
        *((f"reef keyframes {index}", (index,), (0, 12)) for index in (3, 6, 9)),
        *((f"reef keyframes {index}", (index,), (12, 24)) for index in (15, 18, 21)),
        ("reef 1-2", (1, 2), (0, 3)),
        ("reef 4-5", (4, 5), (3, 6)),
        ("reef 7-8", (7, 8), (6, 9)),
        ("reef 10-11", (10, 11), (9, 12)),
        ("reef 13-14", (13, 14), (12, 15)),
        ("reef 16-17", (16, 17), (15, 18)),
        ("reef 19-20", (19, 20), (18, 21)),
        ("reef 22-23", (22, 23), (21, 24)),
    ]
    assert {chunk.parts[0].index for chunk in chunks} == {None}
    assert chunks[0].seconds == pytest.approx(1.8)  # 4 steps of 0.1 s, and 7 for each leap over 12 frames


def test_what_leads_a_loop_back_to_its_first_frame_is_a_gap_too() -> None:
    chunks = chunks_of([keyed("reef", 28, loop=True)], actors=8, chunk_seconds=120)
    assert chunks[0].name == "reef keyframes 0,12,24-25"
    closing = [(chunk.parts[0].frames, chunk.needs) for chunk in chunks if {26, 27} & {*chunk.parts[0].frames}]
    assert closing == [((26,), (0, 25)), ((27,), (0, 26))]


def test_many_actors_get_parts_of_gaps_the_second_ones_when_later_gaps_have_begun() -> None:
    def near(*frames: int) -> list[str]:
        return [f"reef keyframes {frame}" for frame in frames]

    reef = work_of("reef", 129, handoff="keyframes", keyframe_every=8)
    chunks = chunks_of([reef], actors=2, chunk_seconds=5)

    assert [chunk.name for chunk in chunks] == [
        "reef keyframes 0,32,64,96,128", *near(8, 16, 24),
        *near(40, 48, 56), "reef 1-4", "reef 9-12", "reef 17-20", "reef 25-28",
        *near(72, 80, 88), "reef 33-36", "reef 41-44", "reef 49-52", "reef 57-60",
        *near(104, 112, 120), "reef 65-68", "reef 73-76", "reef 81-84", "reef 89-92",
        "reef 5-7", "reef 13-15", "reef 21-23", "reef 29-31",
        "reef 97-100", "reef 105-108", "reef 113-116", "reef 121-124",
        "reef 37-39", "reef 45-47", "reef 53-55", "reef 61-63",
        "reef 69-71", "reef 77-79", "reef 85-87", "reef 93-95",
        "reef 101-103", "reef 109-111", "reef 117-119", "reef 125-127",
    ]  # fmt: skip
    assert next(chunk.needs for chunk in chunks if chunk.name == "reef 13-15") == (12, 16)


def test_an_actor_that_renders_gaps_together_gets_as_many() -> None:
    reef = work_of("reef", 257, handoff="keyframes", keyframe_every=8)
    alone, together = (chunks_of([reef], actors=2, chunk_seconds=120, max_batch=size) for size in (1, 8))
    assert [chunk.name for chunk in alone][7:10] == ["reef 1-7", "reef 9-15", "reef 17-23"]
    assert [chunk.name for chunk in together] == [
        "reef keyframes 0,32,64,96,128,160,192,224,256",
        "reef 1-31,33-63", "reef 65-95,97-127", "reef 129-159,161-191", "reef 193-223,225-255",
    ]  # fmt: skip


def test_few_actors_get_larger_chunks_and_a_small_video_is_one() -> None:
    two = chunks_of([keyed("reef", 193)], actors=1, chunk_seconds=120)
    assert [chunk.name for chunk in two][1:3] == ["reef 1-11", "reef 13-23"]
    assert two[1].parts[0].frames == (3, 6, 9, 1, 2, 4, 5, 7, 8, 10, 11)

    small, big = keyed("reef", 13), work_of("big", 500)
    (bundle,) = [chunk for chunk in chunks_of([big, small], actors=1, chunk_seconds=120) if "reef" in chunk.name]
    assert bundle.parts == (Part("reef", None, (0, 12, 3, 6, 9, 1, 2, 4, 5, 7, 8, 10, 11)),)


def test_only_what_is_missing_is_rendered_and_nobody_waits_for_keyframes_that_are_there() -> None:
    reef = keyed("reef", 25, 5, missing={4, 5, 15, 16}, segments=[0, 2, 3])

    assert [(c.name, c.parts, c.needs) for c in chunks_of([reef], actors=8, chunk_seconds=1)] == [
        ("reef keyframes 15", (Part("reef", None, (15,)),), ()),
        ("reef 4", (Part("reef", None, (4,)),), ()),
        ("reef 16", (Part("reef", None, (16,)),), (15,)),
        ("reef 5", (Part("reef", None, (5,)),), (4,)),
        ("reef 20-24", (Part("reef", 4),), ()),
    ]


@settings(max_examples=100, deadline=None)
@given(
    frames=st.integers(1, 80), size=st.integers(1, 30), actors=st.integers(1, 9), data=st.data(),
    chunk_seconds=st.sampled_from([0.5, 5.0, 50.0]),
)  # fmt: skip
def test_whatever_is_missing_of_a_video_with_keyframes_its_chunks_can_be_done_to_the_end(
    frames: int, size: int, actors: int, data: st.DataObject, chunk_seconds: float
) -> None:
    missing = data.draw(st.sets(st.integers(0, frames - 1)))
    loops = {"loop": True} if frames >= 9 and data.draw(st.booleans()) else {}
    work = keyed("reef", frames, size, missing=missing, **loops)
    there = set(range(frames)) - missing
    chunks = list(chunks_of([work], actors=actors, chunk_seconds=chunk_seconds))
    assert len({chunk.name for chunk in chunks}) == len(chunks)
    encoded = [part.index for chunk in chunks for part in chunk.parts if part.index is not None]
    assert encoded == [i for i, frame_range in enumerate(work.ranges) if not frame_range.missing]
    while chunks:
        chunk = next(c for c in chunks if there.issuperset(c.needs))  # StopIteration: they wait for each other
        chunks.remove(chunk)
        for part in chunk.parts:
            for index in part.frames:
                assert index not in there
                assert there.issuperset(work.frames[index].needs)
                there.add(index)
    assert there == set(range(frames))

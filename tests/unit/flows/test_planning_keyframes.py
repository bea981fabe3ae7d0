"""Plans of videos with keyframes: what runs ahead, what waits for what, and that it can all be done."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.planning import Part, VideoWork, chunks_of
from tests.planned_work import work_of


def keyed(video_id: str, frames: int, size: int | None = None, **columns: object) -> VideoWork:
    return work_of(video_id, frames, size, handoff="keyframes", keyframe_every=3, **columns)  # type: ignore[arg-type]


def test_keyframes_run_ahead_and_each_gap_waits_for_its_own_two() -> None:
    chunks = chunks_of([keyed("reef", 25)], actors=8, chunk_seconds=120)

    assert [(chunk.name, chunk.parts[0].frames, chunk.needs) for chunk in chunks] == [
        ("reef keyframes 0,12,24", (0, 12, 24), ()),
        ("reef keyframes 3,6,9", (3, 6, 9), (0, 12)),
        ("reef 1-2", (1, 2), (0, 3)),
        ("reef 4-5", (4, 5), (3, 6)),
        ("reef 7-8", (7, 8), (6, 9)),
        ("reef 10-11", (10, 11), (9, 12)),
        ("reef keyframes 15,18,21", (15, 18, 21), (12, 24)),
        ("reef 13-14", (13, 14), (12, 15)),
        ("reef 16-17", (16, 17), (15, 18)),
        ("reef 19-20", (19, 20), (18, 21)),
        ("reef 22-23", (22, 23), (21, 24)),
    ]
    assert {chunk.parts[0].index for chunk in chunks} == {None}
    assert chunks[0].seconds == pytest.approx(4.4)  # 10 steps of 0.1 s, and 17 for each leap over 12 frames


def test_few_actors_get_larger_pieces_and_a_small_video_is_one() -> None:
    two = chunks_of([keyed("reef", 193)], actors=1, chunk_seconds=120)
    assert [chunk.name for chunk in two][1:3] == ["reef 1-11", "reef 13-23"]
    assert two[1].parts[0].frames == (3, 6, 9, 1, 2, 4, 5, 7, 8, 10, 11)

    small, big = keyed("reef", 13), work_of("big", 500)
    (bundle,) = [chunk for chunk in chunks_of([big, small], actors=1, chunk_seconds=120) if "reef" in chunk.name]
    assert bundle.parts == (Part("reef", None, (0, 12, 3, 6, 9, 1, 2, 4, 5, 7, 8, 10, 11)),)


def test_only_what_is_missing_is_rendered_and_nobody_waits_for_keyframes_that_are_there() -> None:
    reef = keyed("reef", 25, 5, missing={4, 5, 15, 16}, segments=[0, 2, 3])

    assert [(c.name, c.parts, c.needs) for c in chunks_of([reef], actors=8, chunk_seconds=1)] == [
        ("reef 4-5", (Part("reef", None, (4, 5)),), ()),
        ("reef keyframes 15", (Part("reef", None, (15,)),), ()),
        ("reef 16", (Part("reef", None, (16,)),), (15,)),
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
    work = keyed("reef", frames, size, missing=missing)
    there = set(range(frames)) - missing
    chunks = list(chunks_of([work], actors=actors, chunk_seconds=chunk_seconds))
    assert len({chunk.name for chunk in chunks}) == len(chunks)
    encoded = [part.index for chunk in chunks for part in chunk.parts if part.index is not None]
    assert encoded == [i for i, piece in enumerate(work.ranges) if not piece.missing]
    while chunks:
        chunk = next(c for c in chunks if there.issuperset(c.needs))  # StopIteration: they wait for each other
        chunks.remove(chunk)
        for part in chunk.parts:
            for index in part.frames:
                assert index not in there
                assert there.issuperset(work.frames[index].needs)
                there.add(index)
    assert there == set(range(frames))

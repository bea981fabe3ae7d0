"""Where frames start: the order and the ties of chains and of keyframes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renderers.frame_plan.handoff import FAR, LEAP_FRAMES, Place, chain_places, keyframe_places


def test_a_chain_is_one_after_the_other() -> None:
    assert list(chain_places(3)) == [Place(0, None), Place(1, 0), Place(2, 1)]


def test_a_video_with_keyframes_is_far_ones_near_ones_and_gaps() -> None:
    assert FAR == 4  # what the places below are of
    assert tuple(keyframe_places(15, 3)) == (
        Place(0, None, level=0),
        Place(12, 0, level=0),
        Place(14, 12, level=0),
        Place(3, 0, 0, 12, 1),
        Place(6, 0, 0, 12, 1),
        Place(9, 0, 0, 12, 1),
        Place(1, 0, 0, 3, 2),
        Place(2, 1, 0, 3, 2),
        Place(4, 3, 3, 6, 2),
        Place(5, 4, 3, 6, 2),
        Place(7, 6, 6, 9, 2),
        Place(8, 7, 6, 9, 2),
        Place(10, 9, 9, 12, 2),
        Place(11, 10, 9, 12, 2),
        Place(13, 12, 12, 14, 2),
    )


def test_the_share_of_the_way_grows_from_the_left_keyframe_to_the_right_one() -> None:
    assert [Place(index, index - 1, 8, 12).share for index in (9, 10, 11)] == [0.25, 0.5, 0.75]
    assert Place(9, 8).share == 0.0


def test_a_leap_is_the_more_of_one_the_longer_it_is() -> None:
    assert [Place(index, 4, level=0).leap for index in (5, 4 + LEAP_FRAMES, 1000)] == [0, 1, 1]
    assert 0 < Place(9, 4, level=0).leap < Place(12, 4, level=0).leap < 1
    assert Place(0, None, level=0).leap == Place(40, 8, 0, 64, 1).leap == Place(9, 8).leap == 0


def test_nothing_is_drawn_over_the_beginning_of_a_scene() -> None:
    for place in keyframe_places(60, 3, cuts=[20]):
        if place.target_frame is not None:
            assert place.index < 19 or place.index > 20
            assert (place.index < 20) == (place.target_frame < 20)


@given(frames=st.integers(1, 200), every=st.integers(2, 20), cuts=st.lists(st.integers(0, 250), max_size=4))
def test_every_frame_comes_once_and_after_all_that_it_needs(frames: int, every: int, cuts: list[int]) -> None:
    done: set[int] = set()
    for place in keyframe_places(frames, every, cuts):
        assert place.index not in done
        assert (place.start is None) == (place.index == 0)
        assert {place.start, place.target_frame, place.left} - {None} <= done
        if place.target_frame is not None:
            assert place.left is not None
            assert 0 < place.share < 1
        done.add(place.index)
    assert done == set(range(frames))


@pytest.mark.parametrize("frames", [50, 97])
def test_more_frames_leave_those_before_the_last_far_keyframe_as_they_are(frames: int) -> None:
    shorter, longer = ({p.index: p for p in keyframe_places(n, 3)} for n in (frames, frames + 40))
    last = (frames - 1) // (3 * FAR) * 3 * FAR
    assert all(shorter[index] == longer[index] for index in range(last + 1))

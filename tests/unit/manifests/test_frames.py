import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.schema import FrameRangeError, brief_frames, format_frames, parse_frames


def test_ends_are_included():
    assert parse_frames("120-180,200") == (range(120, 181), range(200, 201))


def test_ranges_are_sorted_and_joined():
    assert parse_frames("9, 4 - 6,5-8,0") == (range(0, 1), range(4, 10))


def test_every_nth_frame_as_render_farms_write_it():
    assert [list(r) for r in parse_frames("1-10x4")] == [[1], [5], [9]]
    assert parse_frames("0-9x1, 20-30 X 5") == (range(0, 10), *(range(n, n + 1) for n in (20, 25, 30)))
    assert parse_frames("0-4x2,0-4x3") == (range(0, 1), range(2, 5))
    assert parse_frames("5-6x100") == (range(5, 6),)
    assert len(parse_frames("0-999999x2")) == 500_000


def test_written_for_people():
    assert format_frames([200, *range(120, 181), 150]) == "120-180,200"
    assert format_frames([]) == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("9-3", "frame range '9-3': end 3 precedes start 9"),
        ("", "frame range '': not a frame number"),
        ("1,,2", "not a frame number"),
        ("-3", "'-3': not a frame number"),
        ("1-2-3", "'1-2-3'"),
        ("1-10x0", "'1-10x0': step 0 gets nowhere"),
        ("1x3", "'1x3': not a frame number or a range; write '120-180,200', or '0-100x10' for every tenth"),
        ("1-10:2", "'1-10:2'"),
        ("all", "'all'"),
        ("1000000", "beyond 999999"),
        ("9" * 9999, "beyond 999999"),
        ("٣", "not a frame number"),
    ],
)
def test_errors(text: str, message: str):
    with pytest.raises(FrameRangeError, match=message):
        parse_frames(text)


@settings(deadline=None)  # the machine is shared
@given(st.sets(st.integers(0, 999_999) | st.integers(0, 30), min_size=1))
def test_round_trip(frames: set[int]):
    assert {frame for r in parse_frames(format_frames(frames)) for frame in r} == frames


def test_many_ranges_are_named_in_few_words():
    assert brief_frames(range(0, 100_000, 2)) == (
        "0,2,4,6,8,10,12,14,16,18,...,99980,99982,99984,99986,99988,99990,99992,99994,99996,99998 (50,000 frames)"
    )
    assert brief_frames([*range(120, 181), 200]) == "120-180,200"
    assert brief_frames([]) == ""
    assert brief_frames(range(10**9)) == format_frames(range(10**9)) == "0-999999999", "not one by one"


def test_many_parts_of_many_frames_are_refused_before_they_are_made():
    with pytest.raises(FrameRangeError, match="'1-999999x2': with those before it more than 1,000,000 frames"):
        parse_frames(",".join(["1-999999x2"] * 2000))

"""What each axis of the camera does to points of the picture; that axes compose, and those at rest are not there."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from manifests.schema import ManifestRow
from manifests.schema.camera import CAMERA_LIMITS
from renderers.errors import BadInput
from renderers.frame_plan import addressing_v4
from renderers.frame_plan.camera import camera_motion
from renderers.frame_plan.camera_path import CameraPath
from renderers.frame_plan.motion import STILL, Homography
from renderers.frame_plan.neutral import NEUTRAL
from renderers.frame_plan.part import part_plans
from tests.helpers.random_model import Planner

FLAT = {"zoom": 1.0, "angle": 0.0, "translate_x": 0.0, "translate_y": 0.0}
WIDTH, HEIGHT = 640, 480
FOCAL = HEIGHT / 2 / math.tan(math.radians(30))


def motion_of(**axes: float) -> Homography:
    motion = camera_motion({**FLAT, **axes}, WIDTH, HEIGHT)
    assert isinstance(motion, Homography)
    return motion


def weight(motion: Homography, at: tuple[float, float]) -> float:
    """Positive for what the camera sees."""
    return motion.entries[6] * at[0] + motion.entries[7] * at[1] + motion.entries[8]


def moved(motion: Homography, x: float, y: float) -> tuple[float, float]:
    a, b, c, d, e, f, *_ = motion.entries
    w = weight(motion, (x, y))
    assert w > 0
    return (a * x + b * y + c) / w, (d * x + e * y + f) / w


LEAST_WEIGHT = 0.05  # nearer to the horizon twelve digits are not enough for these comparisons


AXES = {
    "zoom": st.floats(0.5, 2), "angle": st.floats(-90, 90), "translate_x": st.floats(-50, 50),
    "translate_y": st.floats(-50, 50), "zoom_x": st.floats(0.5, 2), "zoom_y": st.floats(0.5, 2),
    "shear_x": st.floats(-60, 60), "shear_y": st.floats(-60, 60), "centre_x": st.floats(-1, 2),
    "centre_y": st.floats(-1, 2), "pan": st.floats(-10, 10), "tilt": st.floats(-10, 10),
    "field_of_view": st.floats(30, 90), "plane_x": st.floats(-10, 10), "plane_y": st.floats(-10, 10),
    "dolly": st.floats(-100, 100),
}  # fmt: skip
MOTIONS = st.fixed_dictionaries(AXES).map(lambda axes: motion_of(**axes))


def test_all_axes_are_tried_here() -> None:
    assert AXES.keys() == CAMERA_LIMITS.keys()


@given(one=MOTIONS, other=MOTIONS, x=st.floats(-5, 5), y=st.floats(-5, 5))
def test_motions_of_all_axes_compose_and_are_undone(one: Homography, other: Homography, x: float, y: float) -> None:
    assume(weight(one, (x, y)) > LEAST_WEIGHT)
    there = moved(one, x, y)
    assert moved(one.inverse(), *there) == pytest.approx((x, y), abs=1e-5)
    assume(weight(other, there) > LEAST_WEIGHT)
    assert moved(one.compose(other), x, y) == pytest.approx(moved(other, *there), rel=1e-6, abs=1e-5)
    back = Homography.back_through([one, other])
    assert moved(back, *moved(other, *there)) == pytest.approx((x, y), abs=1e-3)


@pytest.mark.parametrize(
    ("axes", "start", "end"),
    [
        ({"zoom_x": 2.0}, (10, 20), (20, 20)),
        ({"zoom_y": 0.5}, (10, 20), (10, 10)),
        ({"zoom": 2.0, "zoom_x": 0.5}, (10, 20), (10, 40)),
        # upright lines lean to the right: their upper end, where y is negative, goes there
        ({"shear_x": 45.0}, (10, -20), (30, -20)),
        ({"shear_y": 45.0}, (10, -20), (10, -30)),  # the right side rises
        # it is the zoomed picture that turns
        ({"zoom_x": 2.0, "angle": 90.0}, (10, 0), (0, -20)),
        # what lies at the centre stays, here a quarter of the width from the left edge
        ({"zoom": 3.0, "centre_x": 0.25}, (-160, 0), (-160, 0)),
        ({"angle": 90.0, "centre_x": 0.25, "centre_y": 0.75}, (-160, 120), (-160, 120)),
        ({"angle": 90.0, "centre_x": 0.25, "translate_x": 5.0}, (-150, 0), (-155, -10)),
        ({"shear_x": 45.0, "centre_y": 1.0}, (0, 240), (0, 240)),
        # the camera turns to the right and up: what was in the middle goes to the left and down
        ({"pan": 30.0}, (0, 0), (-FOCAL * math.tan(math.pi / 6), 0)),
        ({"tilt": 30.0}, (0, 0), (0, FOCAL * math.tan(math.pi / 6))),
        ({"pan": 30.0}, (FOCAL * math.tan(math.pi / 6), 0), (0, 0)),
        ({"pan": 30.0, "field_of_view": 90.0}, (240 * math.tan(math.pi / 6), 0), (0, 0)),
        # at a right angle to the way to it, what tips away gets nearer to the middle and farther from us
        ({"plane_y": 60.0}, (100, 0), (100 * 0.5 * FOCAL / (FOCAL + 100 * math.sin(math.pi / 3)), 0)),
        ({"plane_x": 60.0}, (0, -100), (0, -100 * 0.5 * FOCAL / (FOCAL + 100 * math.sin(math.pi / 3)))),
        ({"plane_x": 30.0, "plane_y": 30.0}, (0, 0), (0, 0)),
        ({"dolly": FOCAL / 2}, (10, 20), (20, 40)),
        ({"dolly": -FOCAL}, (10, 20), (5, 10)),
    ],
)  # fmt: skip
def test_a_point_goes_where_the_axes_say(
    axes: dict[str, float], start: tuple[float, float], end: tuple[float, float]
) -> None:
    assert moved(motion_of(**axes), *start) == pytest.approx(end, abs=1e-6)


def test_the_plane_tips_its_right_and_its_upper_edge_away() -> None:
    """What is away is smaller: the picture's edge there is shorter."""
    right, top = motion_of(plane_y=20), motion_of(plane_x=20)
    assert moved(right, 100, 100)[1] < moved(right, -100, 100)[1]
    assert moved(top, 100, -100)[0] < moved(top, 100, 100)[0]


def test_a_camera_that_turns_all_the_way_round_is_where_it_was() -> None:
    for axes in ({"pan": 4.0}, {"tilt": 4.0}, {"pan": 2.4, "tilt": 3.2}):
        assert Homography.through([motion_of(**axes)] * 90).entries == pytest.approx(STILL.entries, abs=1e-6)


@given(axis=st.sampled_from(["pan", "tilt", "plane_x", "plane_y"]), pan=st.floats(-45, 45), other=st.floats(-45, 45))
def test_opposite_turns_take_each_other_back(axis: str, pan: float, other: float) -> None:
    pair = {"pan": "tilt", "tilt": "pan", "plane_x": "plane_y", "plane_y": "plane_x"}[axis]
    if axis.startswith("plane"):  # the second plane would be the picture that shows the first
        pan, other = pan / 100, other / 100
    there, back = motion_of(**{axis: pan, pair: other}), motion_of(**{axis: -pan, pair: -other})
    assert there.compose(back).entries == pytest.approx(STILL.entries, abs=1e-6 if axis in ("pan", "tilt") else 0.02)


@given(st.floats(0.01, 100), st.floats(-360, 360), st.floats(-4096, 4096), st.floats(-4096, 4096))
def test_axes_at_rest_leave_a_zoom_as_it_was_bit_for_bit(zoom: float, angle: float, x: float, y: float) -> None:
    flat = {"zoom": zoom, "angle": angle, "translate_x": x, "translate_y": y}
    resting = {axis: NEUTRAL[axis] for axis in CAMERA_LIMITS}
    before = Homography.of(zoom, angle, x, y)
    for more in (flat, resting | flat, {"field_of_view": 90.0} | flat, {"zoom_x": 1.0, "pan": 0.0} | flat):
        found = camera_motion(more, WIDTH, HEIGHT)
        assert isinstance(found, Homography)
        assert [it.hex() for it in found.entries] == [it.hex() for it in before.entries]
        assert found.text == before.text


def test_a_centre_matters_to_what_turns_or_zooms_only() -> None:
    assert motion_of(translate_x=0.1, centre_x=0.3) == motion_of(translate_x=0.1)
    assert motion_of(pan=3, centre_x=0.3) == motion_of(pan=3)


# --- in plans ---------------------------------------------------------------------------------------------------------

USED = {
    "zoom_x": "1.1", "zoom_y": "1.1", "shear_x": "2", "shear_y": "2", "pan": "2", "tilt": "2", "plane_x": "2",
    "plane_y": "2", "dolly": "2", "border": "wrap",
}  # fmt: skip


@pytest.mark.parametrize("handoff", ["chain", "keyframes"])
def test_values_at_rest_leave_every_digest(planned: Planner, handoff: str) -> None:
    camera = {"frames": 12, "zoom": "1.02+.001*t", "angle": "1", "handoff": handoff, "keyframe_every": 3}
    resting = {axis: repr(NEUTRAL[axis]) for axis in CAMERA_LIMITS if axis not in FLAT} | {"border": "reflect"}
    moving = {"pan": "where(t < 100, 0, 3)", "zoom_x": "0:(1), 5:(1)", "field_of_view": "50+t"}
    plan = planned(**camera)
    for other in (planned(**resting | camera), planned(**moving | camera)):
        assert other.digests == plan.digests
        assert [frame.motion for frame in other.walk()] == [frame.motion for frame in plan.walk()]
    assert planned(**resting | camera).expressible(addressing_v4.ALGORITHM)
    assert not planned(**moving | camera).expressible(addressing_v4.ALGORITHM)


@pytest.mark.parametrize("axis", USED)
def test_a_value_decides_all_frames_but_the_first(planned: Planner, axis: str) -> None:
    camera = {"frames": 4, "zoom": "1.02"}
    before, after = planned(**camera).digests, planned(**camera | {axis: USED[axis]}).digests
    assert before[0] == after[0]
    assert not set(before[1:]) & set(after[1:])
    # and those frames only that it moves
    if axis != "border":
        later = planned(**camera | {axis: f"where(t < 3, {NEUTRAL[axis]}, {USED[axis]})"}).digests
        assert later[:3] == before[:3]
        assert later[3] != before[3]


def test_a_border_decides_nothing_where_nothing_moves(planned: Planner) -> None:
    assert planned(frames=4, border="wrap").digests == planned(frames=4).digests


def test_two_spellings_are_one_frame(planned: Planner) -> None:
    one, other = (planned(frames=9, pan=pan, field_of_view=field).digests for pan, field in (
        ("0.1+0.2", "6*15"), ("0.3", "90"),
    ))  # fmt: skip
    assert one == other


def test_a_loop_and_keyframes_take_all_of_it(planned: Planner) -> None:
    camera = {
        "pan": "2*cos(t)",
        "zoom_x": "1.01",
        "plane_x": ".5",
        "dolly": "t/10",
        "centre_x": ".3",
        "border": "paint",
    }
    plan = planned(frames=18, loop=True, handoff="keyframes", keyframe_every=3, **camera)
    path = plan.camera_path
    for frame in plan.walk():
        if frame.start is not None:
            steps = [path.at(index) for index in range(frame.start + 1, frame.index + 1)]
            assert frame.motion == (steps[0] if len(steps) == 1 else Homography.through(steps))  # type: ignore[arg-type]
        if frame.target_motion is not None:
            assert frame.place.target_at is not None
            steps = [path.at(index) for index in range(frame.index + 1, frame.place.target_at + 1)]
            assert frame.target_motion == Homography.back_through(steps)  # type: ignore[arg-type]


def test_a_smaller_try_turns_as_far_as_the_whole(planned: Planner) -> None:
    camera = {"pan": "5", "dolly": "10", "centre_x": ".2", "angle": "3", "translate_x": "4"}
    whole = planned(frames=3, width=64, height=48, **camera)
    half = planned(frames=3, width=32, height=24, **camera)
    for large, small in zip(whole.walk(), part_plans(half, range(3), 0.5), strict=True):
        assert isinstance(large.motion, Homography)
        assert isinstance(small.motion, Homography)
        assert small.motion.entries == pytest.approx(large.motion.enlarged(0.5).entries, rel=1e-9)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"dolly": "where(t < 5, 0, 30)", "height": 32}, r"at frame 5: dolly 30 takes the camera to .* 27\."),
        ({"translate_x": "where(t < 5, 0, 4000)", "border": "black"}, r"at frame 5 leaves 0.00% of the picture"),
        ({"zoom": "where(t < 5, 1, .05)", "pan": "1"}, r"at frame 5 leaves 0.2\d% .* at least 1% must be: let it move"),
        ({"pan": "where(t < 5, 0, 45)", "field_of_view": "10"}, r"at frame 5 leaves 0.00%"),
        ({"plane_y": "80", "border": "wrap", "dolly": "-4000"}, r"at frame 1 leaves 0.0\d%"),
    ],
)  # fmt: skip
def test_a_move_that_shows_nothing_is_bad_input_with_its_frame(
    planned: Planner, columns: dict[str, Any], message: str
) -> None:
    plan = planned(frames=9, **columns)
    with pytest.raises(BadInput, match=f"camera of video 'reef' {message}"):
        _ = plan.digests


def test_a_leap_that_shows_nothing_is_bad_input_too(planned: Planner) -> None:
    columns = {"frames": 40, "pan": "4"}
    with pytest.raises(BadInput, match=r"from frame 0 to frame 32 leaves 0.00% .* smaller keyframe_every, or handoff"):
        _ = planned(**columns, handoff="keyframes").digests
    assert len(planned(**columns, handoff="keyframes", keyframe_every=2).digests) == 40
    assert len(planned(**columns, handoff="chain").digests) == 40


def test_what_went_anywhere_before_still_does(planned: Planner) -> None:
    for columns in ({"translate_x": "4000"}, {"zoom": ".01"}, {"zoom": "100"}):
        assert len(planned(frames=3, **columns).digests) == 3
    assert len(planned(frames=3, translate_x="4000", border="wrap").digests) == 3  # its other side


def test_long_videos_are_checked_frame_by_frame(planned: Planner) -> None:
    # validation looks at a thousand frames of 3,000
    row = ManifestRow(video_id="reef", prompt="a reef", frames=3000, pan="where(abs(t - 1501) < .5, 50, 0)")
    path = CameraPath(row)
    with pytest.raises(BadInput, match="pan of video 'reef' is 50 at frame 1501; allowed is -45 to 45"):
        path.at(1501)

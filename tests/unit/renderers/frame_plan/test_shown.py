"""How much of a picture is seen after a motion, against counting points."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renderers.frame_plan.motion import STILL, Homography
from renderers.frame_plan.shown import LEAST_SHOWN, shown_share

WIDTH, HEIGHT = 60, 40


def counted(motion: Homography) -> float:
    a, b, c, d, e, f, g, h, i = motion.inverse().entries
    seen, points = 0, 40
    for row in range(points):
        for column in range(points):
            x, y = ((column + 0.5) / points - 0.5) * WIDTH, ((row + 0.5) / points - 0.5) * HEIGHT
            w = g * x + h * y + i
            inside = abs(a * x + b * y + c) <= WIDTH / 2 * w and abs(d * x + e * y + f) <= HEIGHT / 2 * w
            seen += w > 0 and inside
    return seen / points**2


@given(
    zoom=st.floats(0.05, 3), angle=st.floats(-180, 180), x=st.floats(-80, 80), y=st.floats(-80, 80),
    g=st.floats(-0.05, 0.05), h=st.floats(-0.05, 0.05), sign=st.sampled_from([1, 1, 1, -1]),
)  # fmt: skip
def test_it_is_the_share_of_points_that_see_something(
    zoom: float, angle: float, x: float, y: float, g: float, h: float, sign: int
) -> None:
    tilt = Homography((1, 0, 0, 0, 1, 0, g, h, sign))
    motion = Homography.of(zoom, angle, x, y).compose(tilt)
    found, expected = shown_share(motion, WIDTH, HEIGHT), counted(motion)
    if found == 1.0:
        assert expected >= LEAST_SHOWN / 2
    else:
        assert found == pytest.approx(expected, abs=0.03)


def test_known_shares() -> None:
    assert shown_share(STILL, WIDTH, HEIGHT) == 1
    assert shown_share(Homography.of(0.05), WIDTH, HEIGHT) == pytest.approx(0.05**2)
    assert shown_share(Homography.of(translate_x=54), WIDTH, HEIGHT) == pytest.approx(0.1)
    assert shown_share(Homography.of(translate_x=60), WIDTH, HEIGHT) == 0
    assert shown_share(Homography((-1.0, 0, 0, 0, -1, 0, 0, 0, -1)), WIDTH, HEIGHT) == 0  # behind

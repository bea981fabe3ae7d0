"""How much of a picture is seen after a motion, against counting points."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from renderers.errors import BadInput
from renderers.frame_plan.camera import camera_motion
from renderers.frame_plan.motion import STILL, Homography
from renderers.frame_plan.parallax import Parallax
from renderers.frame_plan.shown import LEAST_SHOWN, shown_share
from renderers.frame_rendering.warp import warp_of
from tests.helpers.random_model import Planner

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


# --- among near and far -----------------------------------------------------------------------------------------------


def among(shape: str, **axes: float) -> Parallax:
    flat = {"zoom": 1.0, "angle": 0.0, "translate_x": 0.0, "translate_y": 0.0}
    motion = camera_motion({**flat, **axes}, WIDTH, HEIGHT, shape, "d" * 64 if shape == "model" else "")
    assert isinstance(motion, Parallax)
    return motion


@given(
    shape=st.sampled_from(["tunnel", "floor", "sphere", "model"]), x=st.floats(-200, 200), y=st.floats(-200, 200),
    dolly=st.floats(-80, 30), zoom=st.floats(0.2, 3), pan=st.floats(-40, 40),
)  # fmt: skip
def test_among_near_and_far_it_is_the_share_of_what_the_warp_shows(
    shape: str, x: float, y: float, dolly: float, zoom: float, pan: float
) -> None:
    assume(x or y or dolly)
    motion = among(shape, translate_x=x, translate_y=y, dolly=dolly, zoom=zoom, pan=pan)
    grid = warp_of(motion, torch.zeros(1, 3, HEIGHT, WIDTH)).grid(HEIGHT, WIDTH)
    found, expected = shown_share(motion, WIDTH, HEIGHT), float((grid.abs().amax(dim=-1) <= 1).float().mean())
    if found < LEAST_SHOWN:
        assert expected < 2 * LEAST_SHOWN
    else:
        assert expected >= LEAST_SHOWN / 2


def test_known_shares_among_near_and_far() -> None:
    # above the horizon all is ten times as far away, and goes a tenth as far
    assert shown_share(among("floor", translate_x=4 * WIDTH), WIDTH, HEIGHT) > LEAST_SHOWN
    assert shown_share(among("floor", translate_x=20 * WIDTH), WIDTH, HEIGHT) == 0
    assert shown_share(among("model", translate_x=0.9 * WIDTH), WIDTH, HEIGHT) > LEAST_SHOWN
    assert shown_share(among("model", translate_x=1.1 * WIDTH), WIDTH, HEIGHT) == 0
    focal = among("sphere", dolly=1.0).focal
    assert shown_share(among("sphere", dolly=-1.1 * focal), WIDTH, HEIGHT) == 0  # all lies behind the camera now
    assert shown_share(among("tunnel", translate_x=20 * WIDTH), WIDTH, HEIGHT, wraps=True) > LEAST_SHOWN
    assert shown_share(among("sphere", dolly=-1.1 * focal), WIDTH, HEIGHT, wraps=True) == 0


@pytest.mark.parametrize("shape", ["tunnel", "floor", "sphere"])
def test_a_row_that_leaves_nothing_of_the_picture_is_refused_with_its_frame(shape: str, planned: Planner) -> None:
    video: dict[str, Any] = {"frames": 12, "depth": {"shape": shape}}
    with pytest.raises(BadInput, match=r"'reef' at frame 7 leaves .*% of the picture in view; at least 1% must be"):
        _ = planned(**video, translate_x="where(t < 7, 2, 1000)").digests
    _ = planned(**video, translate_x="where(t < 7, 2, 1000)", border="wrap").digests
    _ = planned(**video, translate_x="20").digests

"""Motions as numbers: how they compose, what their text is, and what becomes of a kind that can't be composed."""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renderers.errors import BadInput
from renderers.frame_plan import camera_path
from renderers.frame_plan import motion as motions
from renderers.frame_plan.motion import STILL, Homography
from tests.helpers.random_model import Planner

MOTIONS = st.builds(Homography.of, st.floats(0.5, 2), st.floats(-360, 360), st.floats(-100, 100), st.floats(-100, 100))


def panned(pan: float) -> Homography:
    """What a camera sees that turns aside, at a focal length of 64 pixels: no affine motion."""
    cos, sin = math.cos(math.radians(pan)), math.sin(math.radians(pan))
    return Homography((cos, 0, -64 * sin, 0, 1, 0, sin / 64, 0, cos))


def moved(motion: Homography, x: float, y: float) -> tuple[float, float]:
    a, b, c, d, e, f, g, h, i = motion.entries
    w = g * x + h * y + i
    assert w > 0
    return (a * x + b * y + c) / w, (d * x + e * y + f) / w


def test_a_camera_zooms_turns_and_then_shifts() -> None:
    assert Homography.of(zoom=2.0).entries == (2, 0, 0, 0, 2, 0, 0, 0, 1)
    # y points down: counter-clockwise as seen takes three o'clock to noon
    assert moved(Homography.of(2.0, 90, 5, 7), 10, 0) == pytest.approx((5, 7 - 20))


@given(one=MOTIONS, other=MOTIONS, x=st.floats(-50, 50), y=st.floats(-50, 50))
def test_a_composed_motion_is_one_after_the_other(one: Homography, other: Homography, x: float, y: float) -> None:
    assert moved(one.compose(other), x, y) == pytest.approx(moved(other, *moved(one, x, y)), abs=1e-6)
    assert moved(one.inverse(), *moved(one, x, y)) == pytest.approx((x, y), abs=1e-6)


@given(MOTIONS, MOTIONS)
def test_a_composed_motion_is_undone_in_one(one: Homography, other: Homography) -> None:
    back, there = Homography.back_through([one, other]), one.compose(other)
    assert there.compose(back).entries == pytest.approx(STILL.entries, abs=1e-6)


def test_ninety_turns_aside_by_four_degrees_are_none() -> None:
    assert Homography.through([panned(4)] * 90).entries == pytest.approx(STILL.entries, abs=1e-6)
    assert Homography.through([panned(4), Homography.of(1.1, 5)]).entries == pytest.approx(
        panned(4).compose(Homography.of(1.1, 5)).entries
    )
    assert panned(4).compose(panned(4).inverse()).still


def test_multiples_of_a_matrix_are_one_motion_but_negative_ones_see_nothing() -> None:
    for motion in (Homography.of(1.1, 20, 3, 4), panned(30)):
        assert Homography(tuple(7 * entry for entry in motion.entries)).text == motion.text  # type: ignore[arg-type]
        assert Homography(tuple(-entry for entry in motion.entries)).text != motion.text  # type: ignore[arg-type]
    assert Homography((-1.0, 0, 0, 0, -1, 0, 0, 0, -1)).inverse().entries[8] == -1


def test_the_text_has_twelve_digits_and_knows_no_noise() -> None:
    assert Homography.of(1.02).text == "[1.02,0.0,0.0,0.0,1.02,0.0]"
    assert Homography.of(1 + 1e-13).text == STILL.text
    assert Homography.of(1 + 1e-10).text != STILL.text
    # sines that come to nothing leave no digits behind, whatever a machine's libm makes of them
    assert Homography.of(1, 90).text == "[0.0,1.0,0.0,-1.0,0.0,0.0]"
    assert Homography.through([Homography.of(1, 45)] * 8).entries == pytest.approx(STILL.entries, abs=1e-10)
    assert Homography.through([Homography.of(1, 0, 0.1)] * 3).text == Homography.of(1, 0, 0.3).text
    assert len(json.loads(panned(3).text)) == 9


def test_motions_that_leave_nothing_of_a_picture_are_refused() -> None:
    for entries in ((0.0,) * 9, (1e308, 0, 0, 0, 1e308, 0, 0, 0, 1e-10), (math.nan, 0, 0, 0, 1, 0, 0, 0, 1)):
        with pytest.raises(ValueError, match="the picture vanishes, or grows beyond all numbers"):
            Homography(entries)  # type: ignore[arg-type]


def test_a_leap_that_no_picture_survives_is_bad_input_with_its_frames(planned: Planner) -> None:
    plan = planned(frames=500, zoom="100", handoff="keyframes", keyframe_every=100)
    with pytest.raises(
        BadInput, match=r"camera of video 'reef' from frame 0 to frame \d+: the picture .* handoff chain"
    ):
        _ = plan.digests
    assert len(planned(frames=500, zoom="100", handoff="chain").digests) == 500


# --- a kind that can't be composed ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sinking:
    """A motion by the depth of the picture: two of them are no third."""

    depth: float
    composable = False

    @property
    def still(self) -> bool:
        return self.depth == 0

    @property
    def text(self) -> str:
        return f'{{"sinking":{self.depth!r}}}'


@pytest.fixture
def sinking(monkeypatch: pytest.MonkeyPatch) -> None:
    """The camera sinks into the picture, by what zooms otherwise."""
    monkeypatch.setattr(camera_path, "camera_motion", lambda values, *size: Sinking(values["zoom"] - 1))


@pytest.mark.usefixtures("sinking")
def test_motions_that_cannot_be_composed_force_a_chain(planned: Planner) -> None:
    long = {"frames": 100_000, "steps": 1000}
    assert planned(**long, zoom="1.5").handoff == "chain"  # though it takes hours
    chain = planned(frames=4, zoom="1.5", handoff="chain")
    assert [frame.motion for frame in chain.walk()] == [STILL, *[Sinking(0.5)] * 3]
    assert len(set(chain.digests)) == 4
    assert chain.digests != planned(frames=4, zoom="1.25", handoff="chain").digests


@pytest.mark.usefixtures("sinking")
def test_keyframes_beside_motions_that_cannot_be_composed_are_bad_input(planned: Planner) -> None:
    plan = planned(frames=9, zoom="1.5", handoff="keyframes")
    with pytest.raises(BadInput, match=r"'reef' asks for handoff keyframes, .* can't be composed .* chain, or auto"):
        _ = plan.digests
    assert planned(zoom="1.5", handoff="keyframes").handoff == "keyframes"  # a still leaps nowhere


def test_without_them_auto_is_as_it_was(planned: Planner) -> None:
    assert planned(frames=100_000, steps=1000, zoom="1.5").handoff == "keyframes"


NUMBERS = st.one_of(st.floats(-100, 100), st.sampled_from([0.0, -0.0, 1.0, -1.0, 1e-9, 1e9, 1e-320]))


def one_by_one(entries: motions.Entries) -> motions.Entries:
    """An affine matrix of positive scale, each entry divided and rounded for itself."""
    a, b, c, d, e, f, _, _, i = entries
    a, b, c, d, e, f = (entry / i for entry in (a, b, c, d, e, f))
    linear = motions._decimals(max(abs(a), abs(b), abs(d), abs(e)))
    shift = motions._decimals(max(abs(c), abs(f), motions.LEAST_SHIFT))
    a, b, d, e = (round(entry, linear) + 0.0 for entry in (a, b, d, e))
    return a, b, round(c, shift) + 0.0, d, e, round(f, shift) + 0.0, 0.0, 0.0, 1.0


@given(NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.floats(1e-3, 1e3))
def test_the_short_way_for_zooms_and_turns_gives_the_same_bits(
    a: float, b: float, c: float, f: float, i: float
) -> None:
    entries = (a, b, c, -b, a, f, 0.0, 0.0, i)
    try:
        expected = one_by_one(entries)
    except ValueError:
        with pytest.raises(ValueError, match="vanishes"):
            Homography(entries)
        return
    found = Homography(entries)
    assert [it.hex() for it in found.entries] == [it.hex() for it in expected]
    assert found.text == f"[{','.join(map(repr, expected[:6]))}]"
    assert pickle.loads(pickle.dumps(found)) == found

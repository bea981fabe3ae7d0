"""A camera that goes among near and far: what is near passes by faster; chains only."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from manifests.schema import ManifestRow
from renderers.errors import BadInput
from renderers.frame_plan import addressing_v4
from renderers.frame_plan.camera import camera_motion
from renderers.frame_plan.motion import Homography
from renderers.frame_plan.parallax import Parallax
from renderers.frame_rendering import depth
from renderers.frame_rendering.renderer import FrameRenderer
from renderers.frame_rendering.state import FrameState
from renderers.frame_rendering.warp import frame_change, warp_of
from tests.helpers.frames import chain
from tests.helpers.random_model import Planner

FLAT = {"zoom": 1.0, "angle": 0.0, "translate_x": 0.0, "translate_y": 0.0}
SHAPES = ["tunnel", "floor", "sphere"]
WIDTH, HEIGHT = 96, 64


def motion_of(shape: str, **axes: float) -> Parallax:
    motion = camera_motion({**FLAT, **axes}, WIDTH, HEIGHT, shape)
    assert isinstance(motion, Parallax)
    return motion


def places(motion: Any) -> torch.Tensor:
    """Where each pixel comes from, in pixels from the middle, `(h, w, 2)`."""
    return warp_of(motion, torch.zeros(1, 3, HEIGHT, WIDTH)).grid(HEIGHT, WIDTH)[0] * torch.tensor([WIDTH, HEIGHT]) / 2


REST = places(Homography.of())


def test_at_one_depth_it_is_the_camera_before_a_plane(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(depth.DEPTHS, "wall", lambda x, y, focal: torch.ones_like(x))
    for axes in (
        {"translate_x": 3.0, "translate_y": -2.0},
        {"translate_x": 3.0, "pan": 4.0, "zoom": 1.1, "angle": 3.0},
    ):
        others = {axis: value for axis, value in axes.items() if not axis.startswith("translate")}
        shift = {axis: value for axis, value in axes.items() if axis.startswith("translate")}
        one = camera_motion({**FLAT, **shift}, WIDTH, HEIGHT)
        other = camera_motion({**FLAT, **others}, WIDTH, HEIGHT)
        assert isinstance(one, Homography)
        assert isinstance(other, Homography)
        torch.testing.assert_close(places(motion_of("wall", **axes)), places(one.compose(other)), atol=1e-3, rtol=1e-3)
    # the wall is as far away after the move as the picture was before
    focal = HEIGHT / 2 / math.tan(math.radians(30))
    nearer = places(motion_of("wall", dolly=10.0))
    torch.testing.assert_close(nearer, REST * focal / (focal + 10), atol=1e-3, rtol=1e-3)


def test_what_is_near_passes_by_faster() -> None:
    tunnel = places(motion_of("tunnel", dolly=3.0))
    apart = (REST - tunnel).norm(dim=-1) / REST.norm(dim=-1)  # how much larger it gets
    assert float(apart[:4].min()) > 2 * float(apart[HEIGHT // 2 - 4 : HEIGHT // 2 + 4, WIDTH // 2 - 4 :][:, :8].max())
    floor = (REST - places(motion_of("floor", translate_x=4.0)))[..., 0]
    assert float(floor[: HEIGHT // 2].max()) == pytest.approx(0.4, abs=1e-3)  # ten times as far away
    assert float(floor[-1].min()) > 3.5
    assert bool((floor[HEIGHT // 2 :].diff(dim=0) > 0).all())  # the lower, the nearer
    sphere = places(motion_of("sphere", dolly=3.0))
    assert float((REST - sphere)[0, 0].norm()) > float((REST - sphere)[HEIGHT // 2, WIDTH // 2].norm())


@pytest.mark.parametrize("shape", SHAPES)
def test_forwards_and_back_meets_again_in_the_middle_of_the_way(shape: str) -> None:
    coarse = torch.rand(1, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    picture = torch.nn.functional.interpolate(coarse, size=(HEIGHT, WIDTH), mode="bicubic").clamp(0, 1)
    forth, back = motion_of(shape, dolly=1.5), motion_of(shape, dolly=-1.5)
    there = warp_of(forth, picture).move(picture)
    again = warp_of(back, there).move(there)
    inner = (..., slice(8, -8), slice(12, -12))
    assert float((again - picture)[inner].abs().mean()) < 0.02
    before, after = ((it[0].permute(1, 2, 0).clamp(0, 1) * 255).round().byte().numpy() for it in (picture, there))
    assert frame_change(before, after, forth) < 1.5


@pytest.mark.parametrize("shape", SHAPES)
def test_what_lies_behind_the_camera_is_finite_and_uncovered(shape: str) -> None:
    warp = warp_of(motion_of(shape, dolly=-300.0, pan=45.0), torch.rand(1, 3, HEIGHT, WIDTH))
    assert torch.isfinite(warp.move(torch.rand(1, 3, HEIGHT, WIDTH))).all()
    assert float(warp.coverage(HEIGHT, WIDTH).min()) == 0


# --- in plans ---------------------------------------------------------------------------------------------------------

CAMERA = {"frames": 4, "dolly": "1", "translate_x": "1", "zoom": "1.02"}


def test_a_plane_leaves_every_digest_and_another_shape_none_of_those_that_move(planned: Planner) -> None:
    before = planned(**CAMERA)
    assert planned(**CAMERA, depth={"shape": "plane"}).digests == before.digests
    others = [planned(**CAMERA, depth={"shape": shape}) for shape in SHAPES]
    seen = set(before.digests[1:])
    for plan in others:
        assert plan.digests[0] == before.digests[0]
        assert not seen & set(plan.digests[1:])
        seen |= set(plan.digests[1:])
        assert not plan.expressible(addressing_v4.ALGORITHM)
        assert len({frame.motion for frame in plan.walk()}) == 2
    # what only zooms, turns about itself or tips is no different among things of all depths
    turning = {"frames": 4, "zoom": "1.02", "pan": "2", "plane_x": "1"}
    assert planned(**turning, depth={"shape": "tunnel"}).digests == planned(**turning).digests


def test_such_videos_are_chains(planned: Planner) -> None:
    long = {"frames": 100_000, "steps": 1000, "dolly": "1", "depth": {"shape": "tunnel"}}
    assert planned(**long).handoff == "chain"
    assert planned(**long | {"depth": {"shape": "plane"}}).handoff == "keyframes"
    # also where nothing moves at first
    with pytest.raises(BadInput, match=r"asks for handoff keyframes, .* can't be composed .* choose handoff chain"):
        _ = planned(frames=9, dolly="where(t < 5, 0, 1)", depth={"shape": "floor"}, handoff="keyframes").digests
    with pytest.raises(ValidationError, match=r"loop.*camera's way through a floor .* can't be taken back"):
        ManifestRow(video_id="reef", prompt="a reef", frames=99, loop=True, depth={"shape": "floor"})


def test_one_that_was_killed_goes_on_with_the_same_bytes(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(**CAMERA, depth={"shape": "tunnel"}, border="paint", pan="1")
    whole = [frame.frame.to_bytes() for frame in chain(renderer, plan)]
    state = None
    for frame, expected in zip(plan.walk(), whole, strict=True):
        done = FrameRenderer(renderer.models).render(plan, frame, state, {})
        assert done.frame.to_bytes() == expected
        state = FrameState.from_bytes(done.frame.state.to_bytes())
    plane = chain(renderer, planned(**CAMERA, border="paint", pan="1"))
    assert not np.array_equal(plane[1].frame.picture, done.frame.picture)


def test_a_motion_has_one_text_and_grows_with_the_picture() -> None:
    motion = motion_of("tunnel", dolly=3.0, zoom=1.1)
    assert motion.text == motion_of("tunnel", dolly=3.0, zoom=1.1).text
    assert len({motion_of(shape, dolly=3.0).text for shape in SHAPES}) == 3
    large = camera_motion({**FLAT, "dolly": 6.0, "zoom": 1.1}, 2 * WIDTH, 2 * HEIGHT, "tunnel")
    assert motion.enlarged(2.0) == large

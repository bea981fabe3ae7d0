"""A camera that goes among things whose depth a network of the user's own finds in the picture."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from manifests.schema import ManifestRow
from renderers.errors import BadInput, ModelFilesBroken
from renderers.frame_plan.camera import camera_motion
from renderers.frame_plan.motion import Homography
from renderers.frame_plan.parallax import Parallax
from renderers.frame_rendering.renderer import FrameRenderer
from renderers.frame_rendering.state import FrameState
from renderers.frame_rendering.warp import warp_of
from renderers.models import Models
from renderers.models.depth_model import DepthModel
from renderers.registry import DepthEntry, ModelEntry
from tests.helpers.frames import chain
from tests.helpers.random_model import Planner

FLAT = {"zoom": 1.0, "angle": 0.0, "translate_x": 0.0, "translate_y": 0.0}
WIDTH, HEIGHT = 96, 64
DIGEST = "d" * 64
DEEP = DepthEntry(loader="brightness", version="1.0")


def motion_of(**axes: float) -> Parallax:
    motion = camera_motion({**FLAT, **axes}, WIDTH, HEIGHT, "model", DIGEST)
    assert isinstance(motion, Parallax)
    return motion


def places(motion: Parallax | Homography, depth: Tensor | None) -> Tensor:
    """Where each pixel comes from, in pixels from the middle, `(h, w, 2)`."""
    warp = warp_of(motion, torch.zeros(1, 3, HEIGHT, WIDTH), depth)
    return warp.grid(HEIGHT, WIDTH)[0] * torch.tensor([WIDTH, HEIGHT]) / 2


def square_before_a_wall(near: float = 0.5, far: float = 2.0) -> Tensor:
    depth = torch.full((1, 1, HEIGHT, WIDTH), far)
    depth[..., 24:40, 40:56] = near
    return depth


def test_at_one_depth_it_is_the_camera_before_a_plane() -> None:
    wall = torch.ones(1, 1, HEIGHT, WIDTH)
    for axes in ({"translate_x": 3.0, "translate_y": -2.0}, {"dolly": 8.0}, {"translate_x": 3.0, "zoom": 1.1}):
        plane = camera_motion({**FLAT, **axes}, WIDTH, HEIGHT)
        if "zoom" in axes:  # the shift goes first
            shift, zoom = (camera_motion({**FLAT, name: axes[name]}, WIDTH, HEIGHT) for name in axes)
            assert isinstance(shift, Homography)
            assert isinstance(zoom, Homography)
            plane = shift.compose(zoom)
        assert isinstance(plane, Homography)
        torch.testing.assert_close(places(motion_of(**axes), wall), places(plane, None), atol=1e-3, rtol=1e-3)


def test_what_is_near_passes_by_faster_and_covers_what_is_far() -> None:
    depth = square_before_a_wall()
    picture = (depth < 1).float().expand(1, 3, HEIGHT, WIDTH)  # the square is white
    moved = warp_of(motion_of(translate_x=4.0), picture, depth).move(picture, mode="bilinear")[0, 0]
    row = moved[32] > 0.5
    # 4 pixels at depth 1: 8 for the square, 2 for the wall
    assert int(row.nonzero().min()) == pytest.approx(48, abs=1)
    assert int(row[48:].int().sum()) == pytest.approx(16, abs=2)
    stripes = (torch.arange(WIDTH) % 16 < 8).float().expand(1, 3, HEIGHT, WIDTH)
    wall = warp_of(motion_of(translate_x=4.0), stripes, depth).move(stripes, mode="bilinear")[0, 0]
    torch.testing.assert_close(wall[4, 4:-4], stripes[0, 0, 4, 2:-6], atol=0.05, rtol=0)


def test_near_things_grow_more_as_the_camera_comes() -> None:
    depth = square_before_a_wall()
    white = (depth < 1).float().expand(1, 3, HEIGHT, WIDTH)
    moved = warp_of(motion_of(dolly=10.0), white, depth).move(white, mode="bilinear")
    focal = motion_of(dolly=10.0).focal
    grown = (moved[0, 0] > 0.5).sum() / (white[0, 0] > 0.5).sum()
    assert float(grown) == pytest.approx((0.5 / (0.5 - 10 / focal)) ** 2, rel=0.15)


def test_all_is_finite_wherever_the_camera_goes() -> None:
    depth = square_before_a_wall(0.1, 10.0)
    picture = torch.rand(1, 3, HEIGHT, WIDTH)
    for axes in ({"dolly": -300.0}, {"dolly": 600.0}, {"translate_x": 4096.0}, {"dolly": 30.0, "pan": 45.0}):
        warp = warp_of(motion_of(**axes), picture, depth)
        assert torch.isfinite(warp.move(picture)).all()
        assert torch.isfinite(warp.move(torch.rand(1, 4, HEIGHT // 4, WIDTH // 4), mode="bilinear")).all()


def test_without_the_network_all_is_as_far_away_as_the_picture() -> None:
    flat = torch.ones(1, 1, HEIGHT, WIDTH)
    for axes in ({"translate_x": 3.0}, {"translate_x": 3.0, "dolly": 8.0}):
        found = places(motion_of(**axes), flat)
        torch.testing.assert_close(places(motion_of(**axes), None), found, atol=1e-3, rtol=1e-3)


# --- what a network says ----------------------------------------------------------------------------------------------


def model_of(network: Callable[[Tensor], Tensor]) -> DepthModel:
    return DepthModel(DEEP, network, "deep")


def test_depths_count_as_shares_of_the_middle_one_within_limits() -> None:
    given = torch.tensor([[0.01, 4.0], [4.0, float("inf")]])
    found = model_of(lambda pictures: given[None]).depths(torch.zeros(1, 3, 2, 2))
    torch.testing.assert_close(found, torch.tensor([[[[0.1, 1.0], [1.0, 10.0]]]]))
    scaled = model_of(lambda pictures: 7 * given[None]).depths(torch.zeros(1, 3, 2, 2))
    torch.testing.assert_close(scaled, found)
    # of any resolution
    assert model_of(lambda pictures: torch.ones(1, 8, 8)).depths(torch.zeros(1, 3, 32, 64)).shape == (1, 1, 32, 64)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (lambda it: it, r"\(1, 3, 16, 16\)"),
        (lambda it: it[:, 0] * torch.nan, "no number"),
        (lambda it: it[:, 0] - 1, "0 or less"),
        (lambda it: it[:, 0] + torch.inf, "no finite distance"),
        (lambda it: "far", "str"),
        (lambda it: 1 / 0, "ZeroDivisionError"),
        (lambda it: sys.exit(2), "SystemExit: 2"),
        (lambda it: (it[:, 0] + 1).to_sparse(), r"torch\.sparse_coo .*no plain numbers"),
        (lambda it: torch.ones(1, 4, 4, device="meta"), "meta.*no plain numbers"),
    ],
)
def test_what_is_no_depth_is_refused_with_the_models_name(network: Callable[[Tensor], Tensor], message: str) -> None:
    with pytest.raises(ModelFilesBroken, match=rf"(?s)'brightness' of model 'deep'.*{message}"):
        model_of(network).depths(torch.zeros(1, 3, 16, 16))


@pytest.mark.parametrize("scale", [1e300, 1e-300])
def test_doubles_that_are_no_floats_are_distances(scale: float) -> None:
    given = torch.tensor([[[1.0, 2.0], [2.0, 3.0]]], dtype=torch.float64) * scale
    found = model_of(lambda pictures: given).depths(torch.zeros(1, 3, 2, 2))
    torch.testing.assert_close(found, torch.tensor([[[[0.5, 1.0], [1.0, 1.5]]]]))


@pytest.mark.parametrize("kind", [torch.uint16, torch.int8, torch.bool, torch.bfloat16, torch.float8_e4m3fn])
def test_numbers_of_any_kind_are_distances(kind: torch.dtype) -> None:
    found = model_of(lambda pictures: torch.ones(1, 2, 2).to(kind)).depths(torch.zeros(1, 3, 2, 2))
    torch.testing.assert_close(found, torch.ones(1, 1, 2, 2))


def test_a_network_can_change_nothing_of_the_picture() -> None:
    picture = torch.rand(1, 3, 16, 16)
    before = picture.clone()
    model_of(lambda it: it.mul_(0)[:, 0] + 1).depths(picture)
    assert torch.equal(picture, before)


def test_memory_that_is_short_is_no_fault_of_the_model() -> None:
    def network(pictures: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        model_of(network).depths(torch.zeros(1, 3, 16, 16))


# --- in plans and frames ----------------------------------------------------------------------------------------------

CAMERA = {"frames": 4, "dolly": "2", "translate_x": "1", "depth": {"shape": "model"}}


@pytest.fixture
def deep(entry: ModelEntry) -> ModelEntry:
    return entry.model_copy(update={"depth": DEEP})


def brightness(pictures: Tensor) -> Tensor:
    return 2 - pictures.mean(dim=1)


def test_rows_name_it_by_their_model_and_their_frames_by_its_digest(deep: ModelEntry, planned: Planner) -> None:
    with pytest.raises(BadInput, match=r"depth\.shape model of .*reef.*model 'random' has no depth model.*--depth"):
        planned(**CAMERA)
    plan = Planner(deep)(**CAMERA)
    other = Planner(deep.model_copy(update={"depth": DepthEntry(loader="brightness", version="1.1")}))(**CAMERA)
    plane = planned(**{**CAMERA, "depth": {"shape": "plane"}})
    assert plan.digests[0] == other.digests[0] == plane.digests[0]
    assert not {*plan.digests[1:]} & {*other.digests[1:]}
    assert not {*plan.digests[1:]} & {*plane.digests[1:]}
    assert DEEP.digest in plan.camera(1).text
    still = {"frames": 3, "zoom": "1.02", "pan": "1"}
    assert Planner(deep)(**still, depth={"shape": "model"}).digests == planned(**still).digests


def test_such_videos_are_chains(deep: ModelEntry) -> None:
    assert Planner(deep)(**CAMERA).handoff == "chain"
    with pytest.raises(BadInput, match="choose handoff chain"):
        _ = Planner(deep)(**CAMERA, handoff="keyframes").digests
    with pytest.raises(ValidationError, match=r"loop.*depth\.shape.* can't be taken back"):
        ManifestRow(video_id="reef", prompt="a reef", frames=99, loop=True, depth={"shape": "model"})


def test_frames_are_moved_by_what_it_finds_and_go_on_with_the_same_bytes(
    models: Models, deep: ModelEntry, planned: Planner
) -> None:
    with_depth = dataclasses.replace(models, entry=deep, depth=model_of(brightness))
    plan = Planner(deep)(**CAMERA)
    whole = chain(FrameRenderer(with_depth), plan)
    state = None
    for frame, expected in zip(plan.walk(), whole, strict=True):
        done = FrameRenderer(with_depth).render(plan, frame, state, {})
        assert done.frame.to_bytes() == expected.frame.to_bytes()
        state = FrameState.from_bytes(done.frame.state.to_bytes())
    assert whole[1].frame.provenance["model"]["depth"]["digest"] == DEEP.digest  # type: ignore[index]
    assert "depth" not in whole[0].frame.provenance["model"]  # type: ignore[operator]
    flat = dataclasses.replace(models, entry=deep, depth=model_of(lambda it: torch.ones_like(it[:, 0])))
    assert not np.array_equal(chain(FrameRenderer(flat), plan)[1].frame.picture, whole[1].frame.picture)


def test_a_renderer_without_it_draws_nothing_instead(renderer: FrameRenderer, deep: ModelEntry) -> None:
    plan = Planner(deep)(**CAMERA)
    frames = list(plan.walk())
    first = renderer.render(plan, frames[0], None, {})
    with pytest.raises(ModelFilesBroken, match="depth model"):
        renderer.render(plan, frames[1], first.frame.state, {})

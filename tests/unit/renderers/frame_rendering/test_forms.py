"""Frames that are tiles, or mirror images: alone, together with others, through videos and after a crash."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from renderers.form import Form
from renderers.frame_rendering.frame_object import FrameObject
from renderers.frame_rendering.in_progress import FrameInProgress
from renderers.frame_rendering.renderer import FrameRenderer, FrameRequest, RenderedFrame
from tests.helpers.frames import IMAGES, chain, first
from tests.helpers.random_model import Planner

FORMS: list[dict[str, Any]] = [
    {"tile": "x"}, {"tile": "xy", "init": "fractal"}, {"tile": "y", "cutouts": {"method": "pooled"}},
    {"symmetry": "x", "init": "noise"}, {"symmetry": "both", "optimiser": {"latent_noise": 1.0, "even": True}},
    {"tile": "x", "symmetry": "y", "init": "gradient"},
]  # fmt: skip


def mirrored(picture: np.ndarray, symmetry: str) -> bool:
    across = np.array_equal(picture, picture[:, ::-1])
    down = np.array_equal(picture, picture[::-1])
    return (across, down) == (symmetry in ("x", "both"), symmetry in ("y", "both"))


@pytest.mark.parametrize("columns", FORMS)
def test_frames_of_several_forms_come_out_together_as_alone(
    renderer: FrameRenderer, planned: Planner, columns: dict[str, Any]
) -> None:
    plans = [planned(seed=1), planned(seed=2, **columns), planned(seed=3)]
    requests = [FrameRequest(plan, next(plan.walk()), None, {}) for plan in plans]
    together = renderer.render_together(requests)
    for plan, made in zip(plans, together, strict=True):
        assert isinstance(made, RenderedFrame)
        alone = first(renderer, plan)
        np.testing.assert_allclose(made.frame.picture.astype(int), alone.frame.picture, atol=1)
    assert not np.array_equal(together[1].frame.picture, first(renderer, planned(seed=2)).frame.picture)  # type: ignore[union-attr]  # no error, as above


@pytest.mark.parametrize("symmetry", ["x", "y", "both"])
@pytest.mark.parametrize(
    "more",
    [
        {}, {"zoom": "1.1"}, {"dolly": "2", "border": "wrap"}, {"zoom_x": "1.1", "warm": {"start": "codes", "fit": 2}},
        {"zoom": "0.9", "border": "paint", "renew": {"noise": ".1"}}, {"init_image": "a.png", "width": 36},
        {"candidates": 2, "optimiser": {"coarse": 0.5}, "steps_first": 4},
    ],
)  # fmt: skip
def test_all_frames_of_a_video_are_mirror_images(
    renderer: FrameRenderer, planned: Planner, symmetry: str, more: dict[str, Any]
) -> None:
    plan = planned(IMAGES, symmetry=symmetry, frames=3, handoff="chain", **more)
    form = Form.of(plan.row)
    for made in chain(renderer, plan, IMAGES):
        assert mirrored(made.frame.picture, symmetry)
        tokens = made.frame.state.tokens
        assert torch.equal(tokens, form.mirrored(tokens))
        latent = made.frame.state.expand(renderer.starts.low, renderer.starts.high)
        assert torch.equal(latent, form.mirrored(latent))


@pytest.mark.parametrize("columns", [{"tile": "xy", "translate_x": "3"}, {"symmetry": "x", "zoom": "1.05"}])
def test_keyframes_and_loops_have_the_form_too(
    renderer: FrameRenderer, planned: Planner, columns: dict[str, Any]
) -> None:
    plan = planned(frames=9, handoff="keyframes", keyframe_every=3, loop=True, **columns)
    states: dict[int, Any] = {}
    for frame in plan.as_placed():
        parent = None if frame.start is None else states[frame.start]
        ahead = None if frame.target_frame is None else states[frame.target_frame]
        made = renderer.render(plan, frame, parent, {}, target_state=ahead).frame
        states[frame.index] = made.state
        assert mirrored(made.picture, plan.row.symmetry)


@pytest.mark.parametrize("columns", [{"tile": "xy", "translate_y": "2"}, {"symmetry": "both", "zoom": "1.05"}])
def test_a_video_goes_on_from_storage_as_if_it_had_never_stopped(
    renderer: FrameRenderer, planned: Planner, columns: dict[str, Any]
) -> None:
    plan = planned(frames=3, handoff="chain", **columns)
    whole = chain(renderer, plan)
    stored = FrameObject.from_bytes(whole[1].frame.to_bytes())
    again = renderer.render(plan, list(plan.walk())[2], stored.state, {})
    assert np.array_equal(again.frame.picture, whole[2].frame.picture)
    assert torch.equal(again.frame.state.tokens, whole[2].frame.state.tokens)


def test_a_shifted_tile_shows_its_other_side(renderer: FrameRenderer, planned: Planner) -> None:
    """A whole token's shift of a tile starts as the tile, shifted."""
    plan = planned(tile="xy", translate_x="4", frames=2, handoff="chain")
    assert plan.row.border == "wrap"
    made, frame = first(renderer, plan).frame, list(plan.walk())[1]
    vqgan = renderer.models.vqgan_for(plan.row)
    start = renderer.starts.warm(plan, frame, made.state)
    shown = torch.from_numpy(made.picture).permute(2, 0, 1)[None].float() / 255
    torch.testing.assert_close(start.latent, vqgan.encode(shown.roll(4, -1)), atol=0.05, rtol=0)


def test_a_form_has_an_address_of_its_own(planned: Planner) -> None:
    digests = {planned(**columns).digests[0] for columns in ({}, {"tile": "x"}, {"symmetry": "x"})}
    assert len(digests) == 3
    assert planned(tile="none", symmetry="none").digests == planned().digests
    # a camera that rests has no border, wrapped or not
    assert planned(tile="x", border="reflect", frames=2).digests == planned(tile="x", frames=2).digests


SHARES: dict[str, Any] = {"overview": "where(u < .5, .75, .25)", "grey": ".5*u", "bend": 0.2, "sharpen": 0.5}


@pytest.mark.parametrize("method", ["crops", "pooled", "lanczos"])
def test_cutouts_with_shares_come_out_together_as_alone(renderer: FrameRenderer, planned: Planner, method: str) -> None:
    plans = [planned(seed=1), planned(seed=2, cutouts=SHARES | {"method": method, "outside": 0.2, "border": "grey"})]
    together = renderer.render_together([FrameRequest(plan, next(plan.walk()), None, {}) for plan in plans])
    for plan, made in zip(plans, together, strict=True):
        assert isinstance(made, RenderedFrame)
        alone = first(renderer, plan)
        np.testing.assert_allclose(made.frame.picture.astype(int), alone.frame.picture, atol=1)
        parts = renderer.render(plan, next(plan.walk()), None, {}, cutouts_at_once=1)
        np.testing.assert_allclose(made.losses, parts.losses, rtol=1e-4)


def test_an_aligned_picture_is_cut_by_the_same_shares(renderer: FrameRenderer, planned: Planner) -> None:
    """A frame that is the picture has nothing left to learn of it, however it is cut."""
    for method in ("crops", "pooled"):
        cutouts = {**SHARES, "method": method, "noise": 0, "number": 8}
        prompts = [{"images": [{"image": "a.png", "aligned": True}]}]
        plan = planned(IMAGES, prompts=prompts, steps_first=1, cutouts=cutouts)
        frame = FrameInProgress(
            FrameRequest(plan, next(plan.walk()), None, IMAGES), renderer.models, renderer.starts,
            [guide.targets(plan, next(plan.walk()), IMAGES) for guide in renderer._guides],
        )  # fmt: skip
        picture = frame.targets[0].aligned[0].picture
        (aligned,) = frame.aligned_cutouts(0, 32, picture)
        torch.testing.assert_close(frame.cutouts(0, 32, picture), aligned, atol=1e-6, rtol=0)

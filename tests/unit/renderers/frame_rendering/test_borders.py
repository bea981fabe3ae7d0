"""What a camera of all axes does to pictures, and what comes into view at their borders."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from renderers.frame_plan.camera import camera_motion
from renderers.frame_plan.motion import STILL, Homography
from renderers.frame_rendering.renderer import FrameRenderer, FrameRequest, RenderedFrame
from renderers.frame_rendering.state import FrameState
from renderers.frame_rendering.warp import frame_change, warp_of
from tests.helpers.frames import chain, first
from tests.helpers.random_model import Planner

BORDERS = ["reflect", "replicate", "wrap", "black", "paint"]
FLAT = {"zoom": 1.0, "angle": 0.0, "translate_x": 0.0, "translate_y": 0.0}
MOVES = [
    {"zoom_x": 1.1}, {"zoom_y": 0.93}, {"shear_x": 6}, {"shear_y": -6}, {"zoom": 1.1, "centre_x": 0.1},
    {"angle": 9, "centre_y": 0.9}, {"pan": 5}, {"tilt": -5}, {"pan": 3, "tilt": 4, "field_of_view": 90},
    {"plane_x": 10}, {"plane_y": -10}, {"dolly": 9}, {"zoom": 1.05, "angle": 5, "shear_x": 3, "pan": 3, "plane_y": 6},
]  # fmt: skip
ALL_AXES = {
    "zoom": ".95", "zoom_x": "1.03", "shear_x": "2", "centre_x": ".3", "pan": "2*cos(t)", "tilt": "1", "plane_y": "3",
    "dolly": "1", "field_of_view": "70",
}  # fmt: skip


def motion_of(size: int, **axes: float) -> Homography:
    motion = camera_motion({**FLAT, **axes}, size, size)
    assert isinstance(motion, Homography)
    return motion


def smooth(size: int = 128) -> torch.Tensor:
    """A picture as smooth as what a network draws, `(1, 3, size, size)` in [0, 1]."""
    coarse = torch.rand(1, 3, size // 8, size // 8, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic").clamp(0, 1)


def moved(picture: torch.Tensor, motion: Homography, border: str) -> torch.Tensor:
    return warp_of(motion, picture).move(picture, border=border)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("axes", MOVES)
def test_in_and_out_again_returns_what_stayed_in_view(axes: dict[str, float], border: str) -> None:
    picture, motion = smooth(), motion_of(128, **axes)
    there = moved(picture, motion, border)
    again = moved(there, motion.inverse(), border)[..., 24:-24, 24:-24]
    error = float(((again - picture[..., 24:-24, 24:-24]) ** 2).mean())
    assert -10 * math.log10(error) > 35
    # it has moved at all
    assert float((there - picture)[..., 24:-24, 24:-24].abs().mean()) > 0.01


def test_borders_show_what_they_say() -> None:
    picture = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    aside = Homography.of(translate_x=4)  # four columns come into view at the left
    found = {border: moved(picture, aside, border)[..., :4] for border in BORDERS}
    expected = {
        "reflect": picture[..., [3, 2, 1, 0]], "replicate": picture[..., [0, 0, 0, 0]],
        "wrap": picture[..., [12, 13, 14, 15]], "black": torch.zeros(1, 3, 16, 4),
    }  # fmt: skip
    for border, columns in expected.items():
        torch.testing.assert_close(found[border], columns, atol=1e-5, rtol=0)
    assert torch.equal(found["paint"], found["reflect"])
    for border in BORDERS:  # what was there is moved alike
        inner = moved(picture, aside, border)[..., 4:]
        torch.testing.assert_close(inner, picture[..., :-4], atol=1e-5, rtol=0)


def test_reflection_is_what_it_was_to_the_bit() -> None:
    picture = torch.rand(1, 3, 40, 24, generator=torch.Generator().manual_seed(0))
    warp = warp_of(Homography.of(0.7, 20, 3, -5), picture)
    grid = warp.grid(40, 24)
    for mode in ("bicubic", "bilinear"):
        how = {"mode": mode, "padding_mode": "reflection", "align_corners": False}
        before = torch.nn.functional.grid_sample(picture, grid, **how)
        assert torch.equal(warp.move(picture, mode=mode), before)


def test_pictures_side_by_side_have_no_seam_where_they_wrap() -> None:
    size = 32
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    turns = 2 * math.pi / size
    waves = torch.stack([torch.sin(turns * x), torch.cos(turns * (x + 2 * y)), torch.sin(turns * y)])[None] / 2 + 0.5
    for x_shift, y_shift in ((5.5, 0), (0, -13.25), (40.0, 70.5)):  # also by more than the whole picture
        there = moved(waves, Homography.of(translate_x=x_shift, translate_y=y_shift), "wrap")
        x_there, y_there = x - x_shift, y - y_shift
        exact = torch.stack([torch.sin(turns * x_there), torch.cos(turns * (x_there + 2 * y_there)),
                             torch.sin(turns * y_there)])[None] / 2 + 0.5  # fmt: skip
        torch.testing.assert_close(there, exact.float(), atol=0.01, rtol=0)
    one = torch.rand(1, 4, 1, 1)  # a latent of a single token
    torch.testing.assert_close(moved(one, Homography.of(translate_x=0.3), "wrap"), one)


@pytest.mark.parametrize("border", BORDERS)
def test_what_lies_behind_the_camera_is_finite_and_uncovered(border: str) -> None:
    picture = smooth(32)
    for axes in ({"pan": 45.0, "field_of_view": 150.0}, {"plane_x": 80.0, "dolly": 20.0}):
        motion = motion_of(32, **axes)
        motion = motion.compose(motion)
        warp = warp_of(motion, picture)
        assert torch.isfinite(warp.move(picture, border=border)).all()
        assert float(warp.coverage(32, 32).min()) == 0
        assert float(warp.outside(32, 32).max()) == 1


def test_the_share_of_new_ground_is_exact_for_straight_edges() -> None:
    picture = torch.zeros(1, 3, 20, 20)
    assert float(warp_of(STILL, picture).outside(20, 20).max()) == 0
    aside = warp_of(Homography.of(translate_x=2.25), picture).outside(20, 20)[0, 0]
    torch.testing.assert_close(aside[:, :4], torch.tensor([1.0, 1.0, 0.25, 0.0]).expand(20, 4), atol=1e-5, rtol=0)
    out = warp_of(Homography.of(0.99), picture).outside(20, 20)[0, 0]  # a tenth of a pixel at each side
    torch.testing.assert_close(out[10, [0, 1, -1]], torch.tensor([0.1, 0.0, 0.1]), atol=0.02, rtol=0)


def test_the_seam_score_undoes_a_turn_of_the_camera() -> None:
    picture = smooth(96)
    motion = motion_of(96, pan=4, plane_x=3, zoom_y=1.05)
    before, after = (
        (it[0].permute(1, 2, 0).clamp(0, 1) * 255).round().byte().numpy()
        for it in (picture, moved(picture, motion, "black"))
    )
    assert frame_change(before, after, motion) < 1.5 < 6 < frame_change(before, after, STILL)


# --- frames -----------------------------------------------------------------------------------------------------------


def test_a_camera_at_rest_draws_the_same_pictures(renderer: FrameRenderer, planned: Planner) -> None:
    camera = {"frames": 3, "zoom": "1.05", "angle": "2"}
    resting = {"pan": "0", "zoom_x": "1", "field_of_view": "90", "centre_x": ".5", "border": "reflect"}
    before, after = (chain(renderer, planned(**columns)) for columns in (camera, camera | resting))
    for one, other in zip(before, after, strict=True):
        assert one.losses == other.losses
        assert np.array_equal(one.frame.picture, other.frame.picture)
        assert one.frame.state.to_bytes() == other.frame.state.to_bytes()


@pytest.mark.parametrize("border", BORDERS)
def test_one_that_was_killed_goes_on_with_the_same_bytes(
    renderer: FrameRenderer, planned: Planner, border: str
) -> None:
    plan = planned(frames=4, border=border, **ALL_AXES)
    whole = [frame.frame.to_bytes() for frame in chain(renderer, plan)]
    state = None
    for frame, expected in zip(plan.walk(), whole, strict=True):
        if frame.index == 2:  # killed within the frame: it begins anew, on another worker

            def killed(_: object) -> None:
                raise KeyboardInterrupt

            with pytest.raises(KeyboardInterrupt):
                renderer.render(plan, frame, state, {}, on_step=killed)
        done = FrameRenderer(renderer.models).render(plan, frame, state, {})
        assert done.frame.to_bytes() == expected
        state = FrameState.from_bytes(done.frame.state.to_bytes())


def test_frames_of_all_borders_together_are_what_they_are_alone(renderer: FrameRenderer, planned: Planner) -> None:
    requests = []
    for seed, border in enumerate(BORDERS):
        plan = planned(frames=2, border=border, seed=seed, **ALL_AXES)
        requests.append(FrameRequest(plan, list(plan.walk())[1], first(renderer, plan).frame.state, {}))
    for one, request in zip(renderer.render_together(requests), requests, strict=True):
        (other,) = renderer.render_together([request])
        assert isinstance(one, RenderedFrame)
        assert isinstance(other, RenderedFrame)
        np.testing.assert_allclose(one.losses, other.losses, rtol=1e-4)
        assert np.abs(one.frame.picture.astype(int) - other.frame.picture).max() <= 2


def test_the_optimisers_memory_moves_with_the_picture_and_new_ground_has_none(
    renderer: FrameRenderer, planned: Planner
) -> None:
    for border in BORDERS:
        plan = planned(frames=2, border=border, pan="10", zoom=".6")
        state, frame = first(renderer, plan).frame.state, list(plan.walk())[1]
        warm = renderer.starts.warm(plan, frame, state)
        assert warm.memory is not None
        kept, _ = state.moments.expand(torch.device("cpu"))
        warp = warp_of(frame.motion, torch.zeros(1, 3, 32, 32))
        memory = "black" if border == "paint" else border
        assert torch.equal(warm.memory[0], warp.move(kept, mode="bilinear", border=memory))
        assert (float(warm.memory[0][..., -1, -1].abs().max()) == 0) is (memory == "black")


def test_paint_is_chance_on_new_ground_alone_and_the_same_every_time(renderer: FrameRenderer, planned: Planner) -> None:
    def starts(border: str, **columns: object) -> torch.Tensor:
        plan = planned(frames=2, border=border, **{"zoom": ".5", **columns})
        state = first(renderer, planned(frames=2)).frame.state
        return renderer.starts.warm(plan, list(plan.walk())[1], state, seed=plan.row.seed).latent

    mirrored, painted = starts("reflect"), starts("paint")
    assert torch.equal(painted, starts("paint"))
    assert not torch.equal(painted, starts("paint", seed=1))
    change = (painted - mirrored)[0].abs().amax(dim=0)
    assert float(change[2:6, 2:6].max()) == 0  # the picture fills the middle half
    outside = torch.ones(8, 8, dtype=torch.bool)
    outside[2:6, 2:6] = False
    assert float((change[outside] > 0).float().mean()) == 1
    low, high = renderer.starts.low, renderer.starts.high
    assert bool(((painted >= low - 1e-5) & (painted <= high + 1e-5))[..., outside].all())
    assert torch.equal(starts("paint", zoom="1.2"), starts("reflect", zoom="1.2"))  # nothing comes into view
    # little by little it is as much as at once
    once, slow = (starts("paint", translate_x=x, zoom="1") - starts("reflect", translate_x=x, zoom="1") for x in "41")
    assert float(slow[..., 0].std() / once[..., 0].std()) == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize("border", BORDERS)
def test_moved_codes_and_fits_know_all_borders(renderer: FrameRenderer, planned: Planner, border: str) -> None:
    state = first(renderer, planned(frames=2)).frame.state
    vqgan = renderer.models.vqgan
    for warm in ({"start": "codes"}, {"fit": 2}):
        plan = planned(frames=2, border=border, zoom=".5", warm=warm)
        frame = list(plan.walk())[1]
        start = renderer.starts.warm(plan, frame, state, seed=0).latent
        assert torch.equal(start, renderer.starts.warm(plan, frame, state, seed=0).latent)
        if warm == {"start": "codes"}:
            warp = warp_of(frame.motion, torch.zeros(1, 3, 32, 32))
            how = {"mode": "bilinear", "border": "reflect" if border == "black" else border}
            codes = warp.move(vqgan.look_up(state.tokens.long()), **how)
            low, high = renderer.starts.low, renderer.starts.high
            torch.testing.assert_close(start[..., 3:5, 3:5], codes.clamp(low, high)[..., 3:5, 3:5])
            if border == "black":  # which is no code
                shown = vqgan.decode(vqgan.look_up(state.tokens.long())).clamp(0, 1)
                black = vqgan.encode(warp.move(shown, border="black").clamp(0, 1))
                torch.testing.assert_close(start[..., 0, :], black[..., 0, :])


@pytest.mark.parametrize("border", BORDERS)
def test_gaps_between_keyframes_take_all_of_it(renderer: FrameRenderer, planned: Planner, border: str) -> None:
    plan = planned(frames=7, handoff="keyframes", keyframe_every=3, steps=1, border=border, **ALL_AXES)
    frames, states = {frame.index: frame for frame in plan.walk()}, {}
    while len(states) < 7:
        for frame in frames.values():
            if frame.index not in states and states.keys() >= set(frame.needs):
                parent = None if frame.start is None else states[frame.start]
                ahead = None if frame.target_frame is None else states[frame.target_frame]
                states[frame.index] = renderer.render(plan, frame, parent, {}, target_state=ahead).frame.state
    frame = frames[5]
    start = renderer.starts.warm(plan, frame, states[4], states[6])
    shown = renderer.models.vqgan.decode(renderer.models.vqgan.look_up(states[4].tokens.long())).clamp(0, 1)
    alone = warp_of(frame.motion, shown).move(shown, border=border).clamp(0, 1)
    assert not torch.equal(start.goals[0].picture, alone)

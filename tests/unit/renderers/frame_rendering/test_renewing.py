"""Pictures renewed before a frame begins: colours, contrast, sharpness, noise; and frames that start from them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from renderers.frame_plan.renewal import Renewal
from renderers.frame_rendering.renderer import FrameRenderer, FrameRequest, RenderedFrame
from renderers.frame_rendering.renewing import GAIN, colours_of, detail_of, grain, reference_of, renewed
from renderers.frame_rendering.state import FrameState
from renderers.pictures.lab import lab, rgb
from renderers.randomness import generator
from tests.helpers.frames import IMAGES, chain, first
from tests.helpers.random_model import Planner


def scene(seed: int, low: float = 0.3, high: float = 0.7, size: int = 48) -> torch.Tensor:
    """A smooth picture `(1, 3, size, size)`."""
    coarse = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    return low + (high - low) * torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")


def chance() -> torch.Generator:
    return generator(1, 2, 0, "renew")


def test_lab_and_back_is_where_it_was() -> None:
    colours = torch.rand(10_000, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(rgb(lab(colours)), colours, atol=2e-4, rtol=0)
    ends = torch.tensor([[0.0, 0, 0], [1, 1, 1], [1e-3, 0, 0.01], [1, 0, 0], [0, 0, 1]])
    torch.testing.assert_close(rgb(lab(ends)), ends, atol=2e-4, rtol=0)


def test_colours_at_1_have_the_moments_of_the_reference() -> None:
    reference = colours_of(scene(1, 0.35, 0.7))
    picture = scene(1, 0.35, 0.7) * torch.tensor([0.9, 1.0, 1.1]).view(1, 3, 1, 1) - 0.06
    assert float((colours_of(picture) - reference).abs().max()) > 3
    found = colours_of(renewed(picture, Renewal(colours=1.0), reference, chance()))
    assert float((found - reference).abs().max()) < 0.5
    half = colours_of(renewed(picture, Renewal(colours=0.5), reference, chance()))
    torch.testing.assert_close(half[:3], (reference + colours_of(picture))[:3] / 2, atol=0.5, rtol=0)


def test_a_spread_changes_by_a_quarter_at_most() -> None:
    flat, rich = scene(1, 0.48, 0.52), scene(1, 0.1, 0.9)
    for picture, reference, ratio in ((flat, rich, 1.25), (rich, flat, 0.8)):
        found = colours_of(renewed(picture, Renewal(colours=1.0), colours_of(reference), chance()))
        torch.testing.assert_close(found[3:] / colours_of(picture)[3:], torch.full((3,), ratio), atol=0.02, rtol=0)


def test_black_beyond_the_border_is_no_colour_of_the_picture() -> None:
    reference, picture, seen = colours_of(scene(1)), scene(1), torch.ones(1, 1, 48, 48)
    picture[..., :12], seen[..., :12] = 0, 0
    found = renewed(picture, Renewal(colours=1.0), reference, chance(), seen)
    assert float((found - picture)[..., 12:].abs().mean()) < 0.02
    assert float((renewed(picture, Renewal(colours=1.0), reference, chance()) - picture)[..., 12:].abs().mean()) > 0.05


def test_contrast_and_sharpness_are_what_they_say() -> None:
    picture = scene(3)
    torch.testing.assert_close(renewed(picture, Renewal(contrast=1.2), None, chance()), (picture - 0.5) * 1.2 + 0.5)
    edge = torch.full((1, 3, 16, 16), 0.4)
    edge[..., 8:] = 0.6
    sharp = renewed(edge, Renewal(sharpen=1.0), None, chance())
    torch.testing.assert_close(sharp[..., :5], edge[..., :5])  # even ground stays as it is
    assert float(sharp[0, 0, 8, 7]) < 0.4 < 0.6 < float(sharp[0, 0, 8, 8])
    torch.testing.assert_close(sharp.mean(), edge.mean())
    # by as many pixels as the picture is larger
    large = torch.full((1, 3, 1024, 1024), 0.4)
    large[..., 512:] = 0.6
    moved = (renewed(large, Renewal(sharpen=1.0), None, chance()) - large)[0, 0, 500].abs() > 1e-4
    assert 9 <= int(moved.sum()) <= 14  # three deviations of two pixels at each side


def blurred(picture: torch.Tensor, times: int = 1) -> torch.Tensor:
    """By a box of three pixels, so many times."""
    for _ in range(times):
        padded = torch.nn.functional.pad(picture, (1, 1, 1, 1), mode="replicate")
        picture = torch.nn.functional.avg_pool2d(padded, 3, stride=1)
    return picture


def test_how_sharp_a_picture_is_is_the_mean_length_of_its_slopes() -> None:
    ramp = torch.linspace(0, 0.47, 48).expand(1, 3, 48, 48)  # a hundredth a pixel
    assert float(detail_of(ramp)) == pytest.approx(0.01, rel=1e-3)
    assert float(detail_of(ramp.transpose(2, 3))) == pytest.approx(0.01, rel=1e-3)
    half = torch.zeros(1, 1, 48, 48)
    half[..., :23] = 1  # what lies beside the edge sees it
    steep = torch.cat([ramp[..., :24], ramp[..., :24] * 3], dim=-1)
    assert float(detail_of(steep, half)) == pytest.approx(0.01, rel=1e-3)
    assert reference_of(ramp, detailed=False).shape == (6,)
    assert float(reference_of(ramp, detailed=True)[6]) == float(detail_of(ramp))


@pytest.mark.parametrize("softer", [True, False])
def test_detail_at_1_is_as_sharp_as_the_reference(softer: bool) -> None:
    picture = blurred(torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(1)) * 0.4 + 0.3, 2)
    other = picture + (-0.1 if softer else 0.1) * (picture - blurred(picture))
    reference, steady = reference_of(picture, detailed=True), Renewal(detail=1.0)
    # the frame before came out as it should: this one begins as it should, too
    found = renewed(other, steady, reference, chance(), None, picture)
    assert float(detail_of(found)) == pytest.approx(float(reference[6]), rel=0.01)
    half = renewed(other, Renewal(detail=0.5), reference, chance(), None, picture)
    between = float(detail_of(other) * reference[6]) ** 0.5
    assert float(detail_of(half)) == pytest.approx(between, rel=0.01)
    torch.testing.assert_close(found.mean(), other.mean(), atol=2e-3, rtol=0)  # no other brightness


def test_what_came_out_too_soft_begins_the_next_frame_sharper_than_the_reference() -> None:
    picture = blurred(torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(2)) * 0.4 + 0.3, 2)
    before = 0.5 + (picture - 0.5) * 0.95  # by a twentieth
    reference = reference_of(picture, detailed=True)
    found = renewed(picture, Renewal(detail=1.0), reference, chance(), None, before)
    assert float(detail_of(found) / reference[6]) == pytest.approx(0.95**-GAIN, rel=0.01)


def test_detail_leaves_what_has_none() -> None:
    reference = reference_of(scene(1), detailed=True)
    for grey in (torch.full((1, 3, 16, 16), 0.5), torch.zeros(1, 3, 16, 16)):
        assert torch.equal(renewed(grey, Renewal(detail=1.0), reference, chance()), grey)
        assert torch.equal(
            renewed(scene(1), Renewal(detail=1.0), reference_of(grey, detailed=True), chance()), scene(1)
        )


@pytest.mark.parametrize("kind", ["white", "fractal"])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (64, 96), (16, 512)])
def test_noise_has_the_deviation_that_is_asked_for_and_no_mean(kind: str, height: int, width: int) -> None:
    noise = grain(kind, height, width, chance())
    assert noise.shape == (1, 3 if kind == "white" else 1, height, width)
    assert float(noise.mean()) == pytest.approx(0, abs=0.05)
    assert float(noise.std()) == pytest.approx(1, abs=0.05)
    assert torch.equal(noise, grain(kind, height, width, chance()))
    assert not torch.equal(noise, grain(kind, height, width, generator(1, 3, 0, "renew")))


def test_fractal_noise_has_spots_of_all_sizes_and_no_colour() -> None:
    picture = torch.full((1, 3, 64, 64), 0.5)
    white, fractal = (
        renewed(picture, Renewal(noise=0.1, grain=kind), None, chance())[0] for kind in ("white", "fractal")
    )
    assert float((fractal[0] - fractal[1]).abs().max()) == 0
    blurred = [torch.nn.functional.avg_pool2d(it[:1], 8).std() / it[:1].std() for it in (white, fractal)]
    assert float(blurred[0]) == pytest.approx(1 / 8, abs=0.04)
    assert float(blurred[1]) > 0.5


def test_a_renewed_picture_stays_in_bounds() -> None:
    extreme = Renewal(colours=1.0, contrast=1.5, sharpen=2.0, detail=1.0, noise=1.0)
    for picture in (torch.zeros(1, 3, 16, 16), torch.ones(1, 3, 16, 16), torch.rand(1, 3, 16, 16)):
        found = renewed(picture, extreme, reference_of(scene(1), detailed=True), chance())
        assert torch.isfinite(found).all()
        assert float(found.min()) >= 0
        assert float(found.max()) <= 1


# --- frames -----------------------------------------------------------------------------------------------------------

RENEW = {"colours": "0.8", "contrast": "1.05", "sharpen": "0.5", "detail": "0.7", "noise": "0.05"}


def test_neutral_values_draw_the_same_pictures(renderer: FrameRenderer, planned: Planner) -> None:
    camera = {"frames": 3, "zoom": "1.05"}
    neutral = {"colours": "0", "contrast": "1", "sharpen": "where(t < 9, 0, 1)", "noise": "0", "grain": "white"}
    for one, other in zip(
        chain(renderer, planned(**camera)), chain(renderer, planned(**camera, renew=neutral)), strict=True
    ):
        assert one.losses == other.losses
        assert np.array_equal(one.frame.picture, other.frame.picture)
        assert one.frame.state.to_bytes() == other.frame.state.to_bytes()


@pytest.mark.parametrize("name", RENEW)
def test_a_frame_starts_from_the_renewed_picture(renderer: FrameRenderer, planned: Planner, name: str) -> None:
    plain = planned(frames=2, zoom="1.1")
    plan = planned(frames=2, zoom="1.1", renew={name: RENEW[name]})
    state, frame = first(renderer, plain).frame.state, list(plan.walk())[1]
    one = renderer.starts.warm(plain, list(plain.walk())[1], state)
    other = renderer.starts.warm(plan, frame, state)
    assert not torch.equal(one.latent, other.latent)
    assert one.memory is not None
    assert other.memory is not None
    assert torch.equal(one.memory[0], other.memory[0])
    again = renderer.starts.warm(plan, frame, state)
    assert torch.equal(other.latent, again.latent)
    # without a move, too: it is not the latent that goes on then, but the picture
    resting = planned(frames=2, renew={name: RENEW[name]})
    still = renderer.starts.warm(resting, list(resting.walk())[1], state)
    assert not torch.equal(still.latent, state.expand(renderer.starts.low, renderer.starts.high))


def test_what_a_gap_is_held_to_is_not_renewed(renderer: FrameRenderer, planned: Planner) -> None:
    gaps = {"frames": 4, "zoom": "1.05", "handoff": "keyframes", "keyframe_every": 3}
    plan, plain = planned(**gaps, renew={"noise": "0.3"}), planned(**gaps)
    state = first(renderer, plain).frame.state
    one, other = (
        renderer.starts.warm(it, next(frame for frame in it.walk() if frame.index == 1), state, state)
        for it in (plan, plain)
    )
    (goal,), (same,) = one.goals, other.goals
    assert torch.equal(goal.picture, same.picture)
    assert not torch.equal(one.latent, other.latent)


@pytest.mark.parametrize("colours_from", ["first", "scene", "a.png"])
def test_the_colours_that_are_wanted_travel_with_the_state(
    renderer: FrameRenderer, planned: Planner, colours_from: str
) -> None:
    columns = {"frames": 5, "zoom": "1.05", "prompt": "0: a reef | 2: a fire", "crossfade": 0}
    plan = planned(IMAGES, **columns, renew={"colours": "1", "colours_from": colours_from})
    frames = chain(renderer, plan, IMAGES)
    carried = [frame.frame.state.reference for frame in frames]
    own = [colours_of(torch.from_numpy(it.frame.picture).permute(2, 0, 1)[None] / 255) for it in frames]
    if colours_from == "a.png":
        assert carried == [None] * 5
        return
    # a reference hands on none: what starts from it is held to its own picture
    expected = [None, 0, 0, 0, 0] if colours_from == "first" else [None, 0, None, 2, 2]
    for found, of in zip(carried, expected, strict=True):
        assert (found is None) == (of is None)
        if found is not None:
            torch.testing.assert_close(found, own[of], atol=0.05, rtol=0)
    assert len(plan.digests) == len(set(plan.digests))


def test_one_that_was_killed_goes_on_with_the_same_bytes(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(frames=4, zoom="1.1", border="black", prompt="0: a reef | 2: a fire", crossfade=1, renew=RENEW)
    whole = [frame.frame.to_bytes() for frame in chain(renderer, plan)]
    state = None
    for frame, expected in zip(plan.walk(), whole, strict=True):

        def killed(_: object) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            renderer.render(plan, frame, state, {}, on_step=killed)
        done = FrameRenderer(renderer.models).render(plan, frame, state, {})
        assert done.frame.to_bytes() == expected
        state = FrameState.from_bytes(done.frame.state.to_bytes())


def test_frames_together_are_what_they_are_alone(renderer: FrameRenderer, planned: Planner) -> None:
    requests = []
    for seed, (name, value) in enumerate(RENEW.items()):
        plan = planned(frames=2, zoom="1.1", seed=seed, renew={name: value})
        requests.append(FrameRequest(plan, list(plan.walk())[1], first(renderer, plan).frame.state, {}))
    for one, request in zip(renderer.render_together(requests), requests, strict=True):
        (other,) = renderer.render_together([request])
        assert isinstance(one, RenderedFrame)
        assert isinstance(other, RenderedFrame)
        np.testing.assert_allclose(one.losses, other.losses, rtol=1e-4)
        assert np.abs(one.frame.picture.astype(int) - other.frame.picture).max() <= 2


def test_a_retake_has_noise_of_its_own(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(frames=2, zoom="1.1", renew={"noise": "0.1"})
    state, frame = first(renderer, plan).frame.state, list(plan.walk())[1]
    one, other = (
        renderer.render(plan, dataclasses.replace(frame, seed=seed, steps=1), state, {}).frame.state.latent
        for seed in (None, 5)
    )
    assert not torch.equal(one, other)


def test_states_of_former_days_are_read_and_written_as_they_were(renderer: FrameRenderer, planned: Planner) -> None:
    state = first(renderer, planned()).frame.state
    assert state.reference is None
    assert b"reference" not in state.to_bytes()
    carrying = dataclasses.replace(state, reference=torch.arange(6.0))
    again = FrameState.from_bytes(carrying.to_bytes())
    assert again.reference is not None
    assert torch.equal(again.reference, torch.arange(6.0))

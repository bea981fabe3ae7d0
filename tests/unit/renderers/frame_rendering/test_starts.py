"""Where a frame starts: cold from tokens, a picture, noise or a blank sheet, or warm from the frame before."""

from __future__ import annotations

import copy
import dataclasses
import io

import numpy as np
import pytest
import torch
from PIL import Image

from renderers.form import FLAT, Wrap
from renderers.frame_plan.motion import Homography
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering.in_progress import FrameInProgress
from renderers.frame_rendering.renderer import FrameRenderer
from renderers.frame_rendering.state import FrameState, Moments
from renderers.frame_rendering.warp import warp_of
from renderers.models import Models, decode_tokens
from tests.helpers.frames import IMAGES, first, start, with_vqgan
from tests.helpers.random_model import Planner


def test_a_start_from_tokens_is_made_of_codes(renderer: FrameRenderer, planned: Planner) -> None:
    vqgan = renderer.models.vqgan
    latent = start(renderer, planned(init="tokens"))
    assert latent.shape == (1, 4, 8, 8)
    assert torch.equal(vqgan.look_up(vqgan.tokenise(latent)), latent)
    assert len(vqgan.tokenise(latent).unique()) > 16


def test_a_start_from_an_image_is_that_image_encoded(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(IMAGES, init_image="a.png")
    pixels = np.array(Image.open(io.BytesIO(IMAGES["a.png"])))
    expected = renderer.models.vqgan.encode(torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255)
    torch.testing.assert_close(start(renderer, plan, IMAGES), expected, atol=1e-5, rtol=0)


def test_blank_and_noise_are_what_they_say(models: Models, planned: Planner) -> None:
    class Recorder(torch.nn.Module):
        """An encoder that keeps what it is given."""

        def forward(self, pictures: torch.Tensor, wrap: Wrap) -> torch.Tensor:
            assert wrap == FLAT
            self.seen = (pictures + 1) / 2
            return torch.zeros(1, 8, 8, 8)

    vqgan = copy.deepcopy(models.vqgan)
    vqgan.encoder = recorder = Recorder()
    renderer = with_vqgan(models, vqgan)
    start(renderer, planned(init="blank", width=64, height=64))
    assert recorder.seen.mean() > 0.8
    neighbours = (recorder.seen[..., 1:] - recorder.seen[..., :-1]).abs().mean()
    assert 0 < neighbours < 0.05  # faint and of low frequency
    start(renderer, planned(init="noise", width=64, height=64))
    assert float(recorder.seen.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(recorder.seen.std()) == pytest.approx(12**-0.5, abs=0.02)  # uniform in [0, 1]


def test_a_warm_start_is_what_the_parent_showed_moved_in_float(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(frames=2, zoom="1.1", angle="5", translate_x="2")
    parent = first(renderer, plan).frame.state
    frame = list(plan.walk())[1]
    with torch.no_grad():
        warm = renderer.starts.warm(plan, frame, parent)
        assert warm.memory is not None
        latent, (exp_avg, exp_avg_sq, steps) = warm.latent, warm.memory
        vqgan = renderer.models.vqgan
        decoded = vqgan.decode(vqgan.look_up(parent.tokens.long())).clamp(0, 1)
        warp = warp_of(Homography.of(1.1, 5.0, 2.0, 0.0), decoded)
        torch.testing.assert_close(latent, vqgan.encode(warp.move(decoded).clamp(0, 1)), atol=1e-5, rtol=0)
    kept, squares = parent.moments.expand(torch.device("cpu"))
    torch.testing.assert_close(exp_avg, warp.move(kept, mode="bilinear"))
    assert torch.equal(exp_avg_sq, squares)
    assert steps == 3


def test_codes_that_are_moved_are_no_encoding(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(frames=2, zoom="1.1", angle="5", warm={"start": "codes"})
    parent = first(renderer, plan).frame.state
    frame = list(plan.walk())[1]
    vqgan = renderer.models.vqgan
    codes = vqgan.look_up(parent.tokens.long())
    warp = warp_of(frame.motion, vqgan.decode(codes))
    expected = warp.move(codes, mode="bilinear").clamp(renderer.starts.low, renderer.starts.high)
    torch.testing.assert_close(renderer.starts.warm(plan, frame, parent).latent, expected)


@pytest.mark.parametrize("begins", ["picture", "codes"])
def test_fitting_brings_the_decoded_latent_nearer_to_the_moved_picture(
    renderer: FrameRenderer, planned: Planner, begins: str
) -> None:
    def distance(fit: int) -> float:
        plan = planned(frames=2, zoom="1.1", angle="5", warm={"start": begins, "fit": fit, "fit_rate": 0.1})
        parent = first(renderer, plan).frame.state
        frame = list(plan.walk())[1]
        warm = renderer.starts.warm(plan, frame, parent)
        vqgan = renderer.models.vqgan
        shown = decode_tokens(vqgan, parent.tokens)
        warp = warp_of(frame.motion, shown)
        drawn = decode_tokens(vqgan, vqgan.tokenise(warm.latent))
        weight = warp.coverage(*shown.shape[-2:])
        assert not warm.latent.requires_grad
        assert bool((warm.latent >= renderer.starts.low).all() and (warm.latent <= renderer.starts.high).all())
        with torch.no_grad():
            return float(((drawn - warp.move(shown).clamp(0, 1)).square() * weight).sum() / weight.sum())

    assert distance(20) < 0.9 * distance(0)


def test_a_rate_without_steps_is_no_setting(planned: Planner) -> None:
    assert planned(frames=2, warm={"fit_rate": 0.5}).digests == planned(frames=2).digests
    assert planned(frames=2, warm={"fit": 1}).digests[0] != planned(frames=2).digests[0]


def test_without_a_move_a_frame_starts_from_its_parents_very_latent(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(frames=2)
    parent = first(renderer, plan).frame.state
    warm = renderer.starts.warm(plan, list(plan.walk())[1], parent)
    assert warm.memory is not None
    exp_avg, _, _ = warm.memory
    assert not warm.goals
    assert torch.equal(warm.latent, parent.expand(renderer.starts.low, renderer.starts.high))
    assert torch.equal(exp_avg, parent.moments.expand(torch.device("cpu"))[0])


def shapes(monkeypatch: pytest.MonkeyPatch, renderer: FrameRenderer, plan: VideoPlan) -> list[tuple[int, ...]]:
    """The latent's height and width at each step of the first frame."""
    seen: list[tuple[int, ...]] = []
    noisy = FrameInProgress.latent_to_decode

    def watched(self: FrameInProgress) -> torch.Tensor:
        seen.append(tuple(self.latent.shape[-2:]))
        return noisy(self)

    monkeypatch.setattr(FrameInProgress, "latent_to_decode", watched)
    assert first(renderer, plan, IMAGES).frame.picture.shape == (plan.row.height, plan.row.width, 3)
    return seen


def drawn(renderer: FrameRenderer, planned: Planner, init: str, seed: int = 0) -> torch.Tensor:
    """The picture that a start encodes."""
    seen: list[torch.Tensor] = []
    encode = renderer.models.vqgan.encode

    def watched(picture: torch.Tensor) -> torch.Tensor:
        seen.append(picture)
        return encode(picture)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(renderer.models.vqgan, "encode", watched)
        renderer.starts.cold(planned(init=init, width=64, height=32), {}, seed)
    return seen[0][0]


def test_a_gradient_goes_evenly_from_corner_to_corner(renderer: FrameRenderer, planned: Planner) -> None:
    picture = drawn(renderer, planned, "gradient")
    for steps in (picture.diff(dim=-1), picture.diff(dim=-2)):
        assert steps.diff(dim=-1 if steps.shape[-1] == 63 else -2).abs().max() < 1e-5
    assert picture[:, [0, 0, -1, -1], [0, -1, 0, -1]].unique().numel() == 12
    assert not torch.equal(picture, drawn(renderer, planned, "gradient", seed=1))


def test_a_fractal_has_spots_of_all_sizes_and_colours(renderer: FrameRenderer, planned: Planner) -> None:
    picture = drawn(renderer, planned, "fractal")
    assert torch.equal(picture, drawn(renderer, planned, "fractal"))
    assert not torch.equal(picture, drawn(renderer, planned, "fractal", seed=1))
    assert picture.mean() == pytest.approx(0.5, abs=0.02)
    assert 0.15 < picture.std() < 0.2
    red, green, _ = picture.flatten(1)
    assert abs(float(torch.corrcoef(torch.stack([red, green]))[0, 1])) < 0.5
    # halved again and again it keeps much of its contrast: white noise would lose half each time
    half, quarter = (torch.nn.functional.avg_pool2d(picture, side) for side in (2, 4))
    assert half.std() > 0.7 * picture.std()
    assert quarter.std() > 0.7 * half.std()


@pytest.mark.parametrize("init", ["tokens", "blank", "noise", "fractal", "gradient"])
def test_a_coarse_start_draws_at_half_the_size_first(
    monkeypatch: pytest.MonkeyPatch, renderer: FrameRenderer, planned: Planner, init: str
) -> None:
    plan = planned(steps_first=5, init=init, optimiser={"coarse": 0.4})
    assert shapes(monkeypatch, renderer, plan) == [(4, 4)] * 2 + [(8, 8)] * 3


def test_odd_sizes_are_halved_upwards_and_the_last_step_is_never_coarse(
    monkeypatch: pytest.MonkeyPatch, renderer: FrameRenderer, planned: Planner
) -> None:
    plan = planned(steps_first=2, width=36, height=28, optimiser={"coarse": 0.95})
    assert shapes(monkeypatch, renderer, plan) == [(4, 5), (7, 9)]


def test_a_picture_that_was_given_is_not_made_coarse(
    monkeypatch: pytest.MonkeyPatch, renderer: FrameRenderer, planned: Planner
) -> None:
    plan = planned(IMAGES, steps_first=2, init_image="a.png", optimiser={"coarse": 0.5})
    assert shapes(monkeypatch, renderer, plan) == [(8, 8)] * 2


def test_the_full_size_goes_on_from_the_coarse_picture(renderer: FrameRenderer, planned: Planner) -> None:
    plan, vqgan = planned(optimiser={"coarse": 0.5}), renderer.models.vqgan
    tokens = torch.arange(16).view(1, 4, 4) % len(vqgan.codebook)
    latent = vqgan.look_up(tokens)
    with torch.no_grad():
        coarse = vqgan.decode(latent).clamp(0, 1)
        large = torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bicubic").clamp(0, 1)
        torch.testing.assert_close(renderer.starts.enlarged(plan, latent).latent, vqgan.encode(large))


def move_by(renderer: FrameRenderer, before: torch.Tensor, after: FrameState) -> float:
    """How far most elements of a latent went in a frame."""
    return float((after.expand(renderer.starts.low, renderer.starts.high) - before).abs().median())


def test_a_cold_start_begins_at_the_full_rate_and_later_frames_go_on_at_the_last(
    renderer: FrameRenderer, planned: Planner
) -> None:
    plan = planned(frames=2, steps_first=1, steps=1, optimiser={"lr": 0.4, "lr_final": 0.5})
    done = first(renderer, plan).frame.state
    # Adam's first step is the learning rate, whatever the gradient
    assert move_by(renderer, start(renderer, plan), done) == pytest.approx(0.4, abs=0.02)
    fresh = Moments.of(torch.zeros(1, 4, 8, 8), torch.zeros(1, 4, 8, 8), 0)
    later = renderer.render(plan, list(plan.walk())[1], dataclasses.replace(done, moments=fresh), {}).frame.state
    assert move_by(renderer, done.expand(renderer.starts.low, renderer.starts.high), later) == pytest.approx(
        0.2, abs=0.02
    )


def test_noise_on_the_latent_is_for_cold_starts_only(renderer: FrameRenderer, planned: Planner) -> None:
    quiet, noisy = (planned(frames=2, optimiser={"latent_noise": noise}) for noise in (0, 5))
    parent = first(renderer, quiet).frame.state
    assert not torch.equal(first(renderer, noisy).frame.state.tokens, parent.tokens)
    one, other = (renderer.render(plan, list(plan.walk())[1], parent, {}).frame.state for plan in (quiet, noisy))
    assert one.to_bytes() == other.to_bytes()


def test_the_optimisers_memory_matters_to_the_next_frame(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(frames=2, optimiser={"lr": 0.5})
    parent = first(renderer, plan).frame.state
    frame = list(plan.walk())[1]
    backwards = FrameState(parent.tokens, parent.latent, parent.moments.__class__(
        -parent.moments.first, parent.moments.scale, parent.moments.second, parent.moments.steps
    ))  # fmt: skip
    one, other = (renderer.render(plan, frame, state, {}).frame.state.moments for state in (parent, backwards))
    assert not torch.equal(one.expand(torch.device("cpu"))[0], other.expand(torch.device("cpu"))[0])


@pytest.mark.parametrize("index", [0, 1])
def test_a_parent_too_many_or_too_few_is_a_mistake_of_the_caller(
    renderer: FrameRenderer, planned: Planner, index: int
) -> None:
    plan = planned(frames=2)
    frame = list(plan.walk())[index]
    parent = first(renderer, plan).frame.state if index == 0 else None
    with pytest.raises(ValueError, match=f"frame {index} (needs|takes no) state to start from"):
        renderer.render(plan, frame, parent, {})

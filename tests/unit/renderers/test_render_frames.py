"""The frame loop on random weights: what it starts from, what it keeps, and how it ends badly."""

from __future__ import annotations

import copy
import dataclasses
import io
import math
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from renderers.camera import camera_matrix, move
from renderers.errors import BadInput, NonFiniteLoss, OutOfMemory, Stopped
from renderers.frame_object import FrameObject
from renderers.frame_renderer import FrameRenderer, RenderedFrame, StepProgress, _read_picture
from renderers.frame_state import FrameState, Moments
from renderers.memory import memory_errors
from renderers.models import VQGAN, Models
from renderers.optimiser import LatentAdam
from renderers.plan import CameraMove, VideoPlan
from tests.random_model import Planner


def encoded(pixels: np.ndarray, format: str = "PNG", **options: Any) -> bytes:
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, format=format, **options)
    return target.getvalue()


def picture_bytes(width: int = 32, height: int = 32, seed: int = 0) -> bytes:
    return encoded(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


IMAGES = {"a.png": picture_bytes(), "b.png": picture_bytes(seed=1)}


def chain(renderer: FrameRenderer, plan: VideoPlan, images: dict[str, bytes] | None = None) -> list[RenderedFrame]:
    rendered: list[RenderedFrame] = []
    for frame in plan.walk():
        parent = rendered[-1].frame.state if rendered else None
        rendered.append(renderer.render(plan, frame, parent, images or {}))
    return rendered


def first(renderer: FrameRenderer, plan: VideoPlan, images: dict[str, bytes] | None = None) -> RenderedFrame:
    return renderer.render(plan, next(plan.walk()), None, images or {})


# --- what a frame is --------------------------------------------------------------------------------------------------


def test_a_frame_holds_picture_tokens_moments_and_provenance(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(width=40, height=24, frames=2)
    done, later = chain(renderer, plan)
    assert done.frame.picture.shape == (24, 40, 3)
    assert done.frame.picture.dtype == np.uint8
    assert done.frame.state.tokens.shape == (1, 6, 10)
    assert done.frame.state.tokens.dtype == torch.int32
    assert len(done.losses) == plan.row.steps_first == 3
    assert len(later.losses) == plan.row.steps == 2
    assert (done.frame.state.moments.steps, later.frame.state.moments.steps) == (3, 5)
    told = later.frame.provenance
    assert (told["digest"], told["parent"], told["frame"]) == (plan.digests[1], plan.digests[0], 1)
    assert told["loss"] == later.losses[-1]
    assert told["row"]["prompt"] == "a coral reef"
    assert FrameObject.from_bytes(later.frame.to_bytes(), plan.digests[1]).provenance == told


def test_the_tokens_determine_the_picture(renderer: FrameRenderer, planned: Planner) -> None:
    frame = first(renderer, planned()).frame
    picture = renderer.models.vqgan.decode(renderer.models.vqgan.look_up(frame.state.tokens)).clamp(0, 1)
    assert np.array_equal((picture[0] * 255).round().byte().permute(1, 2, 0).numpy(), frame.picture)


def test_the_latent_never_leaves_the_range_of_the_codebook(renderer: FrameRenderer, planned: Planner) -> None:
    """Adam's first step moves every element by the learning rate; one of 10 would carry all of them far out."""
    state = first(renderer, planned(steps_first=1, optimiser={"lr": 10})).frame.state
    latent = state.expand(renderer._low, renderer._high)
    at_a_bound = torch.isclose(latent, renderer._low) | torch.isclose(latent, renderer._high)
    assert float(at_a_bound.float().mean()) > 0.99
    assert set(state.latent.unique().tolist()) <= {0, 255}


# --- the same again ---------------------------------------------------------------------------------------------------


def test_the_same_row_gives_the_same_bytes_whatever_went_before(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(frames=3, zoom="1.05", optimiser={"latent_noise": 0.5})
    once = [done.frame.to_bytes() for done in chain(renderer, plan)]
    first(renderer, planned(seed=5, prompt="something else", width=64))
    torch.manual_seed(99)
    assert [done.frame.to_bytes() for done in chain(FrameRenderer(renderer.models), plan)] == once


def test_a_chain_that_goes_on_from_storage_is_the_chain_that_never_stopped(
    renderer: FrameRenderer, planned: Planner
) -> None:
    plan = planned(frames=4, zoom="1.05", angle="3")
    whole = [done.frame.to_bytes() for done in chain(renderer, plan)]
    frames = tuple(plan.walk())
    for index in (1, 2, 3):
        parent = FrameObject.from_bytes(whole[index - 1], plan.digests[index - 1]).state
        again = FrameRenderer(renderer.models).render(plan, frames[index], parent, {})
        assert again.frame.to_bytes() == whole[index]


def test_the_number_of_threads_is_the_models_not_the_callers(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(width=64, height=64)
    once = first(renderer, plan).frame.to_bytes()
    torch.set_num_threads(3)
    assert first(renderer, plan).frame.to_bytes() == once
    assert torch.get_num_threads() == renderer.models.threads == 1


def test_another_seed_is_another_picture(renderer: FrameRenderer, planned: Planner) -> None:
    for init in ("tokens", "noise", "blank"):
        one, other = (first(renderer, planned(seed=seed, init=init)).frame.state.tokens for seed in (0, 1))
        assert not torch.equal(one, other)


# --- where a frame starts ---------------------------------------------------------------------------------------------


def start(renderer: FrameRenderer, plan: VideoPlan, images: dict[str, bytes] | None = None) -> torch.Tensor:
    with torch.no_grad():
        return renderer._cold_start(plan, images or {}, plan.row.seed)[0]


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

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
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


def test_a_warm_start_is_the_parent_moved_in_float(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(frames=2, zoom="1.1", angle="5", translate_x="2")
    parent = first(renderer, plan).frame.state
    frame = list(plan.walk())[1]
    with torch.no_grad():
        latent, (exp_avg, exp_avg_sq, steps) = renderer._warm_start(plan, frame, parent)
        vqgan = renderer.models.vqgan
        matrix = camera_matrix(CameraMove(1.1, 5.0, 2.0, 0.0), 32, 32)
        decoded = vqgan.decode(parent.expand(renderer._low, renderer._high)).clamp(0, 1)
        torch.testing.assert_close(latent, vqgan.encode(move(decoded, matrix).clamp(0, 1)), atol=1e-5, rtol=0)
    kept, squares = parent.moments.expand(torch.device("cpu"))
    torch.testing.assert_close(exp_avg, move(kept, matrix, mode="bilinear"))
    assert torch.equal(exp_avg_sq, squares)
    assert steps == 3


def test_without_a_move_a_frame_starts_from_its_parents_very_latent(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(frames=2)
    parent = first(renderer, plan).frame.state
    latent, (exp_avg, _, _) = renderer._warm_start(plan, list(plan.walk())[1], parent)
    assert torch.equal(latent, parent.expand(renderer._low, renderer._high))
    assert torch.equal(exp_avg, parent.moments.expand(torch.device("cpu"))[0])


def move_by(renderer: FrameRenderer, before: torch.Tensor, after: FrameState) -> float:
    """How far most elements of a latent went in a frame."""
    return float((after.expand(renderer._low, renderer._high) - before).abs().median())


def test_a_cold_start_begins_at_the_full_rate_and_later_frames_go_on_at_the_last(
    renderer: FrameRenderer, planned: Planner
) -> None:
    plan = planned(frames=2, steps_first=1, steps=1, optimiser={"lr": 0.4, "lr_final": 0.5})
    done = first(renderer, plan).frame.state
    # Adam's first step is the learning rate, whatever the gradient
    assert move_by(renderer, start(renderer, plan), done) == pytest.approx(0.4, abs=0.02)
    fresh = Moments.of(torch.zeros(1, 4, 8, 8), torch.zeros(1, 4, 8, 8), 0)
    later = renderer.render(plan, list(plan.walk())[1], dataclasses.replace(done, moments=fresh), {}).frame.state
    assert move_by(renderer, done.expand(renderer._low, renderer._high), later) == pytest.approx(0.2, abs=0.02)


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
    with pytest.raises(ValueError, match=f"frame {index} (needs|takes no) parent state"):
        renderer.render(plan, frame, parent, {})


# --- what pulls -------------------------------------------------------------------------------------------------------


def loss_of(renderer: FrameRenderer, planned: Planner, **columns: Any) -> float:
    """Loss of the first step, on the same start and the same cutouts."""
    return first(renderer, planned(IMAGES, steps_first=1, **columns), IMAGES).losses[0]


def test_the_loss_is_the_sum_over_prompts_of_every_kind(renderer: FrameRenderer, planned: Planner) -> None:
    text, picture, noise = {"prompt": "a reef"}, [{"image": "a.png", "weight": 0.5}], [{"seed": 4, "weight": 0.25}]
    one = loss_of(renderer, planned, **text)
    with_picture = loss_of(renderer, planned, **text, image_prompts=picture)
    with_noise = loss_of(renderer, planned, **text, noise_prompts=noise)
    every = loss_of(renderer, planned, **text, image_prompts=picture, noise_prompts=noise)
    assert with_picture > one
    assert with_noise > one
    assert every - one == pytest.approx((with_picture - one) + (with_noise - one), rel=1e-4)
    assert loss_of(renderer, planned, prompt="a reef:2") == pytest.approx(2 * one, rel=1e-5)
    assert loss_of(renderer, planned, prompt="a reef:-1") == pytest.approx(-one, rel=1e-5)
    assert loss_of(renderer, planned, prompt="a reef | a reef:-1") == pytest.approx(0, abs=1e-5)


def test_regularisers_add_to_the_loss(renderer: FrameRenderer, planned: Planner) -> None:
    plain = loss_of(renderer, planned)
    plan = planned(steps_first=1)
    latent = start(renderer, plan)
    z_decay = loss_of(renderer, planned, loss={"z_decay": 3}) - plain
    assert z_decay == pytest.approx(
        3 / 2 * float((latent**2).mean()), rel=1e-4
    )  # iw / (2 (2 i + 1)) mean(z^2) at i = 0
    vqgan = renderer.models.vqgan
    picture = vqgan.decode(vqgan.quantise(latent)).clamp(0, 1)
    neighbours = picture.diff(dim=-1).abs().mean() + picture.diff(dim=-2).abs().mean()
    assert loss_of(renderer, planned, loss={"tv": 2}) - plain == pytest.approx(2 * float(neighbours), rel=1e-4)
    assert loss_of(renderer, planned, loss={"contrast": 1}) > plain
    # contrast is for what the picture should show, never for what it should not
    away = loss_of(renderer, planned, prompt="a reef:-1")
    assert loss_of(renderer, planned, prompt="a reef:-1", loss={"contrast": 1}) == pytest.approx(away)


def test_every_step_and_every_frame_sees_cutouts_of_its_own(renderer: FrameRenderer, planned: Planner) -> None:
    """At next to no learning rate and without noise, only the cutouts tell one step from the next."""
    plan = planned(frames=2, steps_first=3, steps=3, cutouts={"noise": 0}, optimiser={"lr": 1e-9})
    one, other = (done.losses for done in chain(renderer, plan))
    assert len({round(loss, 6) for loss in (*one, *other)}) == 6
    still = {
        "affine_probability": 0, "perspective_probability": 0, "jitter_probability": 0, "erase_probability": 0,
        "noise": 0,
    }  # fmt: skip
    losses = first(renderer, planned(steps_first=3, cutouts=still, optimiser={"lr": 1e-9})).losses
    assert losses == pytest.approx([losses[0]] * 3, abs=1e-5)


def test_steps_lower_the_loss(renderer: FrameRenderer, planned: Planner) -> None:
    quiet = {
        "number": 8, "affine_probability": 0, "perspective_probability": 0, "jitter_probability": 0,
        "erase_probability": 0, "noise": 0,
    }  # fmt: skip
    losses = first(renderer, planned(steps_first=40, cutouts=quiet)).losses
    assert min(losses[-5:]) < losses[0] - 0.02
    losses = first(renderer, planned(prompt="a coral reef:-1", steps_first=40, cutouts=quiet)).losses
    assert min(losses[-5:]) < losses[0] - 0.02


def test_several_perceptors_are_averaged(models: Models, renderer: FrameRenderer, planned: Planner) -> None:
    two = FrameRenderer(dataclasses.replace(models, perceptors=models.perceptors * 2))
    quiet = {"affine_probability": 0, "perspective_probability": 0, "jitter_probability": 0, "erase_probability": 0,
             "noise": 0}  # fmt: skip
    assert loss_of(two, planned, cutouts=quiet) == pytest.approx(loss_of(renderer, planned, cutouts=quiet), rel=1e-5)
    # with augmentation they see different cutouts
    assert loss_of(two, planned) != pytest.approx(loss_of(renderer, planned), rel=1e-5)


# --- progress and bad ends --------------------------------------------------------------------------------------------


def test_every_step_reports(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(steps_first=4)
    seen: list[StepProgress] = []
    done = renderer.render(plan, next(plan.walk()), None, {}, on_step=seen.append)
    assert [(step.step, step.steps) for step in seen] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert tuple(step.loss for step in seen) == done.losses
    assert 0 < seen[0].seconds <= seen[-1].seconds <= done.seconds


@pytest.mark.parametrize("after", [0, 2])
def test_a_stop_between_steps_keeps_nothing(renderer: FrameRenderer, planned: Planner, after: int) -> None:
    plan = planned(steps_first=5)
    seen: list[StepProgress] = []
    with pytest.raises(Stopped, match=rf"stopped in frame 0 of video 'reef' before step {after + 1}"):
        renderer.render(plan, next(plan.walk()), None, {}, on_step=seen.append, should_stop=lambda: len(seen) == after)
    assert len(seen) == after


def with_vqgan(models: Models, vqgan: VQGAN) -> FrameRenderer:
    return FrameRenderer(dataclasses.replace(models, vqgan=vqgan))


def test_a_loss_that_is_no_number_is_an_error(models: Models, planned: Planner) -> None:
    vqgan = copy.deepcopy(models.vqgan)
    vqgan.decoder.conv_out.weight.data[0] = math.nan
    with pytest.raises(NonFiniteLoss, match=r"frame 0 of video 'reef': the loss became nan at step 1: try a smaller"):
        first(with_vqgan(models, vqgan), planned())


def test_a_latent_that_is_no_number_is_an_error_though_the_loss_is_one(models: Models, planned: Planner) -> None:
    """The last step's gradient shows in no loss: without a check, garbage would be committed."""
    vqgan = copy.deepcopy(models.vqgan)
    # so steep that its pictures saturate, which the clamp mends, and its gradient overflows, which nothing mends
    vqgan.decoder.conv_out.weight.data.abs_().mul_(1e38)
    vqgan.decoder.norm_out.weight.data.mul_(1e6)
    with pytest.raises(NonFiniteLoss, match=r"frame 0 of video 'reef': the latent became not finite at the last step"):
        first(with_vqgan(models, vqgan), planned(steps_first=1))


# --- pictures of the row ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data", [b"", b"not a picture", picture_bytes()[:-40], encoded(np.zeros((9, 9, 3), np.uint8), "JPEG")[:-30]]
)
@pytest.mark.parametrize("columns", [{"init_image": "a.png"}, {"image_prompts": [{"image": "a.png"}]}])
def test_a_picture_that_cannot_be_read_is_bad_input(
    renderer: FrameRenderer, planned: Planner, data: bytes, columns: dict[str, Any]
) -> None:
    with pytest.raises(BadInput, match=r"'a.png' is not a picture that can be read .*give PNG, JPEG, WebP or GIF"):
        first(renderer, planned({"a.png": data}, **columns), {"a.png": data})


def test_a_picture_of_absurd_size_is_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # rather than a file of 180 megapixels
    with pytest.raises(BadInput, match="exceeds limit"):
        _read_picture({"a.png": picture_bytes()}, "a.png", 32, 32)


def test_a_wide_picture_covers_the_frame_and_is_cut_in_the_middle() -> None:
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 20:40, 0] = 255  # the middle third is red
    pixels[:, :20, 1] = pixels[:, 40:, 1] = 255
    seen = _read_picture({"a": encoded(pixels)}, "a", 40, 40)
    assert seen.shape == (1, 3, 40, 40)
    assert float(seen[0, 0, :, 3:-3].min()) > 0.9
    assert float(seen[0, 1, :, 3:-3].max()) < 0.1


@pytest.mark.parametrize(("width", "height"), [(33, 17), (7, 91), (64, 64), (300, 200)])
def test_every_picture_fills_the_frame(width: int, height: int) -> None:
    white = encoded(np.full((height, width, 3), 255, np.uint8))
    assert (_read_picture({"a": white}, "a", 48, 32) == 1).all()


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_pictures_of_any_mode_are_read(mode: str) -> None:
    target = io.BytesIO()
    Image.new("RGB", (8, 8), (255, 255, 255)).convert(mode).save(target, format="TIFF")
    torch.testing.assert_close(_read_picture({"a": target.getvalue()}, "a", 8, 8), torch.ones(1, 3, 8, 8))


def test_a_photograph_stands_upright() -> None:
    """A camera held upright writes its sensor's rows as they are, and tag 274: turn me."""
    exif = Image.Exif()
    exif[274] = 6  # the viewer turns it a quarter clockwise
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:, :8] = 255  # white on the left of the sensor is white on top of the picture
    seen = _read_picture({"a": encoded(pixels, exif=exif)}, "a", 16, 16)
    assert float(seen[0, :, :8].min()) == 1
    assert float(seen[0, :, 8:].max()) == 0


# --- when memory is short ---------------------------------------------------------------------------------------------


def test_fewer_cutouts_at_once_draw_the_same_but_for_rounding(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(loss={"contrast": 0.5}, cutouts={"number": 5})
    frame = next(plan.walk())
    whole, parts = (renderer.render(plan, frame, None, {}, cutouts_at_once=n) for n in (None, 2))
    assert parts.losses == pytest.approx(whole.losses, rel=1e-4)
    assert np.abs(whole.frame.picture.astype(int) - parts.frame.picture).mean() < 1


def test_another_seed_is_another_picture_always_the_same_and_told(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned()
    frame = next(plan.walk())
    once, again = (renderer.render(plan, frame, None, {}, reseeded=True).frame for _ in range(2))
    assert once.to_bytes() == again.to_bytes()
    assert not np.array_equal(once.picture, first(renderer, plan).frame.picture)
    assert once.provenance["seed"] != plan.row.seed


def test_an_allocation_that_fails_says_what_does_not_fit() -> None:
    said = r"frame 3 does not fit into memory: .*allocate"
    with pytest.raises(OutOfMemory, match=said), memory_errors("frame 3", torch.device("cpu")):
        torch.empty(2**60)
    with pytest.raises(RuntimeError, match="another"), memory_errors("frame 3", torch.device("cpu")):
        raise RuntimeError("another")


# --- the optimiser ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resumed", [False, True])
def test_the_latents_adam_is_adam(resumed: bool) -> None:
    chance = torch.Generator().manual_seed(0)
    start, gradients = torch.randn(1, 3, 4, 5, generator=chance), torch.randn(7, 1, 3, 4, 5, generator=chance)
    theirs = start.clone().requires_grad_(True)
    adam = torch.optim.Adam([theirs], lr=0.1, betas=(0.8, 0.95))
    ours = start.clone()
    own = LatentAdam(ours, beta1=0.8, beta2=0.95, even=False)
    for number, gradient in enumerate(gradients):
        if resumed and number == 3:
            before, own = own, LatentAdam(ours, beta1=0.8, beta2=0.95, even=False)
            own.resume(before.first, before.second, before.steps)
        theirs.grad = gradient.clone()
        adam.step()
        own.step(gradient, 0.1)
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_an_even_optimiser_hardly_moves_what_nothing_pulls_at() -> None:
    gradient = torch.zeros(1, 2, 4, 4)
    gradient[..., 0] = 1.0
    gradient[..., 3] = 1e-4
    moved = {}
    for even in (False, True):
        latent = torch.zeros(1, 2, 4, 4)
        LatentAdam(latent, beta1=0.9, beta2=0.99, even=even).step(gradient, 0.1)
        moved[even] = latent.abs().amax(dim=(0, 1, 2))
    assert moved[False].tolist() == pytest.approx([0.1, 0, 0, 0.1], rel=1e-3)
    assert moved[True].tolist() == pytest.approx([0.2, 0, 0, 2e-5], rel=1e-3)  # rms of the whole is the rate

"""bfloat16 in decoder and perceptors, float32 around them."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from renderers.frame_rendering.renderer import FrameRenderer
from renderers.hardware import step_dtype
from renderers.models import Models, load_models
from renderers.registry import ModelEntry
from tests.helpers.random_model import Planner


@pytest.fixture(scope="module")
def half(entry: ModelEntry) -> Models:
    return load_models(entry, device="cpu", precision="bfloat16")


def latents(models: Models) -> torch.Tensor:
    tokens = torch.randint(len(models.vqgan.codebook), (1, 8, 8), generator=torch.Generator().manual_seed(0))
    return models.vqgan.look_up(tokens)


def test_a_cpu_computes_in_float32_unless_another_precision_is_given() -> None:
    cpu = torch.device("cpu")
    assert step_dtype(cpu) == step_dtype(cpu, "float32") == torch.float32
    assert step_dtype(cpu, "bfloat16") == torch.bfloat16


def test_what_must_stay_float32_does(half: Models) -> None:
    vqgan, perceptor = half.vqgan, half.perceptors[0]
    assert vqgan.dtype == torch.bfloat16
    assert {p.dtype for p in vqgan.decoder.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in perceptor.clip.visual.parameters()} == {torch.bfloat16}
    rest = [p for name, p in vqgan.named_parameters() if not name.startswith(("decoder.", "post_quant_conv."))]
    rest += [p for name, p in perceptor.named_parameters() if not name.startswith("clip.visual.")]
    assert {p.dtype for p in rest} == {torch.float32}

    z = latents(half)
    pictures = vqgan.decode(vqgan.quantise(z))
    seen = perceptor.embed_pictures(F.interpolate(pictures, size=perceptor.side))
    assert vqgan.encode(pictures).dtype == pictures.dtype == seen.dtype == torch.float32
    torch.testing.assert_close(seen.norm(dim=1), torch.ones(1), atol=1e-6, rtol=0)


def test_tokens_do_not_depend_on_the_precision(models: Models, half: Models) -> None:
    z = latents(models) + 0.3 * torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    assert torch.equal(models.vqgan.tokenise(z), half.vqgan.tokenise(z))


def test_pictures_embeddings_and_gradients_are_close_to_those_of_float32(models: Models, half: Models) -> None:
    results = []
    for each in (models, half):
        z = latents(each).requires_grad_(True)
        pictures = each.vqgan.decode(each.vqgan.quantise(z))
        perceptor = each.perceptors[0]
        seen = perceptor.embed_pictures(F.interpolate(pictures, size=perceptor.side))
        target = F.normalize(torch.ones(seen.shape[1]), dim=0)
        (gradient,) = torch.autograd.grad((seen @ target).sum(), z)
        results.append((pictures.detach(), seen.detach(), gradient))
    (full, full_seen, full_gradient), (near, near_seen, near_gradient) = results
    span = float(full.max() - full.min())
    psnr = 10 * math.log10(span**2 / float((full - near).square().mean()))
    assert not torch.equal(full, near)
    assert psnr > 40
    assert float((full_seen * near_seen).sum()) > 0.999
    assert float(F.cosine_similarity(full_gradient.flatten(), near_gradient.flatten(), dim=0)) > 0.98


def test_a_frame_in_bfloat16_falls_as_one_in_float32(models: Models, half: Models, planned: Planner) -> None:
    plan = planned(steps_first=12)
    losses = [FrameRenderer(each).render(plan, next(plan.walk()), None, {}).losses for each in (models, half)]
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], abs=0.05)


def test_settled_norms_are_those_of_the_codes_and_let_go_of_before_codes_learn(entry: ModelEntry) -> None:
    vqgan = load_models(entry, device="cpu").vqgan
    z = latents(load_models(entry, device="cpu"))
    tokens = vqgan.tokenise(z)
    vqgan.train()
    vqgan.codebook.data.copy_(vqgan.codebook.data.roll(1, dims=0) * 2)
    vqgan.codebook.data.div_(2)
    assert torch.equal(vqgan.tokenise(z), (tokens + 1) % len(vqgan.codebook))

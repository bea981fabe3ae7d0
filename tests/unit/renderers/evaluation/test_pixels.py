"""Bare pixels in a VQGAN's place: the same interface, nothing lost; and under which names pictures are kept."""

from __future__ import annotations

from pathlib import Path

import torch

from renderers.evaluation.pixels import Pixels
from renderers.evaluation.prompts import EvaluationPrompt
from renderers.evaluation.recognition import Variant, picture_paths, plan_of
from tests.helpers.random_model import write_model


def test_a_picture_of_8_bits_comes_back_as_it_was() -> None:
    pixels = Pixels()
    picture = torch.randint(0, 256, (2, 3, 5, 7), generator=torch.Generator().manual_seed(0)) / 255
    tokens = pixels.tokenise(pixels.encode(picture))
    assert tokens.shape == (2, 5, 7)
    torch.testing.assert_close(pixels.decode(pixels.look_up(tokens)), picture, rtol=0, atol=1e-6)


def test_latents_have_the_spread_and_bounds_that_the_renderer_takes_from_a_codebook() -> None:
    pixels = Pixels()
    assert abs(float(pixels.codebook.std()) - 1) < 0.01
    low, high = pixels.codebook.aminmax(dim=0)
    ends = pixels.decode(torch.stack([low, high]).view(2, 3, 1, 1)).flatten(1)
    torch.testing.assert_close(ends, torch.tensor([[0.0] * 3, [1.0] * 3]), rtol=0, atol=1e-6)


def test_nothing_is_snapped_and_the_gradient_passes() -> None:
    latent = torch.full((1, 3, 2, 2), 0.1234, requires_grad=True)
    Pixels().decode(Pixels().quantise(latent)).sum().backward()
    assert latent.grad is not None
    assert bool((latent.grad > 0).all())


def test_names_of_pictures_carry_all_that_decides_them(tmp_path: Path) -> None:
    entry = write_model(tmp_path)
    prompts = [EvaluationPrompt("a dog", "dog"), EvaluationPrompt("an apple", "apple")]
    paths = picture_paths(Variant("model", entry), prompts, (0, 1), tmp_path)
    assert sorted(paths) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert len(set(paths.values())) == 4
    slower = entry.model_copy(update={"defaults": entry.defaults | {"steps_first": 4}})
    other = picture_paths(Variant("model", slower), prompts, (0, 1), tmp_path)
    assert not set(paths.values()) & set(other.values())
    bare = picture_paths(Variant("bare", entry, without_vqgan=True), prompts, (0, 1), tmp_path)
    assert not set(paths.values()) & set(bare.values())


def test_without_tokens_a_search_that_starts_from_tokens_starts_from_noise(tmp_path: Path) -> None:
    entry = write_model(tmp_path)
    entry = entry.model_copy(update={"defaults": entry.defaults | {"init": "tokens"}})
    assert plan_of(Variant("model", entry), "a dog", 0).row.init == "tokens"
    assert plan_of(Variant("bare", entry, without_vqgan=True), "a dog", 0).row.init == "noise"

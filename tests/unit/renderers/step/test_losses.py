import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from renderers.pictures.lab import lab
from renderers.step.losses import (
    ClampWithGradient,
    colourfulness,
    concept_contrast,
    palette_distance,
    prompt_distance,
    spherical_distance,
    squared_variation,
    total_variation,
)


def unit(*shape: int, seed: int = 0) -> Tensor:
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=-1)


# --- spherical distance -----------------------------------------------------------------------------------------------


@given(st.floats(0.01, math.pi - 0.01))
def test_the_distance_is_half_the_square_of_the_angle(angle: float) -> None:
    """`2 asin(|a - b| / 2)^2` and `acos(a . b)^2 / 2` are one function."""
    a = torch.tensor([1.0, 0.0], dtype=torch.float64)
    b = torch.tensor([math.cos(angle), math.sin(angle)], dtype=torch.float64)
    assert float(spherical_distance(a, b)) == pytest.approx(angle**2 / 2, rel=1e-6)
    assert float(spherical_distance(a, b)) == pytest.approx(float(torch.acos(a @ b)) ** 2 / 2, rel=1e-6)


def test_the_distance_broadcasts_over_cutouts() -> None:
    a, b = unit(5, 7), unit(7, seed=1)
    torch.testing.assert_close(spherical_distance(a, b), torch.acos(a @ b) ** 2 / 2)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_value_and_gradient_are_finite_where_vectors_meet_and_where_they_oppose(sign: int, dtype: torch.dtype) -> None:
    a = unit(16).to(dtype).requires_grad_(True)
    distance = spherical_distance(a, sign * a.detach())
    (gradient,) = torch.autograd.grad(distance, a)
    assert gradient.isfinite().all()
    assert float(distance.detach()) == pytest.approx(0 if sign == 1 else math.pi**2 / 2, abs=0.01)


# --- prompts ----------------------------------------------------------------------------------------------------------


def after_a_step(weight: float, stop: float = -math.inf) -> tuple[float, float, float]:
    """Distance to a target before and after one step down the gradient, and the gradient's size."""
    cutouts, target = unit(4, 8).requires_grad_(True), unit(8, seed=1)
    before = spherical_distance(cutouts, target).detach().mean()
    (gradient,) = torch.autograd.grad(prompt_distance(cutouts, target, weight, stop), cutouts)
    after = spherical_distance(F.normalize(cutouts - 0.1 * gradient, dim=-1), target).detach().mean()
    return float(before), float(after), float(gradient.norm())


def test_a_positive_weight_pulls_and_a_negative_one_pushes_away() -> None:
    before, after, _ = after_a_step(1.0)
    assert after < before
    before, after, _ = after_a_step(-1.0)
    assert after > before


@given(st.floats(-50, 50))
def test_value_and_gradient_grow_with_the_weight(weight: float) -> None:
    cutouts, target = unit(4, 8), unit(8, seed=1)
    once = float(spherical_distance(cutouts, target).mean())
    assert float(prompt_distance(cutouts, target, weight, -math.inf)) == pytest.approx(weight * once, rel=1e-9)
    assert after_a_step(weight)[2] == pytest.approx(abs(weight) * after_a_step(1.0)[2], rel=1e-9)


@pytest.mark.parametrize("weight", [1.0, 0.3, -1.0, -2.5])
def test_below_its_stop_a_prompt_keeps_its_value_and_loses_its_gradient(weight: float) -> None:
    cutouts, target = unit(6, 8).requires_grad_(True), unit(8, seed=1)
    signed = spherical_distance(cutouts, target) * math.copysign(1, weight)
    stop = float(signed.detach().mean())  # some cutouts are below it, some above
    loss = prompt_distance(cutouts, target, weight, stop)
    assert float(loss.detach()) == pytest.approx(float(abs(weight) * signed.detach().mean()))
    (gradient,) = torch.autograd.grad(loss, cutouts)
    held = signed.detach() < stop
    assert 0 < int(held.sum()) < 6
    assert (gradient[held] == 0).all()
    assert (gradient[~held].norm(dim=-1) > 0).all()


def test_a_stop_does_not_hang_on_the_weight() -> None:
    """So a scene that fades in, with a weight that grows, is held at the same distance all the while."""
    distance = float(spherical_distance(unit(1, 8), unit(8, seed=1)))
    for stop, held in ((distance + 0.01, True), (distance - 0.01, False)):
        cutouts = unit(1, 8).requires_grad_(True)
        loss = prompt_distance(cutouts, unit(8, seed=1), 0.01, stop)
        assert (float(torch.autograd.grad(loss, cutouts)[0].norm()) == 0) is held


# --- contrast ---------------------------------------------------------------------------------------------------------


def at(degrees: float) -> Tensor:
    return torch.tensor([math.cos(math.radians(degrees)), math.sin(math.radians(degrees))])


def test_contrast_is_the_cross_entropy_of_the_prompt_against_its_rivals() -> None:
    loss = concept_contrast(at(20)[None], at(0), torch.stack([at(90), at(180)]), scale=5)
    logits = [5 * math.cos(math.radians(angle)) for angle in (20, 70, 160)]
    assert float(loss) == pytest.approx(-logits[0] + math.log(sum(map(math.exp, logits))), rel=1e-5)


def test_a_concept_that_all_but_equals_the_prompt_is_no_rival() -> None:
    cutouts, rival = at(20)[None], at(90)[None]
    alone = concept_contrast(cutouts, at(0), rival, 20)
    for near in (0, 20, -36):  # cosines 1, .94, .81
        with_twin = concept_contrast(cutouts, at(0), torch.cat([rival, at(near)[None]]), 20)
        assert float(with_twin) == pytest.approx(float(alone), rel=1e-6)
    assert float(concept_contrast(cutouts, at(0), torch.cat([rival, at(38)[None]]), 20)) > float(alone) + 0.1


def test_without_any_rival_contrast_is_nothing() -> None:
    assert float(concept_contrast(at(20)[None], at(0), at(1)[None], 20)) == pytest.approx(0, abs=1e-6)


# --- total variation and clamp ----------------------------------------------------------------------------------------


def test_total_variation_by_hand() -> None:
    picture = torch.tensor([[0.0, 1.0], [0.5, 0.5]]).expand(1, 3, 2, 2)
    assert float(total_variation(picture)) == pytest.approx((0.5 + 0.5) / 2 + (1 + 0) / 2)
    assert float(total_variation(torch.full((2, 3, 4, 5), 0.3))) == 0


@given(st.floats(-2, 3, width=16), st.floats(-2, 2).filter(lambda g: abs(g) > 1e-3))
@settings(max_examples=200)
def test_the_clamp_lets_through_gradients_that_lead_back_inside(value: float, slope: float) -> None:
    pixel = torch.tensor([value], requires_grad=True)
    clamped = ClampWithGradient.apply(pixel)
    assert float(clamped.detach()) == pytest.approx(min(1, max(0, value)))
    (clamped * slope).sum().backward()
    # descent goes against the slope: above 1 a positive one leads back, below 0 a negative one
    leads_out = (value > 1 and slope < 0) or (value < 0 and slope > 0)
    assert float(pixel.grad) == pytest.approx(0 if leads_out else slope)


# --- colour and form --------------------------------------------------------------------------------------------------


def pictures(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_colourfulness_is_the_figure_of_hasler_and_suesstrunk() -> None:
    """As their paper writes it, of 0 to 255; two pictures are each for itself."""
    both = pictures(2, 3, 9, 7)

    def figure(picture: np.ndarray) -> float:
        red, green, blue = picture * 255
        first, second = red - green, 0.5 * (red + green) - blue
        return float(np.hypot(first.std(), second.std()) + 0.3 * np.hypot(first.mean(), second.mean()))

    expected = np.mean([figure(it.numpy()) for it in both])
    assert 255 * float(colourfulness(both)) == pytest.approx(expected, rel=1e-3)
    assert float(colourfulness(pictures(1, 1, 9, 7).expand(1, 3, 9, 7))) < 0.002  # greys


def test_squared_variation_is_the_mean_of_squared_steps() -> None:
    ramp = torch.arange(4.0).expand(1, 3, 5, 4)
    assert float(squared_variation(2 * ramp)) == 4.0
    assert float(squared_variation(ramp + 2 * ramp.new_tensor(range(5))[:, None])) == 5.0


def test_a_palette_is_as_far_as_the_nearest_of_its_colours() -> None:
    colours = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.5]], dtype=torch.float64)
    drawn = colours[torch.randint(2, (8, 6), generator=torch.Generator().manual_seed(1))].permute(2, 0, 1)[None]
    assert float(palette_distance(drawn, colours)) == pytest.approx(0, abs=1e-9)
    white = torch.ones(1, 3, 8, 6, dtype=torch.float64)
    apart = ((lab(white[0, :, 0, 0]) - lab(colours)) / 100).square().sum(dim=1)
    assert float(palette_distance(white, colours)) == pytest.approx(float(apart.min()), rel=1e-5)
    assert float(palette_distance(white, torch.zeros(1, 3))) == pytest.approx(1, abs=0.01)
    # of a large picture areas count: a chessboard of pixels is its mean
    board = ((torch.arange(256)[:, None] + torch.arange(192)) % 2).to(white).expand(1, 3, 256, 192)
    assert float(palette_distance(board, torch.full((1, 3), 0.5))) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("picture", [torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8), torch.full((1, 3, 8, 8), 0.5)])
def test_what_is_flat_has_a_gradient_that_is_finite(picture: Tensor) -> None:
    leaf = picture.clone().requires_grad_(True)
    total = colourfulness(leaf) + palette_distance(leaf, torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 0.0]]))
    (gradient,) = torch.autograd.grad(total + squared_variation(leaf), leaf)
    assert gradient.isfinite().all()

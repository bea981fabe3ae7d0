"""What a frame is held to: each distance against its formula, and how its weight falls."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from renderers.step.goals import Goal, edge_distance, latent_distance, picture_distance


def pictures(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


SIZES = st.tuples(st.integers(3, 12), st.integers(3, 12))


@given(size=SIZES, seed=st.integers(0, 2**31), covered=st.booleans())
@settings(max_examples=40, deadline=None)
def test_pixels_count_as_far_as_they_are_covered(size: tuple[int, int], seed: int, covered: bool) -> None:
    picture, other = pictures(1, 3, *size, seed=seed), pictures(1, 3, *size, seed=seed + 1)
    coverage = pictures(1, 1, *size, seed=seed + 2) if covered else None
    weights = torch.ones(1, 1, *size, dtype=torch.float64) if coverage is None else coverage
    expected = ((picture - other) ** 2 * weights).sum() / (3 * weights.sum())
    found = picture_distance(picture, Goal("picture", other, 1.0, coverage))
    assert float(found) == pytest.approx(float(expected), rel=1e-9)


@given(size=SIZES, seed=st.integers(0, 2**31), covered=st.booleans())
@settings(max_examples=40, deadline=None)
def test_edges_are_sobels_of_the_luma(size: tuple[int, int], seed: int, covered: bool) -> None:
    """Against a convolution with the operator as it is written in books."""
    picture, other = pictures(1, 3, *size, seed=seed), pictures(1, 3, *size, seed=seed + 1)
    coverage = pictures(1, 1, *size, seed=seed + 2) if covered else torch.ones(1, 1, *size, dtype=torch.float64)
    across = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype=torch.float64) / 8
    kernels = torch.stack([across, across.T])[:, None]
    luma = torch.tensor([0.299, 0.587, 0.114]).double()[:, None, None]
    one, two = (F.conv2d((it * luma).sum(1, keepdim=True), kernels) for it in (picture, other))
    inner = coverage[..., 1:-1, 1:-1]
    expected = (((one - two) ** 2).sum(1, keepdim=True) * inner).sum() / inner.sum()
    found = edge_distance(picture, Goal("edges", other, 1.0, coverage if covered else None))
    assert float(found) == pytest.approx(float(expected), rel=1e-6)


def test_edges_have_no_colour_and_no_brightness() -> None:
    picture = pictures(1, 3, 9, 8)
    brighter = picture + 0.2
    greys = (picture * torch.tensor([0.299, 0.587, 0.114]).double()[:, None, None]).sum(1, keepdim=True)
    for other in (brighter, greys.expand_as(picture)):
        assert float(edge_distance(picture, Goal("edges", other, 1.0))) == pytest.approx(0, abs=1e-12)
    assert float(picture_distance(picture, Goal("picture", brighter, 1.0))) == pytest.approx(0.04)


def test_latents_count_where_the_pixels_above_them_are_covered() -> None:
    latent, other = pictures(1, 4, 2, 3), pictures(1, 4, 2, 3, seed=1)
    goal = Goal("latent", pictures(1, 3, 8, 12), 1.0, None, other)
    assert float(latent_distance(latent, goal)) == pytest.approx(float(((latent - other) ** 2).mean()) / 2)
    coverage = torch.zeros(1, 1, 8, 12, dtype=torch.float64)
    coverage[..., :4, 4:8] = 1
    goal = Goal("latent", pictures(1, 3, 8, 12), 1.0, coverage, other)
    expected = ((latent - other) ** 2)[..., 0, 1].mean() / 2
    assert float(latent_distance(latent, goal)) == pytest.approx(float(expected))


@pytest.mark.parametrize("kind", ["picture", "edges", "latent"])
def test_what_covers_nothing_pulls_at_nothing(kind: str) -> None:
    picture, latent = pictures(1, 3, 8, 8).requires_grad_(True), pictures(1, 4, 2, 2).requires_grad_(True)
    goal = Goal(kind, pictures(1, 3, 8, 8, seed=1), 1.0, torch.zeros(1, 1, 8, 8), pictures(1, 4, 2, 2, seed=1))  # type: ignore[arg-type]
    leaf = latent if kind == "latent" else picture
    measure = {"picture": picture_distance, "edges": edge_distance, "latent": latent_distance}[kind]
    (gradient,) = torch.autograd.grad(measure(leaf, goal), leaf)
    assert not gradient.any()


@pytest.mark.parametrize(
    ("fade", "wanted"),
    [
        ("none", [1.0] * 6),
        ("linear", [1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]),
        ("inverse", [1, 1 / 3, 1 / 5, 1 / 7, 1 / 9, 1 / 11]),
        ("steps:1", [1.0] * 6),
        ("steps:3", [1, 1, 2 / 3, 2 / 3, 1 / 3, 1 / 3]),
        ("steps:4", [1, 1, 0.75, 0.5, 0.5, 0.25]),
        ("steps:6", [1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]),
    ],
)
def test_a_weight_falls_as_its_fade_says(fade: str, wanted: list[float]) -> None:
    goal = Goal("picture", pictures(1, 3, 4, 4), 2.0, fade=fade)
    assert [goal.at(step, 6).weight for step in range(6)] == [pytest.approx(2 * it) for it in wanted]


@given(steps=st.integers(1, 60), stairs=st.integers(1, 100))
def test_stairs_only_go_down_and_end_above_nothing(steps: int, stairs: int) -> None:
    goal = Goal("picture", pictures(1, 3, 4, 4), 1.0, fade=f"steps:{stairs}")
    weights = [goal.at(step, steps).weight for step in range(steps)]
    assert weights == sorted(weights, reverse=True)
    assert weights[0] == 1
    assert weights[-1] >= 1 / stairs - 1e-9
    taken = [goal.stair(step, steps) for step in range(steps)]
    assert all(weight == pytest.approx(1 - stair / stairs) for weight, stair in zip(weights, taken, strict=True))
    assert not math.isclose(weights[-1], 0)

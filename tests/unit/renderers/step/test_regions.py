"""Regions: how crops are shared out, where they are drawn, and what of a picture is drawn by them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from manifests.schema import CutoutSettings
from renderers.randomness import generator
from renderers.step.cutout_methods import make_cutouts
from renderers.step.regions import LEFT, FrameRegions, RegionView, box_of, shared_out, surroundings

PLAIN = CutoutSettings(
    number=6, affine_probability=0, perspective_probability=0, jitter_probability=0, erase_probability=0, noise=0
)


def white(columns: slice, rows: slice = slice(None), height: int = 32, width: int = 32) -> torch.Tensor:
    mask = torch.zeros(1, 1, height, width)
    mask[..., rows, columns] = 1
    return mask


def view(mask: torch.Tensor, blind: float = 0.0, position: int = 0) -> RegionView:
    box = box_of(mask)
    assert box is not None
    return RegionView(mask, box, blind, position)


@given(st.lists(st.floats(1e-4, 1), min_size=1, max_size=12), st.integers(1, 200))
def test_crops_are_shared_out_by_area_and_none_is_lost(areas: list[float], number: int) -> None:
    shares = [area / sum(areas) for area in areas]
    found = shared_out(number, shares)
    assert sum(found) == number
    if number >= 4 * len(areas):
        assert min(found) >= 4
        # who is above the least has no more than its share, rounded up
        assert all(it == 4 or it <= share * number + 1 for it, share in zip(found, shares, strict=True))
    else:
        assert max(found) - min(found) <= 1


def test_of_enough_crops_each_has_its_share() -> None:
    assert shared_out(32, [0.5, 0.25, 0.25]) == [16, 8, 8]
    assert shared_out(32, [0.9, 0.05, 0.05]) == [24, 4, 4]
    assert shared_out(12, [0.2, 0.4, 0.4]) == [4, 4, 4]
    assert FrameRegions.of([view(white(slice(16, 32))), view(white(slice(0, 16)))], 40).numbers == (8, 16, 16)


def test_the_box_of_a_region_is_a_little_larger_and_within_the_frame() -> None:
    assert box_of(white(slice(16, 32))) == (0.375, 0.0, 1.0, 1.0)
    assert box_of(white(slice(8, 16), slice(8, 16))) == (0.21875, 0.21875, 0.53125, 0.53125)
    left, top, right, bottom = box_of(white(slice(0, 32), slice(31, 32))) or (0.0,) * 4
    assert (left, right, bottom, bottom - top) == (0.0, 1.0, 1.0, 0.5)  # of a line half a square is seen
    left, _, right, _ = box_of(white(slice(3, 4), slice(3, 4))) or (0.0,) * 4
    assert right - left == 0.25
    assert box_of(white(slice(0, 0))) is None


@pytest.mark.parametrize("method", ["crops", "pooled", "lanczos"])
@pytest.mark.parametrize("blind", [0.0, 0.5, 1.0])
def test_a_region_is_drawn_in_its_mask_only(method: str, blind: float) -> None:
    region = view(white(slice(16, 32), slice(4, 28)), blind)
    picture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)).requires_grad_()
    settings = PLAIN.model_copy(update={"method": method})
    cutouts = region.cutouts(settings, picture, 8, generator(0, 0, 0, "c"), generator(0, 0, 0, "g"))
    assert cutouts.shape == (6, 3, 8, 8)
    (gradient,) = torch.autograd.grad(cutouts.square().sum(), picture)
    assert gradient[..., 4:28, 16:].abs().sum() > 0
    assert not gradient[region.white.expand_as(gradient) == 0].any()


def test_what_is_around_it_is_seen_or_blurred() -> None:
    chance = torch.Generator().manual_seed(0)
    picture, region = torch.rand(1, 3, 32, 32, generator=chance), view(white(slice(16, 32)))
    seen, blurred = region.pictures(picture)
    torch.testing.assert_close(seen, picture)
    torch.testing.assert_close(blurred[..., 16:], picture[..., 16:])
    assert blurred[..., :16].var() < picture[..., :16].var() / 4


def test_the_region_leaves_no_colour_in_its_surroundings() -> None:
    mask = white(slice(16, 32))
    black = torch.where(mask > 0, 1.0, 0.2).expand(1, 3, 32, 32)
    torch.testing.assert_close(surroundings(black, mask)[..., :16], torch.full((1, 3, 32, 16), 0.2))


def test_crops_of_a_region_lie_in_its_box_and_see_beyond_it_where_they_turn() -> None:
    picture = torch.zeros(1, 3, 64, 64)
    picture[..., 32:, 32:] = 1
    box = (0.5, 0.5, 1.0, 1.0)
    plain = make_cutouts(PLAIN, picture, 8, generator(0, 0, 0, "c"), generator(0, 0, 0, "g"), box=box)
    torch.testing.assert_close(plain, torch.ones(6, 3, 8, 8))
    turned = PLAIN.model_copy(update={"affine_probability": 1.0, "degrees": 45.0})
    assert make_cutouts(turned, picture, 8, generator(0, 0, 0, "c"), generator(0, 0, 0, "g"), box=box).amin() == 0


def test_the_wholes_prompts_pull_less_in_a_region() -> None:
    regions = FrameRegions.of([view(white(slice(16, 32)))], 32)
    picture = torch.rand(1, 3, 32, 32).requires_grad_()
    shown = regions.whole(picture)
    torch.testing.assert_close(shown, picture)
    (gradient,) = torch.autograd.grad(shown.sum(), picture)
    assert gradient[..., :16].unique().tolist() == [1.0]
    assert gradient[..., 16:].unique().tolist() == [LEFT]

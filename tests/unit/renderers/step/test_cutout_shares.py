"""What is done to cutouts beside their sizes, places and colours: overviews, greys, borders, sharpness and bends."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from manifests.schema import CutoutSettings
from renderers.step.cutout_methods import lanczos_crops, make_cutouts
from renderers.step.cutouts import LUMA, NO_SHARES, Shares, cut, draw_cutouts, sampled, sharpened, sides

OFF: dict[str, Any] = {
    "affine_probability": 0, "perspective_probability": 0, "jitter_probability": 0, "erase_probability": 0, "noise": 0,
}  # fmt: skip


def settings_of(number: int = 4, **settings: Any) -> CutoutSettings:
    return CutoutSettings.model_validate({**OFF, "number": number, **settings})


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def made(picture: Tensor, side: int, shares: Shares = NO_SHARES, **settings: Any) -> Tensor:
    chance, grain = (torch.Generator().manual_seed(seed) for seed in (1, 2))
    return make_cutouts(settings_of(**settings), picture, side, chance, grain, shares=shares)


def grey(pictures: Tensor) -> Tensor:
    return (pictures * LUMA.view(1, 3, 1, 1)).sum(dim=1, keepdim=True).expand_as(pictures)


# --- overviews ---


@pytest.mark.parametrize("side", [16, 32, 64])
def test_an_overview_of_a_square_is_one_plain_resize(side: int) -> None:
    picture = noise(1, 3, 32, 32)
    # whatever else crops are, an overview is upright and whole
    found = made(picture, side, Shares(overview=1), size_min=0.2, size_max=0.4, affine_probability=1, degrees=90)
    if side == 16:
        plain = F.interpolate(picture, size=(side, side), mode="area")
    else:
        plain = F.interpolate(picture, size=(side, side), mode="bilinear", align_corners=False)
    torch.testing.assert_close(found, plain.expand(4, -1, -1, -1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("border", ["black", "grey", "replicate", "reflect", "wrap"])
def test_an_overview_of_a_wide_picture_has_its_border_above_and_below(border: str) -> None:
    picture = noise(1, 3, 16, 32)
    found = made(picture, 32, Shares(overview=1), border=border)[:1]
    torch.testing.assert_close(found[..., 8:24, :], picture, atol=1e-5, rtol=0)
    above = {
        "black": torch.zeros(1, 3, 8, 32), "grey": torch.full((1, 3, 8, 32), 0.5),
        "replicate": picture[..., :1, :].expand(1, 3, 8, 32), "reflect": picture[..., :8, :].flip(-2),
        "wrap": picture[..., 8:, :],
    }[border]  # fmt: skip
    # the very line at the edge is a mixture where what is beyond it differs
    torch.testing.assert_close(found[..., :7, :], above[..., :7, :], atol=1e-5, rtol=0)


def test_a_share_of_the_crops_are_overviews_and_the_others_stay_what_they_are() -> None:
    picture = noise(1, 3, 32, 32)
    plain, some = made(picture, 16, number=8, size_max=0.5, size_min=0.5), made(
        picture, 16, Shares(overview=0.4), number=8, size_max=0.5, size_min=0.5
    )  # fmt: skip
    whole = [torch.equal(one, other) for one, other in zip(plain, some, strict=True)]
    assert whole == [False] * 3 + [True] * 5
    assert torch.equal(made(picture, 16, Shares(overview=0.01)), made(picture, 16))  # of four crops that is none


# --- greys ---


@pytest.mark.parametrize("method", ["crops", "pooled", "lanczos"])
def test_grey_crops_are_the_luma_of_what_they_were(method: str) -> None:
    picture = noise(1, 3, 32, 32)
    how: dict[str, Any] = {"method": method, "number": 64, "jitter_probability": 1}
    plain = made(picture, 16, **how)
    torch.testing.assert_close(made(picture, 16, Shares(grey=1), **how), grey(plain), atol=1e-5, rtol=0)
    some = made(picture, 16, Shares(grey=0.5), **how)
    whole = sum(torch.equal(one, other) for one, other in zip(plain, some, strict=True))
    assert 20 <= whole <= 44


# --- sizes, and how far crops lean out ---


def test_sides_are_spread_as_their_definitions_say() -> None:
    chance = torch.Generator().manual_seed(3)
    normal = sides(settings_of(sizes="normal", power=2), 0.1, 1.0, 20_000, chance)
    expected = (0.8 + 0.3 * torch.randn(20_000, generator=torch.Generator().manual_seed(4))).clamp(0.1, 1) ** 2
    assert float(normal.mean()) == pytest.approx(float(expected.mean()), abs=0.01)
    assert float(normal.std()) == pytest.approx(float(expected.std()), abs=0.01)
    uniform = sides(settings_of(), 0.2, 0.6, 20_000, chance)
    assert float(uniform.mean()) == pytest.approx(0.4, abs=0.01)


def test_crops_lean_out_as_far_as_they_may() -> None:
    how = {"number": 512, "size_min": 0.5, "size_max": 0.5}
    for outside, expected in ((0.0, 0.5), (0.25, 1.0)):
        draw = draw_cutouts(settings_of(**how, outside=outside), 64, 64, torch.Generator().manual_seed(0))
        middles = draw.homography[:, :2, 2].abs().amax(dim=0)
        torch.testing.assert_close(middles, torch.full((2,), expected), atol=0.02, rtol=0)


@pytest.mark.parametrize("border", ["replicate", "black", "grey", "reflect", "wrap"])
def test_lanczos_crops_lean_out_over_their_border(border: str) -> None:
    picture, side = 0.25 + noise(1, 3, 32, 32) / 4, 16
    settings = settings_of(400, outside=0.5, border=border, sizes="normal")
    crops = lanczos_crops(picture, settings, side, torch.Generator().manual_seed(5))
    assert crops.shape == (400, 3, side, side)
    beyond = {"black": 0.0, "grey": 0.5}
    corner = crops.flatten(1).var(dim=1) < 1e-4  # a crop of nothing but border
    assert bool(corner.any()) == (border in beyond)
    if border in beyond:
        assert crops[corner].mean() == pytest.approx(beyond[border], abs=0.03)
    else:
        assert 0.2 < float(crops.mean()) < 0.55


def test_a_grey_border_costs_the_picture_nothing() -> None:
    picture = noise(1, 3, 8, 8)
    grid = F.affine_grid(torch.eye(2, 3)[None], [1, 3, 8, 8], align_corners=False)
    torch.testing.assert_close(sampled(picture, grid, "grey"), picture, atol=1e-6, rtol=0)
    assert torch.equal(sampled(picture, grid + 9, "grey"), torch.full_like(picture, 0.5))


# --- sharpness and bends ---


def test_sharpness_is_pillows() -> None:
    """Within a level of its rounding; Pillow's factor is one more, and it leaves the outermost pixel alone as well."""
    np = pytest.importorskip("numpy")
    image, enhance = pytest.importorskip("PIL.Image"), pytest.importorskip("PIL.ImageEnhance")
    levels = torch.randint(60, 190, (3, 24, 24), generator=torch.Generator().manual_seed(6)).to(torch.uint8)
    theirs = image.fromarray(levels.permute(1, 2, 0).numpy())
    for by in (-1.0, -0.85, 0.3, 1.0):
        expected = np.asarray(enhance.Sharpness(theirs).enhance(1 + by)).astype(float)
        ours = sharpened(levels[None].float() / 255, torch.tensor([by]))[0].permute(1, 2, 0).numpy() * 255
        np.testing.assert_allclose(ours.clip(0, 255), expected, atol=1.6)


@pytest.mark.parametrize("method", ["crops", "pooled"])
@pytest.mark.parametrize("how", [{"sharpen": 1.0}, {"bend": 0.2}])
def test_chance_decides_which_crops_are_changed(method: str, how: dict[str, float]) -> None:
    picture = noise(1, 3, 32, 32)
    (name, _) = next(iter(how.items()))
    plain = made(picture, 16, number=64, method=method)
    for probability, low, high in ((0.0, 0, 0), (0.5, 20, 44), (1.0, 64, 64)):
        some = made(picture, 16, number=64, method=method, **how, **{f"{name}_probability": probability})
        # what is not bent goes through the same resampling, whose places round
        changed = sum(float((one - other).abs().max()) > 1e-4 for one, other in zip(plain, some, strict=True))
        assert low <= changed <= high


def test_a_bend_moves_no_place_further_than_it_says_and_is_smooth() -> None:
    ramp = torch.linspace(-1, 1, 64).expand(1, 64, 64)
    places = torch.stack([ramp, ramp.transpose(1, 2), torch.zeros_like(ramp)], dim=1)
    settings = settings_of(16, bend=0.1, bend_probability=1, border="replicate")
    draw = draw_cutouts(settings, 64, 64, torch.Generator().manual_seed(7))
    assert draw.bend is not None
    assert draw.bend.abs().max() <= 0.1
    moved = cut(places, draw, 64, None)[:, :2] - places[:, :2]
    assert 0.03 < float(moved.abs().max()) < 0.15  # a spline overshoots a little
    inner = moved[..., 8:-8, 8:-8]  # nearer to the edge it is the border that is seen
    assert float((inner[..., 1:] - inner[..., :-1]).abs().max()) < 0.03


@pytest.mark.parametrize("how", [{}, {"sharpen": 0.5}, {"bend": 0.1}, {"sharpen": 0.5, "bend": 0.1}])
def test_a_draw_survives_its_way_to_another_device(how: dict[str, float]) -> None:
    draw = draw_cutouts(settings_of(5, **how), 64, 48, torch.Generator().manual_seed(8), shares=Shares(0.5, 0.5))
    again = draw.unpack(draw.pack())
    for name in ("homography", "colour", "erased", "noise", "sharpen", "bend"):
        one, other = getattr(draw, name), getattr(again, name)
        assert (one is None) == (other is None)
        if one is not None:
            assert torch.equal(one, other), name
    picture = noise(1, 3, 48, 64)
    assert torch.equal(cut(picture, draw, 16, None), cut(picture, again, 16, None))


@pytest.mark.parametrize("method", ["crops", "pooled", "lanczos"])
def test_what_is_switched_off_leaves_every_bit(method: str) -> None:
    """Not even a number of chance is drawn for it."""
    picture, how = noise(1, 3, 32, 32), {"method": method, "affine_probability": 0.7, "noise": 0.1}
    off = {"sharpen_probability": 0.9, "bend_probability": 0.9, "sizes": "uniform", "outside": 0}
    assert torch.equal(made(picture, 16, **how), made(picture, 16, **how, **off))
    assert torch.isfinite(made(picture, 16, Shares(0.5, 0.5), **how, sharpen=1, bend=0.3, outside=0.3)).all()

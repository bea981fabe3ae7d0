import itertools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from manifests.schema import CutoutSettings
from renderers.randomness import generator
from renderers.step.cutouts import CutoutDraw, cut, draw_cutouts, perspective

QUIET: dict[str, Any] = {
    "number": 4, "affine_probability": 0, "perspective_probability": 0, "jitter_probability": 0, "erase_probability": 0,
    "noise": 0,
}  # fmt: skip


def drawn(width: int = 32, height: int = 32, *, step: int = 0, **settings: Any) -> CutoutDraw:
    """A draw in which only what `settings` names is switched on."""
    return draw_cutouts(
        CutoutSettings.model_validate({**QUIET, **settings}), width, height, generator(7, 0, step, "cutouts 0")
    )


def cut_by(picture: Tensor, draw: CutoutDraw, side: int = 32) -> Tensor:
    return cut(picture, draw, side, generator(7, 0, 0, "grain 0"))


def noise_picture(width: int = 32, height: int = 32) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(3))


def map_points(homography: Tensor, *points: tuple[float, float]) -> Tensor:
    """Where `homography` `(3, 3)` takes points `(x, y)`."""
    mapped = torch.tensor([[x, y, 1.0] for x, y in points]) @ homography.T
    return mapped[:, :2] / mapped[:, 2:]


CORNERS = ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0))
ALL_ON = {
    "affine_probability": 0.7, "perspective_probability": 0.7, "jitter_probability": 0.7, "erase_probability": 0.7,
    "noise": 0.1, "size_min": 0.4, "size_max": 1.2, "flip_probability": 0.5,
}  # fmt: skip


# --- draws ------------------------------------------------------------------------------------------------------------


def test_one_address_draws_one_result() -> None:
    one, again = drawn(**ALL_ON), drawn(**ALL_ON)
    picture = noise_picture()
    assert torch.equal(cut_by(picture, one), cut_by(picture, again))
    assert not torch.equal(cut_by(picture, one), cut_by(picture, drawn(step=1, **ALL_ON)))


def test_switching_one_thing_off_leaves_the_other_draws_alone() -> None:
    """Every draw is made whether it is used or not: comparing settings compares nothing else."""
    whole, no_erasing = drawn(**ALL_ON), drawn(**{**ALL_ON, "erase_probability": 0})
    assert torch.equal(whole.homography, no_erasing.homography)
    assert torch.equal(whole.colour, no_erasing.colour)
    assert torch.equal(whole.noise, no_erasing.noise)


def test_with_all_off_every_cutout_is_the_picture() -> None:
    picture = noise_picture()
    cutouts = cut_by(picture, drawn())
    assert cutouts.shape == (4, 3, 32, 32)
    torch.testing.assert_close(cutouts, picture.expand(4, -1, -1, -1), atol=1e-5, rtol=0)


# --- crops ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height"), [(32, 32), (96, 32), (32, 96)])
def test_crops_are_square_in_pixels_and_inside_the_picture(width: int, height: int) -> None:
    draw = drawn(width, height, number=300, size_min=0.25, size_max=1.0)
    scale = torch.tensor([width / 2, height / 2])
    sides = []
    for homography in draw.homography:
        corners = map_points(homography, *CORNERS)
        assert (corners.abs() <= 1 + 1e-5).all()
        pixels = corners * scale
        assert float(pixels[1, 0] - pixels[0, 0]) == pytest.approx(float(pixels[2, 1] - pixels[1, 1]), rel=1e-4)
        sides.append(float(pixels[1, 0] - pixels[0, 0]) / 32)
    assert 0.25 <= min(sides) < 0.3
    assert 0.95 < max(sides) <= 1.0 + 1e-5
    # the crops reach the picture's very ends, in the long direction too
    centres = draw.homography[:, :2, 2]
    assert (centres.amax(dim=0) > 0.4).all()
    assert (centres.amin(dim=0) < -0.4).all()


def test_a_power_above_one_favours_small_crops() -> None:
    def mean_side(power: float) -> float:
        return float(drawn(number=512, size_min=0.2, size_max=1.0, power=power).homography[:, 0, 0].mean())

    # the mean of U^p is 1 / (p + 1)
    for power in (0.5, 1.0, 3.0):
        assert mean_side(power) == pytest.approx(0.2 + 0.8 / (power + 1), abs=0.04)


def test_a_size_above_one_shows_the_whole_picture_and_its_border() -> None:
    draw = drawn(number=50, size_min=1.3, size_max=1.5)
    for homography in draw.homography:
        corners = map_points(homography, *CORNERS)
        assert (corners[0] <= -1 + 1e-5).all()
        assert (corners[2] >= 1 - 1e-5).all()
    picture = torch.zeros(1, 3, 32, 32)
    picture[..., 0] = picture[..., -1] = picture[..., 0, :] = picture[..., -1, :] = 1
    cutouts = cut_by(picture, drawn(size_min=1.5, size_max=1.5))
    assert (cutouts[..., 16, :].amin(dim=-1) < 0.01).all()  # the inside is there
    # the border goes on in the picture's own colour where the crop hangs over
    centres = draw.homography[:, :2, 2].abs()
    assert (centres <= 0.5 + 1e-5).all()
    assert float(cutouts[..., 0, :].amin()) > 0.99 or float(cutouts[..., -1, :].amin()) > 0.99


def test_flip_mirrors_left_and_right() -> None:
    picture = noise_picture()
    flipped = cut_by(picture, drawn(flip_probability=1))
    torch.testing.assert_close(flipped, picture.flip(-1).expand(4, -1, -1, -1), atol=1e-5, rtol=0)
    share = (drawn(number=512, flip_probability=0.3).homography[:, 0, 0] < 0).float().mean()
    assert float(share) == pytest.approx(0.3, abs=0.06)


# --- affine and perspective -------------------------------------------------------------------------------------------


def test_a_rotation_turns_a_square_in_pixels_within_its_limit() -> None:
    draw = drawn(96, 48, number=200, affine_probability=1, degrees=30, shear=0, translate=0, size_min=0.5, size_max=0.5)
    turns = []
    for homography in draw.homography:
        pixels = map_points(homography, *CORNERS) * torch.tensor([48.0, 24.0])
        right, down = pixels[1] - pixels[0], pixels[3] - pixels[0]
        assert float(right.norm()) == pytest.approx(24, rel=1e-4)
        assert float(down.norm()) == pytest.approx(24, rel=1e-4)
        assert float(right @ down) == pytest.approx(0, abs=0.01)
        turns.append(float(torch.rad2deg(torch.atan2(right[1], right[0]))))
    assert -30.01 <= min(turns) < -25
    assert 25 < max(turns) <= 30.01


def test_shear_and_shift_stay_within_their_limits() -> None:
    draw = drawn(number=200, affine_probability=1, degrees=0, shear=20, translate=0.25)
    shear, shift = draw.homography[:, 0, 1], draw.homography[:, :2, 2]
    limit = float(torch.tan(torch.deg2rad(torch.tensor(20.0))))
    assert limit * 0.9 < float(shear.abs().max()) <= limit + 1e-6
    assert 0.45 < float(shift.abs().max()) <= 0.5 + 1e-6  # a quarter of a side that is 2 long
    torch.testing.assert_close(draw.homography[:, 1, :2], torch.tensor([0.0, 1.0]).expand(200, 2))


def test_the_homography_takes_each_corner_where_it_was_pulled() -> None:
    inward = 0.7 * torch.rand(100, 4, 2, generator=torch.Generator().manual_seed(0))
    homographies = perspective(inward)
    for homography, pull in zip(homographies, inward, strict=True):
        expected = torch.tensor(CORNERS) * (1 - pull)
        torch.testing.assert_close(map_points(homography, *CORNERS), expected, atol=1e-4, rtol=0)


def test_a_perspective_of_strength_zero_is_none() -> None:
    draw = drawn(perspective_probability=1, perspective=0)
    torch.testing.assert_close(draw.homography, torch.eye(3).expand(4, 3, 3), atol=1e-6, rtol=0)


def test_straight_lines_stay_straight() -> None:
    homography = drawn(**{**QUIET, "perspective_probability": 1, "affine_probability": 1}).homography[0]
    a, b, c = map_points(homography, (-0.8, -0.5), (0.0, 0.1), (0.4, 0.4))
    cross = (b - a)[0] * (c - a)[1] - (b - a)[1] * (c - a)[0]
    assert float(cross) == pytest.approx(0, abs=1e-5)


def test_every_cutout_of_the_strongest_settings_is_finite() -> None:
    draw = drawn(**{**ALL_ON, "number": 512, "perspective": 1.0, "perspective_probability": 1.0, "size_max": 1.5})
    assert cut_by(noise_picture(), draw, side=8).isfinite().all()


# --- colour, erasing, noise -------------------------------------------------------------------------------------------


def coloured(**settings: Any) -> Tensor:
    """Colour maps `(n, 3, 4)` with only `settings` on."""
    off = {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}
    return drawn(number=200, jitter_probability=1, **{**off, **settings}).colour


def apply_colour(colour: Tensor, rgb: list[float]) -> Tensor:
    return colour[..., :3] @ torch.tensor(rgb) + colour[..., 3]


@pytest.mark.parametrize("settings", [{}, {"brightness": 1, "contrast": 1, "saturation": 1, "hue": 0.5}])
def test_colour_is_neutral_when_it_is_off(settings: dict[str, float]) -> None:
    neutral = torch.cat([torch.eye(3), torch.zeros(3, 1)], dim=1).expand(200, 3, 4)
    probability = 0 if settings else 1
    draw = drawn(
        number=200, **{"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0, **settings},
        jitter_probability=probability,
    )  # fmt: skip
    torch.testing.assert_close(draw.colour, neutral, atol=1e-5, rtol=0)


def test_brightness_scales_and_stays_within_its_limit() -> None:
    seen = apply_colour(coloured(brightness=0.3), [0.5, 0.2, 0.8])
    factor = seen / torch.tensor([0.5, 0.2, 0.8])
    torch.testing.assert_close(factor, factor[:, :1].expand(-1, 3))
    assert 0.69 < float(factor.min()) < 0.73
    assert 1.27 < float(factor.max()) < 1.31


def test_contrast_leaves_mid_grey_alone() -> None:
    colour = coloured(contrast=0.5)
    torch.testing.assert_close(apply_colour(colour, [0.5] * 3), torch.full((200, 3), 0.5), atol=1e-5, rtol=0)
    spread = apply_colour(colour, [1.0] * 3) - apply_colour(colour, [0.0] * 3)
    assert 0.49 < float(spread.min()) < 0.6
    assert 1.4 < float(spread.max()) < 1.51


def test_saturation_and_hue_leave_greys_and_luma_alone() -> None:
    luma = torch.tensor([0.299, 0.587, 0.114])
    for settings in ({"saturation": 1.0}, {"hue": 0.5}):
        colour = coloured(**settings)
        torch.testing.assert_close(apply_colour(colour, [0.3] * 3), torch.full((200, 3), 0.3), atol=1e-5, rtol=0)
        seen = apply_colour(colour, [0.9, 0.1, 0.4])
        torch.testing.assert_close(seen @ luma, (torch.tensor([0.9, 0.1, 0.4]) @ luma).expand(200), atol=1e-5, rtol=0)
        assert float(seen.std(dim=0).max()) > 0.1


def test_erasing_blackens_a_box_of_the_area_asked_for() -> None:
    draw = drawn(number=512, erase_probability=0.7, erase_min=0.1, erase_max=0.4)
    x0, y0, x1, y1 = draw.erased.unbind(dim=1)
    hit = x1 > x0
    assert float(hit.float().mean()) == pytest.approx(0.7, abs=0.06)
    area = ((x1 - x0) * (y1 - y0) / 4)[hit]
    assert 0.1 - 1e-5 <= float(area.min()) < 0.12
    assert 0.35 < float(area.max()) <= 0.4 + 1e-5
    assert float(draw.erased.abs().max()) <= 1 + 1e-5
    aspect = ((x1 - x0) / (y1 - y0))[hit]
    assert float(aspect.min()) >= 0.3 - 1e-3
    assert float(aspect.max()) <= 3.3 + 1e-2

    black = (cut_by(torch.ones(1, 3, 32, 32), draw, side=64) == 0).float().mean(dim=(1, 2, 3))
    torch.testing.assert_close(black[hit], area, atol=0.03, rtol=0)
    assert (black[~hit] == 0).all()


def test_noise_has_the_deviation_that_was_drawn_for_each_cutout() -> None:
    draw = drawn(number=8, noise=0.5)
    assert float(draw.noise.min()) >= 0
    assert float(draw.noise.max()) <= 0.5
    grain = cut_by(torch.full((1, 3, 32, 32), 0.5), draw, side=64) - 0.5
    torch.testing.assert_close(grain.std(dim=(1, 2, 3)), draw.noise, atol=0.01, rtol=0.05)


# --- resampling -------------------------------------------------------------------------------------------------------


def test_fine_detail_averages_out_where_cutouts_are_small() -> None:
    """A checkerboard of pixels, cut at an eighth of its size, is grey; sampled without averaging it would flicker."""
    board = ((torch.arange(64)[:, None] + torch.arange(64)) % 2).float().expand(1, 3, 64, 64)
    cutouts = cut_by(board, drawn(64, 64, affine_probability=1, translate=0.1), side=8)
    torch.testing.assert_close(cutouts, torch.full_like(cutouts, 0.5), atol=0.02, rtol=0)


def test_gradients_reach_every_pixel_that_a_cutout_sees() -> None:
    picture = noise_picture().requires_grad_(True)
    cut_by(picture, drawn(**{**ALL_ON, "size_min": 1, "number": 32})).square().sum().backward()
    assert picture.grad is not None
    assert picture.grad.isfinite().all()
    assert (picture.grad.abs() > 0).all()


@pytest.mark.parametrize(("width", "height"), list(itertools.product((24, 40), (24, 40))))
def test_any_size_of_picture_gives_square_cutouts(width: int, height: int) -> None:
    cutouts = cut_by(noise_picture(width, height), drawn(width, height, **ALL_ON), side=20)
    assert cutouts.shape == (4, 3, 20, 20)


@pytest.mark.parametrize("pictures", [1, 5])
def test_cutouts_and_their_gradient_are_those_of_one_sampling_each(pictures: int) -> None:
    """The plain way: every cutout sampled by itself, its colours mapped pixel by pixel."""
    draw = drawn(number=5, **{**ALL_ON, "erase_probability": 0, "noise": 0})
    pull = torch.randn(5, 3, 24, 24, generator=torch.Generator().manual_seed(1))
    start = torch.rand(pictures, 3, 40, 32, generator=torch.Generator().manual_seed(3))
    axis = (torch.arange(24) * 2 + 1) / 24 - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")

    def plain(picture: Tensor) -> Tensor:
        made = []
        for index, (homography, colour) in enumerate(zip(draw.homography, draw.colour, strict=True)):
            points = torch.stack([x, y, torch.ones_like(x)], dim=-1) @ homography.T
            grid = (points[..., :2] / points[..., 2:])[None]
            source = picture[index : index + 1] if pictures > 1 else picture
            seen = F.grid_sample(source, grid, padding_mode="border", align_corners=False)[0]
            made.append((colour[:, :3] @ seen.flatten(1) + colour[:, 3:]).view(3, 24, 24))
        return torch.stack(made)

    results = []
    for way in (plain, lambda picture: cut_by(picture, draw, 24)):
        picture = start.clone().requires_grad_(True)
        cutouts = way(picture)
        (gradient,) = torch.autograd.grad((cutouts * pull).sum(), picture)
        results.append((cutouts.detach(), gradient))
    torch.testing.assert_close(results[1], results[0], atol=2e-5, rtol=1e-5)


def test_a_draw_is_the_same_after_a_journey_in_one_piece() -> None:
    draw = drawn(**ALL_ON)
    arrived = draw.unpack(draw.pack().clone())
    for name in ("homography", "colour", "erased", "noise"):
        assert torch.equal(getattr(arrived, name), getattr(draw, name)), name
    assert arrived.share == draw.share
    picture = noise_picture()
    torch.testing.assert_close(cut_by(picture, arrived), cut_by(picture, draw), atol=1e-6, rtol=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_draw_reaches_a_gpu_whole() -> None:
    draw, device = drawn(**ALL_ON), torch.device("cuda")
    arrived = draw.to(device)
    assert arrived.homography.device.type == "cuda"
    assert torch.equal(arrived.pack().cpu(), draw.pack())

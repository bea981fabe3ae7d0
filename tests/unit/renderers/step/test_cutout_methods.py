"""The cutouts of other tools: against their definitions, written out here pixel by pixel."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from manifests.schema import CutoutSettings
from renderers.randomness import generator
from renderers.step.cutout_methods import lanczos_crops, make_cutouts, pooled
from renderers.step.cutouts import cut, draw_cutouts

QUIET: dict[str, Any] = {
    "number": 3, "affine_probability": 0, "perspective_probability": 0, "jitter_probability": 0, "erase_probability": 0,
    "noise": 0,
}  # fmt: skip


def squares(number: int, power: float) -> CutoutSettings:
    return CutoutSettings().model_copy(update={"number": number, "power": power})


def picture_of(width: int, height: int) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(5))


def made(picture: Tensor, side: int, **settings: Any) -> Tensor:
    place = (7, 0, 0)
    chosen = CutoutSettings.model_validate({**QUIET, **settings})
    return make_cutouts(chosen, picture, side, generator(*place, "cutouts 0"), generator(*place, "grain 0"))


# --- crops: as before -------------------------------------------------------------------------------------------------


def test_crops_are_what_they_were_to_the_last_bit() -> None:
    picture, settings = picture_of(48, 32), CutoutSettings(number=5, size_min=0.5, flip_probability=0.5)
    draw = draw_cutouts(settings, 48, 32, generator(7, 0, 0, "cutouts 0"))
    expected = cut(picture, draw, 32, generator(7, 0, 0, "grain 0"))
    found = make_cutouts(settings, picture, 32, generator(7, 0, 0, "cutouts 0"), generator(7, 0, 0, "grain 0"))
    assert torch.equal(found, expected)


def test_a_black_border_is_seen_beyond_the_picture_only() -> None:
    picture = torch.ones(1, 3, 32, 32)
    black = made(picture, 32, size_min=1.4, size_max=1.4, border="black")
    assert float(black.min()) == 0
    assert float(black.max()) == pytest.approx(1)
    torch.testing.assert_close(made(picture, 32, size_min=1.4, size_max=1.4), torch.ones(3, 3, 32, 32))


def test_one_box_for_all() -> None:
    cutouts = made(torch.ones(1, 3, 32, 32), 32, erase_probability=1, erase_same=True, number=6)
    assert 0.05 < float((cutouts == 0).float().mean()) < 0.5
    assert all(torch.equal(cutout, cutouts[0]) for cutout in cutouts)
    own = made(torch.ones(1, 3, 32, 32), 32, erase_probability=1, number=6)
    assert not torch.equal(own[0], own[1])


# --- pooled -----------------------------------------------------------------------------------------------------------


def pooled_by_hand(picture: Tensor, side: int) -> Tensor:
    """Each pixel of the result looks at rows `floor(i h / side)` to `ceil((i + 1) h / side)`, and columns alike."""
    height, width = picture.shape[-2:]
    result = torch.empty(1, 3, side, side)
    for i in range(side):
        rows = slice(i * height // side, math.ceil((i + 1) * height / side))
        for j in range(side):
            seen = picture[0, :, rows, slice(j * width // side, math.ceil((j + 1) * width / side))].flatten(1)
            result[0, :, i, j] = (seen.mean(dim=1) + seen.amax(dim=1)) / 2
    return result


@pytest.mark.parametrize(("width", "height", "side"), [(64, 64, 16), (40, 24, 16), (16, 16, 20), (33, 50, 7)])
def test_the_whole_picture_pooled(width: int, height: int, side: int) -> None:
    picture = picture_of(width, height)
    expected = pooled_by_hand(picture, side)
    torch.testing.assert_close(pooled(picture, side), expected, atol=1e-6, rtol=0)
    cutouts = made(picture, side, method="pooled")
    assert cutouts.shape == (3, 3, side, side)
    assert all(torch.equal(cutout, cutouts[0]) for cutout in cutouts)
    torch.testing.assert_close(cutouts[:1], expected, atol=1e-6, rtol=0)


def test_a_pooled_cutouts_gradient_is_half_the_means_and_half_the_greatests() -> None:
    picture = picture_of(4, 4).requires_grad_(True)
    (gradient,) = torch.autograd.grad(pooled(picture, 2).sum(), picture)
    greatest = torch.zeros_like(picture)
    for plane in range(3):
        for i in (0, 2):
            for j in (0, 2):
                at = int(picture[0, plane, i : i + 2, j : j + 2].argmax())
                greatest[0, plane, i + at // 2, j + at % 2] = 1
    torch.testing.assert_close(gradient, (1 / 4 + greatest) / 2)


# --- lanczos ----------------------------------------------------------------------------------------------------------


def resampled_by_hand(line: list[float], side: int) -> list[float]:
    """One line of pixels made shorter: weights of Lanczos' window of two lobes at each pixel, mirrored at the ends,
    then cubic interpolation (Keys 1981, a = -.75) between places that keep the first and the last pixel."""
    size, ratio = len(line), side / len(line)

    def sinc(x: float) -> float:
        return math.sin(math.pi * x) / (math.pi * x) if x else 1.0

    taps = {k: sinc(k * ratio) * sinc(k * ratio / 2) for k in range(-size, size + 1) if abs(k * ratio) < 2}
    total = sum(taps.values())
    reflected = [*line[:0:-1], *line, *line[-2::-1]]
    smooth = [sum(weight * reflected[size - 1 + i + k] for k, weight in taps.items()) / total for i in range(size)]

    def cubic(t: float) -> float:
        t, a = abs(t), -0.75
        if t <= 1:
            return (a + 2) * t**3 - (a + 3) * t**2 + 1
        return a * (t**3 - 5 * t**2 + 8 * t - 4) if t < 2 else 0.0

    result = []
    for j in range(side):
        at = j * (size - 1) / (side - 1)
        near = range(math.floor(at) - 1, math.floor(at) + 3)
        result.append(sum(cubic(at - k) * smooth[min(max(k, 0), size - 1)] for k in near))
    return result


def test_a_crop_of_the_whole_picture_is_filtered_line_by_line() -> None:
    picture, side = picture_of(21, 21), 8
    (crop,) = lanczos_crops(picture, squares(1, 1e-9), side, generator(1, 0, 0, "x"))  # U^0: the greatest size
    for plane in range(3):
        rows = [resampled_by_hand(line, side) for line in picture[0, plane].tolist()]
        expected = torch.tensor([resampled_by_hand(line, side) for line in torch.tensor(rows).T.tolist()]).T
        torch.testing.assert_close(crop[plane], expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("width", "height"), [(96, 64), (64, 96), (16, 16)])
def test_crops_are_squares_of_whole_pixels_in_all_places(width: int, height: int) -> None:
    """In a picture of its own coordinates a crop's corners tell where it was: they are kept."""
    x, y = torch.meshgrid(torch.arange(width), torch.arange(height), indexing="xy")
    picture = torch.stack([x, y, x]).float()[None]
    crops = lanczos_crops(picture, squares(400, 1.0), 32, generator(3, 0, 0, "x"))
    inner = crops[:, :2, 8:-8, 8:-8]  # away from mirrored edges
    step = (inner[:, 0, :, 1:] - inner[:, 0, :, :-1]).mean(dim=(1, 2))  # (size - 1) / 31
    sizes = (step * 31 + 1).round()
    least, most = min(32, width, height), min(width, height)
    assert least <= float(sizes.min()) <= least + 2
    assert most - 2 <= float(sizes.max()) <= most
    torch.testing.assert_close(inner[:, 0, :, 1:] - inner[:, 0, :, :-1], (inner[:, 1, 1:] - inner[:, 1, :-1]).mT,
                               atol=1e-2, rtol=0)  # fmt: skip
    left = crops[:, 0, 15:17, 15:17].mean(dim=(1, 2)) - (sizes - 1) / 2
    assert float(left.min()) > -0.6
    assert float((left + sizes).max()) < width + 0.6
    if width > most:
        assert float((left + sizes).max()) > width - 8


def test_the_power_favours_small_crops() -> None:
    def mean_size(power: float) -> float:
        ramp = torch.arange(128.0).expand(1, 3, 128, 128)
        crops = lanczos_crops(ramp, squares(300, power), 32, generator(3, 0, 0, "x"))
        return float((crops[:, 0, 16, 20] - crops[:, 0, 16, 12]).mean()) * 31 / 8 + 1

    for power in (0.5, 1.0, 3.0):
        assert mean_size(power) == pytest.approx(32 + 96 / (power + 1), abs=5)


def test_lanczos_cutouts_stay_in_range_and_their_gradient_points_back() -> None:
    picture = (picture_of(64, 64) > 0.5).float().requires_grad_(True)
    cutouts = made(picture, 16, method="lanczos")
    raw = lanczos_crops(picture, squares(3, 1.0), 16, generator(7, 0, 0, "cutouts 0"))
    assert float(raw.detach().min()) < 0 < float(cutouts.detach().min()) + 1e-9
    assert torch.equal(cutouts, raw.clamp(0, 1))
    gradients = [
        torch.autograd.grad(it, picture)[0] for it in (cutouts.sum(), made(picture, 16, method="lanczos").sum())
    ]
    assert torch.equal(*gradients)
    assert float(gradients[0].abs().max()) > 0


@pytest.mark.parametrize("method", ["pooled", "lanczos"])
def test_one_address_makes_one_result(method: str) -> None:
    picture = picture_of(48, 48)
    on = {"affine_probability": 0.7, "perspective_probability": 0.7, "jitter_probability": 0.7, "noise": 0.1}
    assert torch.equal(made(picture, 16, method=method, **on), made(picture, 16, method=method, **on))
    still = F.mse_loss(made(picture, 16, method=method, **on), made(picture, 16, method=method))
    assert float(still) > 1e-3

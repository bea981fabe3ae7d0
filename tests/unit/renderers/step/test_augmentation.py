"""What happens to the cutouts of other tools, step by step: against each definition, written out."""

from __future__ import annotations

import colorsys
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from manifests.schema import CutoutSettings
from renderers.randomness import generator
from renderers.step.augmentation import Augmentation, augment, draw_augmentation

OFF: dict[str, Any] = {
    "affine_probability": 0, "perspective_probability": 0, "jitter_probability": 0, "erase_probability": 0, "noise": 0,
}  # fmt: skip
SIDE = 24


def settings_of(number: int = 4, **settings: Any) -> CutoutSettings:
    return CutoutSettings.model_validate({**OFF, "number": number, **settings})


def drawn(number: int = 4, side: int = SIDE, **settings: Any) -> Augmentation:
    return draw_augmentation(settings_of(number, **settings), side, generator(7, 0, 0, "cutouts 0"))


def changed(cutouts: Tensor, **settings: Any) -> Tensor:
    place = (7, 0, 0)
    return augment(
        cutouts, settings_of(len(cutouts), **settings), generator(*place, "cutouts 0"), generator(*place, "grain 0")
    )


def pictures(number: int = 4, side: int = SIDE) -> Tensor:
    return torch.rand(number, 3, side, side, generator=torch.Generator().manual_seed(2))


def sampled(picture: Tensor, x: float, y: float, *, border: bool) -> Tensor:
    """`picture` `(3, side, side)` between its pixels, at normalised coordinates; black, or its edge, beyond it."""
    side = picture.shape[-1]
    column, row = ((it + 1) * side / 2 - 0.5 for it in (x, y))
    if border:
        column, row = (min(max(it, 0), side - 1) for it in (column, row))
    total = torch.zeros(3)
    for i in (math.floor(row), math.floor(row) + 1):
        for j in (math.floor(column), math.floor(column) + 1):
            if 0 <= i < side and 0 <= j < side:
                total += picture[:, i, j] * (1 - abs(row - i)) * (1 - abs(column - j))
    return total


def test_all_off_is_the_same_to_the_last_bit() -> None:
    given = pictures()
    assert changed(given) is given


def test_what_is_switched_off_leaves_the_other_draws_alone() -> None:
    everything = {"affine_probability": 0.7, "perspective_probability": 0.7, "jitter_probability": 0.7, "noise": 0.1}
    one, other = drawn(**everything), drawn(**{**everything, "affine_probability": 0})
    assert torch.equal(one.homography, other.homography)
    assert torch.equal(one.colour, other.colour)
    assert torch.equal(one.noise, other.noise)
    assert one.order == other.order
    assert not other.moved.any()


def test_what_goes_to_a_gpu_comes_back_as_it_was() -> None:
    everything = {"affine_probability": 0.5, "perspective_probability": 0.5, "jitter_probability": 0.5, "noise": 0.1}
    draw = drawn(7, flip_probability=0.5, erase_probability=0.5, **everything)
    back = draw.unpack(draw.pack())
    assert draw.pack().shape == (7, 28)
    for name, value in vars(draw).items():
        other = getattr(back, name)
        assert torch.equal(other, value) if isinstance(value, Tensor) else other == value, name


def test_mirrored() -> None:
    given = pictures()
    assert torch.equal(changed(given, flip_probability=1), given.flip(-1))


@pytest.mark.parametrize("border", ["black", "replicate"])
def test_moved(border: str) -> None:
    """Rotated, sheared along x and shifted down or up: a point `p` goes to `R S p + (0, t)`."""
    how = {"affine_probability": 0.6, "degrees": 40, "shear": 20, "translate": 0.2, "border": border}
    given, draw = pictures(6), drawn(6, **how)
    found = changed(given, **how)
    assert 0 < int(draw.moved.sum()) < 6
    for number in range(6):
        if not draw.moved[number]:
            assert torch.equal(found[number], given[number])
            continue
        forward = torch.linalg.inv(torch.cat([draw.affine[number], torch.tensor([[0.0, 0.0, 1.0]])]))
        assert float(forward[0, 2]) == pytest.approx(0, abs=1e-6)
        assert abs(float(forward[1, 2])) <= 0.4
        assert float(torch.linalg.det(forward[:2, :2])) == pytest.approx(1, abs=1e-5)
        turn = math.degrees(math.atan2(-float(forward[1, 0]), float(forward[0, 0])))
        assert abs(turn) <= 40
        for row, column in ((0, 0), (5, 17), (12, 12), (23, 3)):
            x, y = ((2 * it + 1) / SIDE - 1 for it in (column, row))
            from_x, from_y = (draw.affine[number] @ torch.tensor([x, y, 1.0])).tolist()
            expected = sampled(given[number], from_x, from_y, border=border == "replicate")
            torch.testing.assert_close(found[number, :, row, column], expected, atol=1e-4, rtol=0)


def test_tilted_over_black() -> None:
    """The picture's corners come inward, by at most the strength, and what is outside is black."""
    how = {"perspective_probability": 1, "perspective": 0.5}
    found, draw = changed(torch.ones(8, 3, SIDE, SIDE), **how), drawn(8, **how)
    corners = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    for number in range(8):
        mapped = torch.cat([corners, torch.ones(4, 1)], dim=1) @ torch.linalg.inv(draw.homography[number]).T
        inward = 1 - mapped[:, :2] / mapped[:, 2:] * corners
        assert -1e-4 <= float(inward.min()) <= float(inward.max()) <= 0.5 + 1e-4
    share = found[:, 0].mean(dim=(1, 2))
    assert float(share.min()) > 0.25
    assert float(share.max()) < 1
    assert float(found.min()) == 0
    torch.testing.assert_close(found.amax(dim=(1, 2, 3)), torch.ones(8))


def test_coloured_as_each_formula_says() -> None:
    """Brightness about black, contrast about the picture's mean grey, saturation about each pixel's grey, hue in HSV;
    clamped after each."""
    how = {"jitter_probability": 0.7, "brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.3}
    given, draw = pictures(6, 5), drawn(6, 5, **how)
    found = changed(given, **how)
    assert 0 < int(draw.coloured.sum()) < 6
    assert sorted(draw.order) == [0, 1, 2, 3]

    def grey(pixel: tuple[float, ...]) -> float:
        return 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2]

    def towards(pixel: tuple[float, ...], factor: float, middle: float) -> tuple[float, ...]:
        return tuple(min(max(it * factor + middle * (1 - factor), 0.0), 1.0) for it in pixel)

    for number in range(6):
        if not draw.coloured[number]:
            assert torch.equal(found[number], given[number])
            continue
        pixels = [tuple(pixel) for pixel in given[number].flatten(1).T.tolist()]
        for which in draw.order:
            factor = float(draw.colour[number, which])
            mean = sum(map(grey, pixels)) / len(pixels)
            if which == 3:
                hsv = [colorsys.rgb_to_hsv(*pixel) for pixel in pixels]
                pixels = [colorsys.hsv_to_rgb((h + factor) % 1, s, v) for h, s, v in hsv]
            else:
                pixels = [towards(pixel, factor, (0.0, mean, grey(pixel))[which]) for pixel in pixels]
        torch.testing.assert_close(found[number].flatten(1).T, torch.tensor(pixels), atol=1e-5, rtol=0)


def test_the_limits_of_colours_are_reached_and_kept() -> None:
    how = {"jitter_probability": 1, "brightness": 0.1, "contrast": 0.2, "saturation": 0.3, "hue": 0.05}
    colour = drawn(512, **how).colour
    for column, (middle, limit) in enumerate([(1, 0.1), (1, 0.2), (1, 0.3), (0, 0.05)]):
        far = (colour[:, column] - middle).abs().max()
        assert 0.95 * limit < float(far) <= limit + 1e-6


def test_grey_has_no_hue_and_a_finite_gradient() -> None:
    given = torch.full((4, 3, 8, 8), 0.5, requires_grad=True)
    found = changed(given, jitter_probability=1, hue=0.5, brightness=0, contrast=0, saturation=0)
    torch.testing.assert_close(found.detach(), given.detach())
    (gradient,) = torch.autograd.grad(found.square().sum(), given)
    assert bool(gradient.isfinite().all())


@pytest.mark.parametrize("same", [True, False])
def test_erased(same: bool) -> None:
    side, number = 60, 400
    how = {"erase_probability": 1.0, "erase_min": 0.1, "erase_max": 0.4, "erase_same": same}
    boxes = drawn(number, side, **how).erased
    assert torch.equal(boxes, boxes.round())
    assert float(boxes.min()) >= 0
    assert float(boxes.max()) <= side
    found = changed(torch.ones(number, 3, side, side), **how)
    x0, y0, x1, y1 = boxes.T
    torch.testing.assert_close((found[:, 0] == 0).float().sum(dim=(1, 2)), (x1 - x0) * (y1 - y0))
    assert torch.equal(found[:, 0], found[:, 2])
    if same:
        assert torch.equal(boxes, boxes[:1].expand_as(boxes))
        return
    area, aspect = (x1 - x0) * (y1 - y0) / side**2, (y1 - y0) / (x1 - x0)
    assert 0.08 < float(area.min()) < 0.14
    assert 0.33 < float(area.max()) < 0.42
    assert float((aspect < 1).float().mean()) == pytest.approx(0.5, abs=0.08)
    assert 0.25 < float(aspect.min()) < 0.4
    assert 2.7 < float(aspect.max()) < 3.7


def test_erased_by_chance() -> None:
    boxes = drawn(512, erase_probability=0.3).erased
    assert float((boxes[:, 2] > boxes[:, 0]).float().mean()) == pytest.approx(0.3, abs=0.06)


def test_noisy() -> None:
    found = changed(torch.zeros(64, 3, SIDE, SIDE), noise=0.5)
    measured, wanted = found.flatten(1).std(dim=1), drawn(64, noise=0.5).noise
    torch.testing.assert_close(measured, wanted, atol=0.03, rtol=0.1)
    assert float(wanted.max()) > 0.45

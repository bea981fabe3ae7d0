"""Tiles and mirror images: the networks, the crops and the terms treat an edge that wraps as if there were none."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from manifests.schema import CutoutSettings, LossSettings, ManifestRow
from renderers.form import FLAT, PLAIN, Form, Wrap, joined, led_back, rolled, seamless
from renderers.models import VQGAN, Models
from renderers.step.cutout_methods import make_cutouts
from renderers.step.cutouts import cut, draw_cutouts
from renderers.step.terms import Picture, TotalVariation

WRAPS = [Wrap(x=True), Wrap(y=True), Wrap(x=True, y=True)]


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def shifts(wrap: Wrap, by: int) -> tuple[int, ...]:
    return tuple(by for _ in wrap.dimensions)


@pytest.fixture
def vqgan(models: Models) -> VQGAN:
    return models.vqgan


@pytest.mark.parametrize("wrap", WRAPS)
def test_a_shifted_latent_is_drawn_as_the_shifted_picture(vqgan: VQGAN, wrap: Wrap) -> None:
    """What has no edge looks the same from everywhere; up to the order of the attention's sums."""
    tiled = vqgan.formed(Form(wrap))
    latent = noise(2, 4, 5, 6) * 2 - 1
    moved = tiled.decode(latent.roll(shifts(wrap, 2), wrap.dimensions))
    torch.testing.assert_close(moved, tiled.decode(latent).roll(shifts(wrap, 8), wrap.dimensions), atol=1e-4, rtol=0)
    plain = vqgan.decode(latent.roll(shifts(wrap, 2), wrap.dimensions))
    assert (plain - vqgan.decode(latent).roll(shifts(wrap, 8), wrap.dimensions)).abs().max() > 0.01


@pytest.mark.parametrize("wrap", WRAPS)
def test_a_shifted_picture_has_the_shifted_latent(vqgan: VQGAN, wrap: Wrap) -> None:
    tiled, pictures = vqgan.formed(Form(wrap)), noise(1, 3, 20, 24)
    moved = tiled.encode(pictures.roll(shifts(wrap, 4), wrap.dimensions))
    torch.testing.assert_close(moved, tiled.encode(pictures).roll(shifts(wrap, 1), wrap.dimensions), atol=1e-4, rtol=0)


def test_a_trained_network_wraps_as_a_frozen_one_does(vqgan: VQGAN) -> None:
    """Weights that learn take another way through the doubling."""
    learning, latent = copy.deepcopy(vqgan).requires_grad_(True), noise(1, 4, 4, 5)
    form = Form(Wrap(x=True))
    torch.testing.assert_close(
        learning.formed(form).decode(latent), vqgan.formed(form).decode(latent), atol=1e-4, rtol=0
    )


def test_a_form_shares_the_weights_and_leaves_the_plain_network_alone(vqgan: VQGAN) -> None:
    assert vqgan.formed(PLAIN) is vqgan
    tiled = vqgan.formed(Form(Wrap(x=True)))
    assert tiled is vqgan.formed(Form(Wrap(x=True)))
    assert tiled.decoder is vqgan.decoder
    latent = noise(1, 4, 4, 4)
    before = vqgan.decode(latent)
    tiled.decode(latent)
    assert torch.equal(vqgan.decode(latent), before)
    assert list(tiled.state_dict()) == list(vqgan.state_dict())


@pytest.mark.parametrize("size", [(8, 6), (7, 5), (1, 1)])
@pytest.mark.parametrize("symmetry", ["x", "y", "both"])
def test_what_is_mirrored_is_its_own_mirror_image(symmetry: str, size: tuple[int, int]) -> None:
    form = Form.of(row(symmetry=symmetry))
    pictures = noise(2, 3, *size)
    mirrored, evened = form.mirrored(pictures), form.evened(pictures)
    for dimension in form.mirrors:
        assert torch.equal(mirrored, mirrored.flip(dimension))
        assert torch.equal(evened, evened.flip(dimension))
    assert torch.equal(mirrored[..., : (size[0] + 1) // 2, : (size[1] + 1) // 2],
                       pictures[..., : (size[0] + 1) // 2, : (size[1] + 1) // 2])  # fmt: skip
    assert torch.equal(form.mirrored(mirrored), mirrored)


def row(**columns: object) -> ManifestRow:
    return ManifestRow.model_validate({"video_id": "reef", "prompt": "a reef", **columns})


@pytest.mark.parametrize("method", ["crops", "pooled", "lanczos"])
def test_nothing_is_cut_otherwise_where_nothing_wraps(method: str) -> None:
    settings, picture = CutoutSettings.model_validate({"method": method, "number": 3}), noise(1, 3, 40, 40)

    def made(*wrap: Wrap) -> Tensor:
        chance, grain = (torch.Generator().manual_seed(seed) for seed in (1, 2))
        return make_cutouts(settings, picture, 16, chance, grain, *wrap)

    assert torch.equal(made(), made(FLAT))
    assert not torch.equal(made(), made(Wrap(x=True)))


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize("size", [(40, 32), (64, 96)])  # larger ones are averaged down before they are cut
def test_crops_see_a_picture_that_wraps_as_if_it_had_no_edge(wrap: Wrap, size: tuple[int, int]) -> None:
    settings = CutoutSettings(number=6, size_min=0.8, size_max=1.2, noise=0.0)
    picture = noise(1, 3, *size)
    draw = draw_cutouts(settings, size[1], size[0], torch.Generator().manual_seed(3), wrap)
    moved = picture.roll(shifts(wrap, 8), wrap.dimensions)
    # eight pixels further, in the coordinates of -1 to 1
    further = torch.eye(3)
    further[0, 2], further[1, 2] = wrap.x * 16 / size[1], wrap.y * 16 / size[0]
    draw_moved = type(draw)(further @ draw.homography, draw.colour, draw.erased, draw.noise, draw.share, wrap=wrap)
    torch.testing.assert_close(cut(moved, draw_moved, 16, None), cut(picture, draw, 16, None), atol=1e-4, rtol=0)


def test_crops_lie_across_the_edge_as_often_as_anywhere() -> None:
    """Where each crop's middle is, as a share of the width: even over a tile, in the middle only of a plain picture."""
    settings = CutoutSettings(number=512, size_min=0.8, size_max=0.8, affine_probability=0, perspective_probability=0)
    for wrap, spread in ((FLAT, 0.2), (Wrap(x=True), 1.0)):
        draw = draw_cutouts(settings, 64, 64, torch.Generator().manual_seed(0), wrap)
        x, y = draw.homography[:, 0, 2], draw.homography[:, 1, 2]
        assert x.abs().max() == pytest.approx(spread, rel=0.02)
        assert y.abs().max() == pytest.approx(0.2, rel=0.02)


def test_variation_counts_across_an_edge_that_wraps() -> None:
    ramp = torch.linspace(0, 1, 8).expand(1, 3, 8, 8)  # its only jump is at the edge
    term = TotalVariation(LossSettings(tv=1))
    (flat,), (wrapped,) = (list(term.losses(1.0, Picture(ramp, (), wrap))) for wrap in (FLAT, Wrap(x=True)))
    assert float(flat) == pytest.approx(1 / 7)
    assert float(wrapped) == pytest.approx(2 / 8)
    assert joined(ramp, FLAT) is ramp


def test_a_grid_is_led_back_by_whole_pictures() -> None:
    picture = noise(1, 1, 3, 1)  # smaller than what resampling looks at
    grid = (noise(2, 4, 4, 2, seed=1) - 0.5) * 6
    for wrap in WRAPS:
        whole = torch.tensor([2.0 * wrap.x, -4.0 * wrap.y])
        (one, places), (_, others) = led_back(picture, grid, wrap), led_back(picture, grid + whole, wrap)
        torch.testing.assert_close(places, others, atol=1e-5, rtol=0)
        assert one.shape[-2:] == (3 + 4 * wrap.y, 1 + 4 * wrap.x)


def test_a_roll_costs_no_number_of_chance_where_nothing_wraps() -> None:
    chance = torch.Generator().manual_seed(4)
    before = chance.get_state()
    picture = noise(1, 3, 4, 4)
    assert rolled(picture, FLAT, chance) is picture
    assert torch.equal(chance.get_state(), before)
    assert rolled(picture, Wrap(y=True), chance).sum() == pytest.approx(float(picture.sum()))


@pytest.mark.parametrize("wrap", WRAPS)
def test_starts_of_chance_have_no_seam_and_keep_their_spread(wrap: Wrap) -> None:
    coarse = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(5))
    spots = torch.nn.functional.interpolate(coarse, size=(64, 64), mode="bicubic")
    made = seamless(spots, wrap)
    for dimension in (-1, -2):
        steps = (made - made.roll(1, dimension)).abs()
        seam = float(steps.narrow(dimension, 0, 1).mean() / steps.narrow(dimension, 1, 63).mean())
        assert (seam < 1.6) == (dimension in wrap.dimensions)
    assert float(made.std()) == pytest.approx(float(spots.std()), rel=0.15)


def test_a_frame_has_its_rows_form() -> None:
    assert Form.of(row()) == PLAIN
    assert Form.of(row(tile="xy", symmetry="y")) == Form(Wrap(x=True, y=True), mirror_y=True)

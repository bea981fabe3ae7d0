"""Which way the camera moves, by facts that need no eye: a dot is put somewhere, and found again where it should be."""

import math

import pytest
import torch

from renderers.frame_plan.motion import STILL, Homography
from renderers.frame_rendering.warp import sampling_matrix, warp_of

SIZES = [(65, 65), (97, 49), (48, 96)]


def dots(width: int, height: int, *centres: tuple[float, float]) -> torch.Tensor:
    """A black picture `(1, 1, h, w)` with soft white dots at pixel offsets from the middle, y down."""
    y, x = torch.meshgrid(torch.arange(height).float(), torch.arange(width).float(), indexing="ij")
    x, y = x - (width - 1) / 2, y - (height - 1) / 2
    return sum(torch.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 4) for cx, cy in centres)[None, None]


def found(picture: torch.Tensor) -> tuple[float, float]:
    """Centre of mass of `(1, 1, h, w)`, as an offset from the middle in pixels, y down."""
    height, width = picture.shape[-2:]
    y, x = torch.meshgrid(torch.arange(height) - (height - 1) / 2, torch.arange(width) - (width - 1) / 2, indexing="ij")
    # beyond 17 pixels lie the dots that come into view by reflection
    mass = picture[0, 0].clamp(min=0) * (x**2 + y**2 < 17**2)
    return float((mass * x).sum() / mass.sum()), float((mass * y).sum() / mass.sum())


def moved(picture: torch.Tensor, camera: Homography, mode: str = "bicubic") -> torch.Tensor:
    return warp_of(camera, picture).move(picture, mode=mode)


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize(
    ("camera", "start", "end"),
    [
        (Homography.of(translate_x=5), (2, 3), (7, 3)),  # + x: to the right
        (Homography.of(translate_y=5), (2, 3), (2, 8)),  # + y: down
        (Homography.of(zoom=1.5), (6, -4), (9, -6)),  # in: away from the middle
        (Homography.of(zoom=0.5), (6, -4), (3, -2)),  # out: towards it
        (Homography.of(angle=90), (10, 0), (0, -10)),  # counter-clockwise: three o'clock goes to noon
        (Homography.of(angle=90), (0, -10), (-10, 0)),  # and noon to nine
        (Homography.of(angle=30), (10, 0), (10 * math.cos(math.pi / 6), -5)),
        (Homography.of(angle=-30), (10, 0), (10 * math.cos(math.pi / 6), 5)),
        # the shift is in pixels of the new frame, not scaled or turned with the picture
        (Homography.of(zoom=2, angle=90, translate_x=3, translate_y=-2), (4, 0), (3, -10)),
    ],
)
def test_a_dot_goes_where_the_camera_says(
    width: int, height: int, camera: Homography.of, start: tuple[float, float], end: tuple[float, float]
) -> None:
    assert found(moved(dots(width, height, start), camera)) == pytest.approx(end, abs=0.1)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_circle_stays_round_when_the_picture_is_not_square(width: int, height: int) -> None:
    turned = moved(dots(width, height, (0, 0)), Homography.of(angle=45, zoom=2))[0, 0].clamp(min=0)
    mass = turned / turned.sum()
    wide = (mass.sum(dim=0) * (torch.arange(width) - (width - 1) / 2) ** 2).sum()
    high = (mass.sum(dim=1) * (torch.arange(height) - (height - 1) / 2) ** 2).sum()
    # variance 2 of the dot, times zoom squared
    assert (float(wide), float(high)) == pytest.approx((8, 8), rel=0.05)


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
def test_no_move_changes_nothing(mode: str) -> None:
    picture = torch.rand(2, 3, 24, 40, generator=torch.Generator().manual_seed(0))
    assert STILL.still
    torch.testing.assert_close(moved(picture, STILL, mode), picture, atol=1e-5, rtol=0)


def test_a_move_and_its_inverse_meet_again() -> None:
    there = sampling_matrix(Homography.of(zoom=1.3, angle=20, translate_x=4, translate_y=-3), 60, 40)
    # back: first undo the shift, then turn and zoom
    back = sampling_matrix(Homography.of(zoom=1 / 1.3, angle=-20), 60, 40)
    undo = sampling_matrix(Homography.of(translate_x=-4, translate_y=3), 60, 40)
    torch.testing.assert_close(there @ undo @ back, torch.eye(3), atol=1e-5, rtol=0)


def test_a_picture_that_went_and_came_back_is_the_picture() -> None:
    picture = dots(64, 48, (5, -4), (-8, 3))
    there = moved(picture, Homography.of(translate_x=6, angle=0))
    torch.testing.assert_close(moved(there, Homography.of(translate_x=-6)), picture, atol=1e-3, rtol=0)
    turned = moved(moved(picture, Homography.of(angle=33)), Homography.of(angle=-33))
    assert float((turned - picture).abs().max()) < 0.05


def test_four_quarter_turns_of_a_square_are_none() -> None:
    picture = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        moved(picture, Homography.of(angle=90)), torch.rot90(picture, 1, (2, 3)), atol=1e-4, rtol=0
    )


def test_what_comes_into_view_is_the_reflection() -> None:
    picture = torch.arange(8.0).view(1, 1, 1, 8).expand(1, 1, 8, 8)
    out = moved(picture, Homography.of(translate_x=3))
    torch.testing.assert_close(out[0, 0, 4], torch.tensor([2.0, 1, 0, 0, 1, 2, 3, 4]), atol=1e-4, rtol=0)


def test_the_same_warp_moves_picture_and_latent_alike() -> None:
    """The moments live at an eighth of the resolution: a move of 16 pixels is one of two cells."""
    warp = warp_of(Homography.of(translate_x=16, translate_y=-8, angle=90), torch.zeros(1, 3, 128, 128))
    cells = torch.zeros(1, 1, 16, 16)
    cells[0, 0, 8, 11] = 1  # 3.5 cells right of the middle, half a cell below it
    out = warp.move(cells, mode="bilinear")
    # turned: half a cell to the right, 3.5 up; then two cells right, one up
    assert out[0, 0, 8 - 5, 8 + 2] == pytest.approx(1, abs=1e-4)


# --- homographies that are no similarities ----------------------------------------------------------------------------


def turned_aside(pan: float, width: int, field: float = 60.0) -> Homography:
    """The motion of what a camera sees that turns `pan` degrees to the right: K R K^-1."""
    focal, turn = width / 2 / math.tan(math.radians(field / 2)), math.radians(-pan)
    cos, sin = math.cos(turn), math.sin(turn)
    return Homography((cos, 0, focal * sin, 0, 1, 0, -sin / focal, 0, cos))


def test_what_a_camera_sees_goes_left_when_it_turns_to_the_right_and_comes_back() -> None:
    picture, pan = dots(64, 48, (2, 3)), turned_aside(5, 64)
    there = moved(picture, pan)
    assert found(there)[0] < found(picture)[0] - 3
    assert float((moved(there, pan.inverse()) - picture)[..., 8:-8, 8:-8].abs().max()) < 0.06


def test_a_point_goes_where_the_homography_says() -> None:
    tilted = Homography((1.1, 0.2, 3, -0.1, 0.9, -2, 0.004, -0.003, 1))
    x, y = 5.0, -4.0
    a, b, c, d, e, f, g, h, i = tilted.entries
    w = g * x + h * y + i
    end = ((a * x + b * y + c) / w, (d * x + e * y + f) / w)
    assert found(moved(dots(97, 49, (x, y)), tilted)) == pytest.approx(end, abs=0.15)


def test_what_lies_behind_the_plane_is_not_covered() -> None:
    picture = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    for pan in (80, 100):  # so far that a part of the new picture looks away from the old one
        warp = warp_of(turned_aside(pan, 40, 120), picture)
        right = warp.coverage(40, 40)[0, 0, :, -1]
        assert right.max() == 0
        assert torch.isfinite(warp.move(picture)).all()
    behind = warp_of(turned_aside(180, 40), picture)
    assert behind.coverage(40, 40).max() == 0
    assert torch.isfinite(behind.move(picture)).all()


def test_a_zoom_is_the_matrix_that_it_always_was_bit_for_bit() -> None:
    chance = torch.Generator().manual_seed(0)
    for zoom, angle, x, y in torch.rand(500, 4, generator=chance).double().tolist():
        zoom, angle, x, y = 0.5 + zoom, 90 * angle - 45, 20 * x - 10, 20 * y - 10
        turn, width, height = math.radians(angle), 64, 48
        cos, sin = math.cos(turn) / zoom, math.sin(turn) / zoom
        rotation = torch.tensor([[cos, -sin * height / width], [sin * width / height, cos]], dtype=torch.float64)
        shift = torch.tensor([2 * x / width, 2 * y / height], dtype=torch.float64)
        before = torch.cat([rotation, -(rotation @ shift)[:, None]], dim=1).float()
        assert torch.equal(sampling_matrix(Homography.of(zoom, angle, x, y), width, height)[:2], before)

"""Which way the camera moves, by facts that need no eye: a dot is put somewhere, and found again where it should be."""

import math

import pytest
import torch

from renderers.frames.warp import camera_matrix, move
from renderers.plan.camera_move import CameraMove

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


def moved(picture: torch.Tensor, camera: CameraMove) -> torch.Tensor:
    return move(picture, camera_matrix(camera, picture.shape[-1], picture.shape[-2]))


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize(
    ("camera", "start", "end"),
    [
        (CameraMove(x=5), (2, 3), (7, 3)),  # + x: to the right
        (CameraMove(y=5), (2, 3), (2, 8)),  # + y: down
        (CameraMove(zoom=1.5), (6, -4), (9, -6)),  # in: away from the middle
        (CameraMove(zoom=0.5), (6, -4), (3, -2)),  # out: towards it
        (CameraMove(angle=90), (10, 0), (0, -10)),  # counter-clockwise: three o'clock goes to noon
        (CameraMove(angle=90), (0, -10), (-10, 0)),  # and noon to nine
        (CameraMove(angle=30), (10, 0), (10 * math.cos(math.pi / 6), -5)),
        (CameraMove(angle=-30), (10, 0), (10 * math.cos(math.pi / 6), 5)),
        # the shift is in pixels of the new frame, not scaled or turned with the picture
        (CameraMove(zoom=2, angle=90, x=3, y=-2), (4, 0), (3, -10)),
    ],
)
def test_a_dot_goes_where_the_camera_says(
    width: int, height: int, camera: CameraMove, start: tuple[float, float], end: tuple[float, float]
) -> None:
    assert found(moved(dots(width, height, start), camera)) == pytest.approx(end, abs=0.1)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_circle_stays_round_when_the_picture_is_not_square(width: int, height: int) -> None:
    turned = moved(dots(width, height, (0, 0)), CameraMove(angle=45, zoom=2))[0, 0].clamp(min=0)
    mass = turned / turned.sum()
    wide = (mass.sum(dim=0) * (torch.arange(width) - (width - 1) / 2) ** 2).sum()
    high = (mass.sum(dim=1) * (torch.arange(height) - (height - 1) / 2) ** 2).sum()
    # variance 2 of the dot, times zoom squared
    assert (float(wide), float(high)) == pytest.approx((8, 8), rel=0.05)


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
def test_no_move_changes_nothing(mode: str) -> None:
    picture = torch.rand(2, 3, 24, 40, generator=torch.Generator().manual_seed(0))
    still = CameraMove()
    assert still.still
    torch.testing.assert_close(move(picture, camera_matrix(still, 40, 24), mode=mode), picture, atol=1e-5, rtol=0)


def test_a_move_and_its_inverse_meet_again() -> None:
    there = camera_matrix(CameraMove(zoom=1.3, angle=20, x=4, y=-3), 60, 40)
    # back: first undo the shift, then turn and zoom; both matrices as 3 x 3
    back = camera_matrix(CameraMove(zoom=1 / 1.3, angle=-20), 60, 40)
    undo = camera_matrix(CameraMove(x=-4, y=3), 60, 40)
    row = torch.tensor([[0.0, 0.0, 1.0]])
    whole = torch.cat([there, row]) @ torch.cat([undo, row]) @ torch.cat([back, row])
    torch.testing.assert_close(whole, torch.eye(3), atol=1e-5, rtol=0)


def test_a_picture_that_went_and_came_back_is_the_picture() -> None:
    picture = dots(64, 48, (5, -4), (-8, 3))
    there = moved(picture, CameraMove(x=6, angle=0))
    torch.testing.assert_close(moved(there, CameraMove(x=-6)), picture, atol=1e-3, rtol=0)
    turned = moved(moved(picture, CameraMove(angle=33)), CameraMove(angle=-33))
    assert float((turned - picture).abs().max()) < 0.05


def test_four_quarter_turns_of_a_square_are_none() -> None:
    picture = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    quarter = camera_matrix(CameraMove(angle=90), 16, 16)
    torch.testing.assert_close(move(picture, quarter), torch.rot90(picture, 1, (2, 3)), atol=1e-4, rtol=0)


def test_what_comes_into_view_is_the_reflection() -> None:
    picture = torch.arange(8.0).view(1, 1, 1, 8).expand(1, 1, 8, 8)
    out = moved(picture, CameraMove(x=3))
    torch.testing.assert_close(out[0, 0, 4], torch.tensor([2.0, 1, 0, 0, 1, 2, 3, 4]), atol=1e-4, rtol=0)


def test_the_same_matrix_moves_picture_and_latent_alike() -> None:
    """The moments live at an eighth of the resolution: a move of 16 pixels is one of two cells."""
    matrix = camera_matrix(CameraMove(x=16, y=-8, angle=90), 128, 128)
    cells = torch.zeros(1, 1, 16, 16)
    cells[0, 0, 8, 11] = 1  # 3.5 cells right of the middle, half a cell below it
    out = move(cells, matrix, mode="bilinear")
    # turned: half a cell to the right, 3.5 up; then two cells right, one up
    assert out[0, 0, 8 - 5, 8 + 2] == pytest.approx(1, abs=1e-4)

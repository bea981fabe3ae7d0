"""Naming colours of pixels, and whether a prompt's colour and background are there."""

from __future__ import annotations

import pytest
import torch

from renderers.evaluation.colours import background_colour, colour_names, named_colour_obeyed
from renderers.pictures.lab import lab
from renderers.training.captions import COLOURS


def disc(colour: str, background: str, *, radius: float = 0.6, side: int = 64) -> torch.Tensor:
    axis = torch.linspace(-1, 1, side)
    inside = axis[:, None] ** 2 + axis[None] ** 2 < radius**2
    paint = {name: torch.tensor(rgb).view(3, 1, 1) / 255 for name, rgb in COLOURS.items()}
    return torch.where(inside, paint[colour], paint[background])


def test_white_and_black_in_cielab() -> None:
    values = lab(torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]))
    assert values[0].tolist() == pytest.approx([100, 0, 0], abs=0.05)
    assert values[1].tolist() == pytest.approx([0, 0, 0], abs=0.05)


@pytest.mark.parametrize(
    ("rgb", "word"),
    [((200, 0, 0), "red"), ((0, 0, 139), "blue"), ((135, 206, 235), "blue"), ((34, 139, 34), "green"),
     ((255, 192, 203), "pink"), ((139, 69, 19), "brown"), ((245, 245, 245), "white"), ((128, 128, 128), "gray")],
)  # fmt: skip
def test_colours_are_called_as_people_call_them(rgb: tuple[int, int, int], word: str) -> None:
    assert next(iter(colour_names(torch.tensor([rgb]) / 255))) == word


def test_shares_add_up_and_the_largest_comes_first() -> None:
    shares = colour_names(torch.tensor([[220, 30, 35]] * 3 + [[70, 200, 225]] + [[40, 90, 215]] * 4) / 255)
    assert list(shares.items())[:2] == [("blue", pytest.approx(5 / 8)), ("red", pytest.approx(3 / 8))]
    assert sum(shares.values()) == pytest.approx(1)


def test_a_thing_and_its_background_are_distinguished() -> None:
    picture = disc("red", "blue")
    assert background_colour(picture) == "blue"
    assert named_colour_obeyed(picture, "red")
    assert not named_colour_obeyed(picture, "blue")
    assert not named_colour_obeyed(picture, "green")


def test_a_small_thing_counts_though_its_background_fills_the_middle() -> None:
    assert named_colour_obeyed(disc("yellow", "black", radius=0.3), "yellow")


def test_a_thing_of_the_background_s_colour_counts_only_if_it_is_most_of_the_middle() -> None:
    assert named_colour_obeyed(disc("green", "green"), "green")
    assert not named_colour_obeyed(disc("red", "green", radius=0.75), "green")

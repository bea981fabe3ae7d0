"""The judge's pictures and its places; that it learns is shown in the integration tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from renderers.errors import ModelFilesBroken
from renderers.evaluation.judge import Judge, JudgeSettings, judge_key, judge_styles, sitters
from renderers.evaluation.judge_pictures import PLAIN_GUISE, Guise, Sitters, compose, recoloured
from renderers.training.sprites import Sprites

SMALL = JudgeSettings(widths=(4, 8), blocks=(1, 1), steps=3)


def square(colour: tuple[int, int, int], side: int = 24) -> np.ndarray:
    pixels = np.zeros((side, side, 4), np.uint8)
    pixels[4:-4, 4:-4] = (*colour, 255)
    return pixels


def library() -> Sprites:
    pixels = np.stack([square((255, 0, 0)), square((0, 0, 255)), square((0, 255, 0)), square((9, 9, 9))])
    styles = ("openmoji", "fxemoji", "noto", "openmoji")
    return Sprites(pixels, styles, ("apple", "dog", "apple", ""), ("red apple", "dog face", "red apple", "x"))


def test_the_judge_learns_from_no_style_of_the_training() -> None:
    assert "openmoji" in judge_styles()
    assert not {"noto", "fluent", "twemoji", "openclipart"} & set(judge_styles())


def test_sitters_are_those_of_the_concepts_in_the_order_of_the_concepts() -> None:
    people = sitters(library(), ("dog", "apple"), "openmoji", "fxemoji")
    assert people.classes.tolist() == [1, 0]
    assert people.pixels.shape == (2, 4, 24, 24)
    with pytest.raises(ValueError, match="no sprite in the styles noto for dog"):
        sitters(library(), ("dog", "apple"), "noto")


def test_a_class_of_few_sprites_is_drawn_as_often() -> None:
    people = Sitters(torch.zeros(10, 4, 8, 8, dtype=torch.uint8), torch.tensor([0] * 9 + [1]))
    drawn = people.classes[people.draw(2000, torch.Generator().manual_seed(0))]
    assert 900 < int((drawn == 1).sum()) < 1100


@pytest.mark.parametrize("guise", [Guise(), PLAIN_GUISE])
def test_pictures_are_decided_by_the_chance_and_within_bounds(guise: Guise) -> None:
    people = sitters(library(), ("dog", "apple"), "openmoji", "fxemoji")
    one, again, other = (compose(people.pixels, 32, torch.Generator().manual_seed(seed), guise) for seed in (0, 0, 1))
    assert one.shape == (2, 3, 32, 32)
    assert bool(((one >= 0) & (one <= 1)).all())
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_a_plain_guise_leaves_the_thing_in_the_middle_in_its_colour() -> None:
    people = sitters(library(), ("dog", "apple"), "openmoji", "fxemoji")
    pictures = compose(people.pixels, 32, torch.Generator().manual_seed(3), PLAIN_GUISE)
    # class 1 is the red apple, first in the library
    assert pictures[0, :, 16, 16].argmax() == 0
    assert pictures[1, :, 16, 16].argmax() == 2


def test_turning_hues_leaves_grey_grey() -> None:
    grey = torch.full((4, 3, 2, 2), 0.5)
    seen = recoloured(grey, torch.Generator().manual_seed(0), 1.0, 0.2)
    assert float((seen.amax(1) - seen.amin(1)).max()) < 1e-5


def test_the_place_is_one_more_than_the_classes_that_are_likelier() -> None:
    judge = Judge(5, SMALL).eval()
    pictures = torch.rand(3, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        order = (judge(pictures) + judge(pictures.flip(3))).argsort(dim=1, descending=True)
    for place in range(5):
        assert judge.ranks(pictures, order[:, place]).tolist() == [place + 1] * 3


def test_the_key_changes_with_all_that_decides_a_judge() -> None:
    people = sitters(library(), ("dog", "apple"), "openmoji", "fxemoji")
    swapped = Sitters(people.pixels, people.classes.flip(0))
    keys = {
        judge_key("a", people, 64, SMALL),
        judge_key("b", people, 64, SMALL),
        judge_key("a", people, 96, SMALL),
        judge_key("a", swapped, 64, SMALL),
        judge_key("a", people, 64, SMALL.model_copy(update={"steps": 7})),
    }
    assert len(keys) == 5
    assert judge_key("a", people, 64, SMALL) in keys


def test_a_folder_without_a_judge_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ModelFilesBroken, match="holds no judge that can be read"):
        Judge.load(tmp_path)

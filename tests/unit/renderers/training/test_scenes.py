"""Scenes show what their captions say, and come out the same at the same address."""

import numpy as np
import pytest
import torch

from renderers.training.captions import COLOURS
from renderers.training.concepts import Concept
from renderers.training.scenes import SceneComposer
from renderers.training.sprites import Sprites

CONCEPTS = (Concept("ball", ("ball", "sphere"), "ball"), Concept("box", ("box",), "box"))


@pytest.fixture(scope="module")
def sprites():
    axis = np.linspace(-1, 1, 96)
    x, y = np.meshgrid(axis, axis)
    pixels = np.zeros((3, 96, 96, 4), np.uint8)
    pixels[0, ..., :3], pixels[0, ..., 3] = (220, 30, 35), (x**2 + y**2 < 0.8) * 255  # a red ball
    pixels[1, ..., :3], pixels[1, ..., 3] = (40, 90, 215), (np.maximum(abs(x), abs(y)) < 0.8) * 255  # a blue box
    pixels[2, ..., :3], pixels[2, ..., 3] = (50, 160, 60), (abs(x) < 0.3) * 255  # something without a name
    return Sprites(pixels, ("noto",) * 3, ("ball", "box", ""), ("ball", "box", "thing"))


@pytest.fixture(scope="module")
def composer(sprites):
    return SceneComposer(sprites, CONCEPTS, side=64)


def test_same_address_same_scenes(composer):
    one, two, other = (composer.compose(12, 5, step) for step in (7, 7, 8))
    assert torch.equal(one.pictures, two.pictures)
    assert (one.captions, one.false_captions) == (two.captions, two.false_captions)
    assert not torch.equal(one.pictures, other.pictures)


def test_shapes_ranges_and_every_kind(composer):
    scenes = composer.compose(200, 0, 0)
    assert scenes.pictures.shape == (200, 3, 64, 64)
    assert float(scenes.pictures.min()) >= 0
    assert float(scenes.pictures.max()) <= 1
    sizes = {(len(text.objects), max((thing.count for thing in text.objects), default=0) > 1) for text in scenes.texts}
    assert sizes == {(0, False), (1, False), (1, True), (2, False)}
    assert all(a != b for a, b in zip(scenes.captions, scenes.false_captions, strict=True))
    single = [len(t.objects) == 1 and t.objects[0].count == 1 for t in scenes.texts]
    assert all(is_single for is_single, concept in zip(single, scenes.concepts, strict=True) if concept >= 0)


def test_a_named_background_is_there(composer):
    """The corner's colour is nearest to the word's, for nearly all (an object may lie over a corner)."""
    scenes = composer.compose(300, 1, 0, kind="one")
    values = torch.tensor(list(COLOURS.values())) / 255
    right = [
        list(COLOURS)[int((values - picture[:, 0, 0]).norm(dim=1).argmin())] == text.background
        for picture, text in zip(scenes.pictures, scenes.texts, strict=True)
        if text.background
    ]
    assert len(right) > 80
    assert np.mean(right) > 0.9


def test_positions_are_where_the_caption_says(composer):
    """`left of`: what is left of the middle has the first object's colour."""
    checked = 0
    for step in range(12):
        scenes = composer.compose(20, 2, step, kind="two")
        for picture, text in zip(scenes.pictures, scenes.texts, strict=True):
            if text.relation != "left of" or text.background != "white":
                continue
            left, right = picture[..., 8:24].mean(dim=(1, 2)), picture[..., 40:56].mean(dim=(1, 2))
            red_is_left = text.objects[0].name in CONCEPTS[0].names
            assert (left[0] - left[2] > right[0] - right[2]) == red_is_left
            checked += 1
    assert checked > 3


def test_sprites_without_a_concept_come_only_when_asked(composer):
    plain = composer.compose(60, 3, 0, kind="one")
    assert all(concept >= 0 for concept in plain.concepts)
    assert all(concept == -1 for concept in composer.compose(20, 3, 0, any_sprite=True).concepts)


def test_no_concept_at_all_is_an_error(sprites):
    with pytest.raises(ValueError, match="none of the sprites shows a concept"):
        SceneComposer(sprites, (Concept("house", ("house",), "house"),))

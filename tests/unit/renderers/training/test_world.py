"""Scenes in places: they show what their captions say, feet stand on the ground, and an address gives one scene."""

import numpy as np
import pytest
import torch

from renderers.training.captions import SceneObject, SceneText, caption
from renderers.training.concepts import Concept
from renderers.training.landscapes import draw_place, lay_weather
from renderers.training.sprites import Sprites
from renderers.training.styles import WHOLE_PICTURE, restyled
from renderers.training.words_of_scenes import KINDS_OF_THINGS, MOMENTS, PLACES, STYLES
from renderers.training.world import KINDS, WorldComposer

CONCEPTS = (
    Concept("cow", ("cow",), "cow", kind="animal"),
    Concept("boat", ("boat",), "sailboat", kind="boat"),
    Concept("plane", ("plane",), "airplane", kind="aircraft"),
    Concept("green book", ("green book",), "green book", kind="thing"),
)


@pytest.fixture(scope="module")
def composer() -> WorldComposer:
    """Every sprite is a magenta box, a colour that no place has, with nothing in its upper third."""
    pixels = np.zeros((5, 144, 144, 4), np.uint8)
    pixels[:, 48:132, 12:132] = (255, 0, 255, 255)
    names = ("cow", "boat", "plane", "green book", "")
    return WorldComposer(Sprites(pixels, ("twemoji",) * 5, names, names), CONCEPTS, side=96)


def magenta(picture: torch.Tensor) -> torch.Tensor:
    """Where a picture `(3, h, w)` is magenta or a darker one."""
    red, green, blue = picture
    return (torch.minimum(red, blue) > 0.3) & (green < 0.45 * torch.minimum(red, blue))


def test_same_address_same_scenes(composer):
    one, two, other = (composer.compose(12, 5, step) for step in (7, 7, 8))
    assert torch.equal(one.pictures, two.pictures)
    assert (one.captions, one.false_captions) == (two.captions, two.false_captions)
    assert not torch.equal(one.pictures, other.pictures)


def test_every_kind_is_composed_and_no_false_caption_is_true(composer):
    scenes = composer.compose(250, 0, 0)
    assert scenes.pictures.shape == (250, 3, 96, 96)
    assert 0 <= float(scenes.pictures.min()) <= float(scenes.pictures.max()) <= 1
    assert sum(text.place is not None for text in scenes.texts) > 80
    assert {text.style for text in scenes.texts} > {None, "pastel", "sketch"}
    assert {text.moment for text in scenes.texts} == {None, *MOMENTS}
    plain = [(caption(t), false) for t, false in zip(scenes.texts, scenes.false_captions, strict=True)]
    assert all(true != false for true, false in plain)
    single = [len(t.objects) == 1 and t.objects[0].count == 1 for t in scenes.texts]
    assert all(is_single for is_single, concept in zip(single, scenes.concepts, strict=True) if concept >= 0)
    assert sum(KINDS.values()) == pytest.approx(1)


def test_feet_stand_on_the_ground_and_planes_fly(composer):
    scenes = composer.compose(300, 1, 0, kind="one in place")
    lowest: dict[str, list[float]] = {"cow": [], "plane": []}
    for picture, text in zip(scenes.pictures, scenes.texts, strict=True):
        name = text.objects[0].name
        ground = text.place in ("field", "road", "desert", "city", "snow", "mountains")
        if name in lowest and ground and text.moment is None and text.style is None and not text.objects[0].colour:
            rows = magenta(picture).any(dim=1).nonzero().flatten()
            if len(rows):
                lowest[name].append(float(rows[-1]) / 96)
    assert len(lowest["cow"]) > 5
    assert len(lowest["plane"]) > 5
    assert min(lowest["cow"]) > 0.5  # below the highest horizon
    assert np.mean(lowest["plane"]) < np.mean(lowest["cow"]) - 0.1


def test_left_is_left_and_on_is_above(composer):
    """Of two boxes the first is where the caption says, by the layers that are painted."""
    rng = np.random.default_rng(0)
    backdrop = draw_place("field", None, 96, rng)
    seen = set()
    for _ in range(120):
        layers = []
        objects, relation = composer._two(
            0, [(0, 0), (3, 3)], ["animal", "thing"], "field", backdrop, layers, rng
        )  # fmt: skip
        if relation is None:
            continue
        seen.add(relation)
        by_name = {composer.concepts[0 if layer.sprite == 0 else 3].name: layer for layer in layers}
        first, second = (by_name[thing.name] for thing in objects)
        if relation == "left of":
            assert first.x < second.x - 0.5
        elif relation == "on":
            assert first.y + 0.2 < second.y
        elif relation == "in front of":  # lower, and painted later
            assert layers.index(first) > layers.index(second)
    assert seen == {"left of", "right of", "next to", "in front of", "behind", "on", "under"}


def test_false_captions_often_have_positions_and_counts_wrong(composer):
    """What is hardest to see: of scenes that say a position or a count, half and more of the false captions."""
    rng = np.random.default_rng(0)
    beside = SceneText((SceneObject("cow"), SceneObject("boat")), "left of", place="sea")
    alike = SceneText((SceneObject("cow", "red", 3),), place="field")
    wrong = [composer._made_wrong(beside, rng) for _ in range(200)]
    assert sum(text.relation == "right of" for text in wrong) > 100
    assert sum(text.place != "sea" for text in wrong) > 10
    wrong = [composer._made_wrong(alike, rng) for _ in range(200)]
    assert sum(text.objects[0].count != 3 for text in wrong) > 100


def test_what_has_a_colour_in_its_name_keeps_it(composer):
    scenes = composer.compose(200, 2, 0)
    books = [o for text in scenes.texts for o in text.objects if o.name == "green book"]
    assert len(books) > 10
    assert {book.colour for book in books} == {None}


def test_outlined_and_silhouettes_are_seen_to_be(composer):
    scenes = composer.compose(400, 3, 0, kind="one")
    dark = {"silhouette": [], None: []}
    for picture, text in zip(scenes.pictures, scenes.texts, strict=True):
        if (text.style in dark and text.background == "white") or text.style == "silhouette":
            dark[text.style].append(float((picture.amax(dim=0) < 0.12).float().mean()))
    assert len(dark["silhouette"]) > 2
    assert min(dark["silhouette"]) > 0.1


def test_any_sprite_has_no_concept(composer):
    assert set(composer.compose(30, 4, 0, any_sprite=True).concepts.tolist()) == {-1}


@pytest.mark.parametrize("place", PLACES)
def test_a_place_draws_itself_at_every_moment_and_says_where_feet_may_be(place):
    for moment in (None, *(MOMENTS if PLACES[place].moments else ())):
        drawn = draw_place(place, moment, 64, np.random.default_rng(3))
        again = draw_place(place, moment, 64, np.random.default_rng(3))
        assert torch.equal(drawn.pixels, again.pixels)
        assert drawn.pixels.shape == (3, 64, 64)
        assert 0 <= float(drawn.pixels.min()) <= float(drawn.pixels.max()) <= 1
        assert 0 < drawn.floor[0] < drawn.floor[1] <= 1
        assert float(drawn.pixels.std()) > 0.01
        before = drawn.pixels.clone()
        lay_weather(drawn.pixels, place, moment, np.random.default_rng(4))
        assert moment is None or not torch.equal(before, drawn.pixels)


def test_nights_are_darker_than_days():
    for place in ("sea", "field", "city", "snow"):
        day, night = (
            np.mean([float(draw_place(place, moment, 48, np.random.default_rng(i)).pixels.mean()) for i in range(5)])
            for moment in (None, "night")
        )
        assert night < 0.5 * day


@pytest.mark.parametrize(
    ("place", "moment", "message"),
    [("room", "night", "looks the same at 'night'"), ("moon", None, "places are sky, sea")],
)
def test_a_place_that_can_not_be_drawn_says_why(place, moment, message):
    with pytest.raises(ValueError, match=message):
        draw_place(place, moment, 32, np.random.default_rng(0))


def test_every_style_changes_a_picture_and_keeps_its_form():
    picture = draw_place("garden", None, 64, np.random.default_rng(0)).pixels
    for style in WHOLE_PICTURE:
        made = restyled(picture, style, np.random.default_rng(1))
        assert made.shape == picture.shape
        assert 0 <= float(made.min()) <= float(made.max()) <= 1
        assert float((made - picture).abs().mean()) > 0.01, style
    grey = restyled(picture, "black and white", np.random.default_rng(1))
    assert torch.allclose(grey[0], grey[1])
    assert {*WHOLE_PICTURE, "flat", "outlined", "silhouette"} == set(STYLES)


def test_homes_are_kinds_of_things():
    assert {kind for place in PLACES.values() for kind in place.home_of} <= set(KINDS_OF_THINGS)

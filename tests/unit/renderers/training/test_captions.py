"""Captions say what a scene shows; false captions are wrong in one word."""

from dataclasses import replace

import numpy as np
import pytest

from renderers.training.captions import COLOURS, SceneObject, SceneText, caption, swapped

NAMES = ("apple", "cat", "bus", "cherry")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SceneText((SceneObject("apple"),)), "an apple"),
        (SceneText((SceneObject("apple", "red"),), background="blue"), "a red apple on a blue background"),
        (SceneText((SceneObject("bus", count=3),)), "three buses"),
        (SceneText((SceneObject("cherry", count=2),)), "two cherries"),
        (SceneText((SceneObject("key", count=2),)), "two keys"),
        (SceneText((SceneObject("cat"), SceneObject("bus")), "left of"), "a cat left of a bus"),
        (SceneText((SceneObject("cat"), SceneObject("bus"))), "a cat and a bus"),
        (SceneText((SceneObject("unicorn"),)), "a unicorn"),
        (SceneText((), background="orange"), "an orange background"),
        (SceneText((SceneObject("cat"),), background="orange"), "a cat on an orange background"),
        (SceneText((SceneObject("cat"),), place="snow"), "a cat in the snow"),
        (SceneText((SceneObject("boat"),), place="sea", moment="sunset"), "a boat on the sea at sunset"),
        (
            SceneText((SceneObject("car", "red"), SceneObject("house")), "in front of", place="field"),
            "a red car in front of a house in a field",
        ),
        (SceneText((), place="forest", moment="night"), "a forest at night"),
        (SceneText((SceneObject("cat"),), background="blue", style="pastel"), "a cat on a blue background, pastel"),
        (SceneText((SceneObject("jeans"), SceneObject("bus")), place="road"), "jeans and a bus on the road"),
    ],
)
def test_plain_words(text, words):
    assert caption(text) == words


def test_templates_keep_what_is_said():
    text = SceneText((SceneObject("cat", "red"),), background="blue")
    rng = np.random.default_rng(0)
    said = {caption(text, rng) for _ in range(200)}
    assert len(said) > 3
    assert all("red cat" in words and words.endswith("on a blue background") for words in said)


def test_what_has_no_article_gets_none_where_words_are_to_be_natural():
    assert caption(SceneText((SceneObject("face with open hands"),)), natural=True) == "a face with open hands"
    for name, words in (
        ("jeans", "jeans"),
        ("bread", "bread"),
        ("cactus", "a cactus"),
        ("men fighting", "men fighting"),
    ):
        assert caption(SceneText((SceneObject(name),)), natural=True) == words
    assert caption(SceneText((SceneObject("jeans", count=2),)), natural=True) == "two jeans"
    assert caption(SceneText((SceneObject("jeans"),))) == "a jeans"


def test_other_words_for_a_place_and_a_relation_say_the_same():
    text = SceneText((SceneObject("cat"), SceneObject("bus")), "left of", place="sea", moment="night", style="neon")
    said = [caption(text, np.random.default_rng(seed)) for seed in range(60)]
    assert len(set(said)) > 20
    assert {words for words in said if "left of" not in words or "neon" not in words} == set()


@pytest.mark.parametrize("what", ["place", "moment", "style"])
def test_a_swap_of_where_when_and_how_changes_that_alone(what):
    text = SceneText((SceneObject("cat"),), place="sea", moment="night", style="neon")
    for seed in range(20):
        false = swapped(text, NAMES, np.random.default_rng(seed), what=what)
        assert replace(false, **{what: getattr(text, what)}) == text
        assert getattr(false, what) not in (None, getattr(text, what))


@pytest.mark.parametrize("what", ["name", "colour", "count", "position", "background"])
def test_a_swap_changes_that_alone(what):
    text = SceneText((SceneObject("cat", "red", 2), SceneObject("bus", "red", 2)), "above", "blue")
    for seed in range(20):
        false = swapped(text, NAMES, np.random.default_rng(seed), what=what)
        differing = {
            "position": false.relation != text.relation,
            "background": false.background != text.background,
            **{
                field: sum(
                    getattr(a, attribute) != getattr(b, attribute)
                    for a, b in zip(false.objects, text.objects, strict=True)
                )
                for field, attribute in (("name", "name"), ("colour", "colour"), ("count", "count"))
            },
        }
        assert differing == {**dict.fromkeys(differing, 0), what: 1}
        assert false.background in COLOURS


def test_what_is_not_said_can_not_be_swapped():
    with pytest.raises(ValueError, match="says nothing of 'colour'"):
        swapped(SceneText((SceneObject("cat"),)), NAMES, np.random.default_rng(0), what="colour")

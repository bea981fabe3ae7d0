"""Captions say what a scene shows; false captions are wrong in one word."""

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

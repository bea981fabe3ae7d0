"""What the concepts are: complete, each word with one owner, and at least what the embedded model lists."""

from __future__ import annotations

import pytest

from renderers.registry import Registry
from renderers.training.concepts import COLOURS, load_concepts, parse_concepts


def test_enough_concepts_each_with_its_own_words() -> None:
    concepts = load_concepts()
    assert len(concepts) >= 250
    words = [name for concept in concepts for name in concept.names]
    assert len(words) == len(set(words))
    assert all(concept.names[0] == concept.name for concept in concepts)
    assert {concept.colour for concept in concepts} <= {*COLOURS, None}


def test_every_concept_of_the_embedded_model_is_one() -> None:
    assert set(Registry().entry("embedded").concepts) <= {concept.name for concept in load_concepts()}


def test_an_entry_without_synonyms_or_colour_has_neither() -> None:
    (concept,) = parse_concepts("- {name: kite, emoji: kite}")
    assert (concept.names, concept.emoji, concept.colour) == (("kite",), "kite", None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- {name: apple}", "needs a name and an emoji"),
        ("- {name: apple, emoji: red apple, color: red}", r"unknown field\(s\) \['color'\]"),
        ("- {name: apple, emoji: red apple, colour: crimson}", "colour 'crimson' of 'apple' is not one of red"),
        (
            "- {name: cock, emoji: rooster}\n- {name: hen, synonyms: [cock], emoji: chicken}",
            "name 'cock' of 'hen' is taken by 'cock'",
        ),
        (
            "- {name: cock, emoji: rooster}\n- {name: hen, emoji: rooster}",
            "emoji 'rooster' of 'hen' is taken by 'cock'",
        ),
    ],
)
def test_a_wrong_entry_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_concepts(text)

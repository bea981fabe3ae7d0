"""What is called how: labels as people write them, clip art by its title, and whole animals beside their faces."""

import numpy as np
import pytest

from renderers.training.sources import EmojiWords
from renderers.training.sprites import Sprites
from renderers.training.vocabulary import named_sprites, tidy_label, tidy_title


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("Christmas tree", "christmas tree"),
        ("man: red hair", "man with red hair"),
        ("woman: bald", "woman with a bald head"),
        ("woman’s hat", "womans hat"),
        ("T-Rex", "t rex"),
        ("family: man, woman, boy", None),
        ("twelve o’clock", None),
        ("keycap: 1", None),
        ("person walking: facing right", None),
        ("Japanese “free of charge” button", None),
    ],
)
def test_labels_as_people_write_them(label, name):
    assert tidy_label(label) == name


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("the brown goose", "brown goose"),
        ("clipart by nicu buculei goose", "goose"),
        ("frying goose (padella in italian)", None),
        ("rana", None),
        ("brown", None),
        ("a goose and a brown goose", None),
        ("goose#", "goose"),
    ],
)
def test_titles_of_known_words_alone(title, name):
    assert tidy_title(title, frozenset({"goose", "brown", "and"})) == name


def test_who_has_a_name():
    drawn = [
        ("noto", "dog face"), ("twemoji", "dog face"),  # a concept of concepts.yaml
        ("noto", "dog"), ("twemoji", "dog"),  # the whole animal is called so too
        ("noto", "badger"), ("fluent", "badger"),
        ("noto", "otter"),  # one style alone
        ("noto", "otters"), ("openmoji", "otters"),  # and one that is held out
        ("noto", "Aries"), ("twemoji", "Aries"),  # a sign that nobody asks for
        ("openclipart", "small dog"), ("openclipart", "honey badger"), ("openclipart", "cane"),
        ("openclipart", "small honey"),
    ]  # fmt: skip
    words = {
        "badger": EmojiWords("animal-mammal", ("honey", "pester")),
        "dog": EmojiWords("animal-mammal", ("pet", "small")),
        "dog face": EmojiWords("animal-mammal", ()),
        "otter": EmojiWords("animal-mammal", ()),
        "Aries": EmojiWords("zodiac", ("ram",)),
    }
    styles, labels = zip(*drawn, strict=True)
    pixels = np.zeros((len(drawn), 4, 4, 4), np.uint8)
    sprites, concepts = named_sprites(Sprites(pixels, styles, ("",) * len(drawn), labels, words=words))
    assert sprites.concept == (
        "dog", "dog", "dog", "dog", "badger", "badger", "", "", "", "", "", "dog", "badger", "", "small honey",
    )  # fmt: skip
    kinds = {concept.name: concept.kind for concept in concepts}
    assert (kinds["dog"], kinds["badger"], kinds["small honey"]) == ("animal", "animal", "thing")
    assert len(kinds) == len(concepts)

"""All that has a name: the concepts of `concepts.yaml`, every other emoji that two styles draw, and clip art whose
title is made of known words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import cache

from renderers.training.captions import COLOURS
from renderers.training.concepts import Concept, load_concepts
from renderers.training.sprites import STYLES, Sprites

__all__ = ["named_sprites", "tidy_label", "tidy_title"]

MIN_STYLES = 2  # an emoji that one style alone draws is learnt as that style's picture
CLIPART = "openclipart"

# Of what Unicode calls a subgroup, which things it holds. Those left out show letters, signs and buttons: no one asks
# for "a part alternation mark", and they look alike.
KINDS = {
    "animal": ("animal-mammal", "animal-amphibian", "animal-reptile"),
    "sea animal": ("animal-marine",),
    "bird": ("animal-bird",),
    "insect": ("animal-bug",),
    "person": (
        "person", "person-gesture", "person-role", "person-fantasy", "person-activity", "person-sport",
        "person-resting", "family",
    ),
    "face": (
        "face-smiling", "face-affection", "face-tongue", "face-hand", "face-neutral-skeptical", "face-sleepy",
        "face-unwell", "face-hat", "face-glasses", "face-concerned", "face-negative", "face-costume", "cat-face",
        "monkey-face",
    ),
    "plant": ("plant-flower", "plant-other"),
    "food": ("food-fruit", "food-vegetable", "food-prepared", "food-asian", "food-sweet", "drink", "dishware"),
    "building": ("place-geographic", "place-building", "place-religious", "place-other"),
    "vehicle": ("transport-ground",),
    "boat": ("transport-water",),
    "aircraft": ("transport-air",),
    "sky": ("sky-weather",),
    "furniture": ("household",),
    "sign": (
        "heart", "emotion", "hand-fingers-open", "hand-fingers-partial", "hand-single-finger", "hand-fingers-closed",
        "hands", "hand-prop", "body-parts", "person-symbol", "place-map", "religion", "warning",
    ),
    "thing": (
        "hotel", "time", "event", "award-medal", "sport", "game", "arts-crafts", "clothing", "sound", "music",
        "musical-instrument", "phone", "computer", "light-video", "book-paper", "money", "mail", "writing", "office",
        "lock", "tool", "science", "medical", "other-object",
    ),
}  # fmt: skip
KIND_OF_SUBGROUP = {subgroup: kind for kind, subgroups in KINDS.items() for subgroup in subgroups}

# Things whose subgroup says something else than where they are at home.
KIND_OF_LABEL = {
    "fire": "thing", "droplet": "thing", "umbrella": "thing", "closed umbrella": "thing", "snowman": "person",
    "snowman without snow": "person", "thermometer": "thing", "umbrella on ground": "thing", "water wave": "sea animal",
    "balloon": "aircraft", "kite": "aircraft", "Christmas tree": "plant", "fireworks": "sky", "bat": "bird",
    "butterfly": "insect", "anchor": "thing", "ghost": "person", "alien": "person", "robot": "person",
    "pile of poo": "thing", "skull": "thing", "skull and crossbones": "sign", "paw prints": "sign", "seat": "furniture",
    "penguin": "animal", "chicken": "animal", "rooster": "animal", "turkey": "animal", "feather": "thing",
    "dragon": "animal", "bed": "furniture", "brick": "thing", "wood": "thing", "rock": "thing", "hot springs": "sign",
    "wheel": "thing", "stop sign": "thing", "fuel pump": "thing", "roller skate": "thing", "skateboard": "thing",
}  # fmt: skip

# Pictures of places, which the scenes draw themselves: a beach in a small square on a beach says little.
PICTURES_OF_PLACES = frozenset({
    "beach with umbrella", "desert", "desert island", "national park", "sunrise over mountains", "sunrise", "foggy",
    "night with stars", "cityscape", "cityscape at dusk", "sunset", "bridge at night", "landslide", "milky way",
    "camping",
})  # fmt: skip

# "woman: red hair" -> "woman with red hair"
WITH = {"beard": "a beard", "bald": "a bald head"}
UNTIDY = re.compile(r"o’clock|-thirty|facing right|[“”#*]|^keycap|^Mx |tone$")


def tidy_label(label: str) -> str | None:
    """What a person would write for an emoji's label, None where nobody would: clock faces, kinship by the letter."""
    if UNTIDY.search(label):
        return None
    words = re.sub(r"[.,!’']", "", label).lower().replace("-", " ").strip()
    if ":" in words:
        thing, _, rest = words.partition(": ")
        if thing in ("family", "kiss", "couple with heart") or thing not in ("man", "woman", "person"):
            return None
        words = f"{thing} with {WITH.get(rest, rest)}"
    return re.sub(r"\s*\([^)]*\)", "", words)


# What clip art calls itself besides what it shows.
NOISE = re.compile(r"clip ?arts?( by \w+ \w+)?|\([^)]*\)?|#|\b(icon|cartoon|simple|picture|illustration|another)\b")
NUMBER_OF_WORDS = 3


def tidy_title(title: str, known: frozenset[str]) -> str | None:
    """The name in a clip art's title, None if it has a word that is not among the `known` or says nothing but how the
    drawing looks."""
    words = re.sub(r"[^a-z ]", " ", NOISE.sub(" ", title.lower())).split()
    while words and words[0] in ("a", "an", "the"):
        words = words[1:]
    if not 1 <= len(words) <= NUMBER_OF_WORDS or any(word not in known for word in words):
        return None
    return None if all(word in COLOURS for word in words) else " ".join(words)


def named_sprites(sprites: Sprites) -> tuple[Sprites, tuple[Concept, ...]]:
    """`sprites` with the name of what each shows as its concept ('' where it has none that is usable), and all
    concepts, those of `concepts.yaml` first.

    An emoji that is called like a concept joins it: "dog" (the whole animal) and "dog face" are both a dog.
    """
    drawn: dict[str, set[str]] = {}
    for style, label in zip(sprites.style, sprites.label, strict=True):
        if style != CLIPART and STYLES[style] == "training":  # what is held out has no part in what is taught
            drawn.setdefault(label, set()).add(style)
    common = {label for label, styles in drawn.items() if len(styles) >= MIN_STYLES}

    def kind(label: str) -> str | None:
        said = sprites.words.get(label)
        return KIND_OF_LABEL.get(label) or (KIND_OF_SUBGROUP.get(said.subgroup) if said else None)

    concepts = {c.name: replace(c, kind=kind(c.emoji) or "thing") for c in load_concepts()}
    owner = {name: concept.name for concept in concepts.values() for name in concept.names}
    of_label = {concept.emoji: concept.name for concept in concepts.values()}
    for label in sorted(common - of_label.keys() - PICTURES_OF_PLACES):
        name, its_kind = tidy_label(label), kind(label)
        if name is None or its_kind is None:
            continue
        if name not in owner:
            concepts[name] = Concept(name, (name,), label, kind=its_kind)
            owner[name] = name
        of_label[label] = owner[name]

    known = _known_words(sprites, owner)
    shown = []
    for style, label in zip(sprites.style, sprites.label, strict=True):
        if style != CLIPART:
            shown.append(of_label.get(label, ""))
            continue
        title = tidy_title(label, known)
        found = _owned(title, owner) if title else ""
        if title and not found and " " in title:
            concepts[title] = Concept(title, (title,), "")
            owner[title] = found = title
        shown.append(found)
    return replace(sprites, concept=tuple(shown)), tuple(concepts.values())


def _owned(title: str, owner: dict[str, str]) -> str:
    """The concept that a title names by its last words ("small brown goose": goose), or ''."""
    words = title.split()
    for first in range(len(words)):
        rest = " ".join(words[first:])
        for name in (rest, rest.removesuffix("s"), rest.removesuffix("es")):
            if name in owner:
                return owner[name]
    return ""


def _known_words(sprites: Sprites, names: Iterable[str]) -> frozenset[str]:
    """Words that names of concepts and emojibase's labels and tags use."""
    texts = [*names, *COLOURS, *sprites.words, *(tag for said in sprites.words.values() for tag in said.tags)]
    words = {word for text in texts for word in _split(text)}
    return frozenset(words | {f"{word}s" for word in words})


@cache
def _split(text: str) -> tuple[str, ...]:
    return tuple(word for word in re.split(r"[^a-z]+", text.lower()) if len(word) > 2)

"""What a composed scene shows, as data, and the words for it: a caption, and captions that are wrong in one word.

The wrong ones are hard negatives for the perceptor's training (Yuksekgonul et al. 2023, "When and why vision-language
models behave like bags-of-words", section 5): they differ from the truth in one colour, count, position, background,
place, moment, style or name, which a perceptor that only knows nouns can't tell.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from renderers.training.words_of_scenes import MOMENTS, PLACES, STYLES

__all__ = [
    "COLOURS",
    "RELATIONS",
    "SHAPES",
    "SceneObject",
    "SceneText",
    "caption",
    "plural",
    "swapped",
]

# Colour words that people use, with one RGB for each.
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 30, 35),
    "orange": (245, 140, 25),
    "yellow": (250, 215, 40),
    "green": (50, 160, 60),
    "blue": (40, 90, 215),
    "purple": (130, 50, 180),
    "pink": (250, 140, 185),
    "brown": (125, 75, 40),
    "black": (20, 20, 22),
    "white": (250, 250, 250),
    "gray": (135, 135, 140),
    "cyan": (70, 200, 225),
}

# How two objects lie, and the opposite.
RELATIONS: dict[str, str] = {
    "left of": "right of",
    "right of": "left of",
    "above": "below",
    "below": "above",
}

# These too can be seen, where one thing may hide another or carry it.
ALL_RELATIONS: dict[str, str] = RELATIONS | {
    "in front of": "behind",
    "behind": "in front of",
    "on": "under",
    "under": "on",
}

# Other words for a relation, which a caption takes now and then.
RELATION_WORDS: dict[str, tuple[str, ...]] = {
    "left of": ("to the left of", "on the left of"),
    "right of": ("to the right of", "on the right of"),
    "above": ("over", "floating above"),
    "below": ("underneath", "beneath"),
    "on": ("on top of", "sitting on"),
    "under": ("below", "underneath"),
    "next to": ("beside", "with", "near"),
}

SHAPES = ("circle", "square", "triangle", "ring", "diamond", "cross", "bar")

NUMBERS = {2: "two", 3: "three", 4: "four"}

# "{}" stands for what is shown; plain words come most often, since that is how prompts are written.
TEMPLATES = (
    "{}",
    "{}",
    "{}",
    "{}",
    "{}",
    "{}",
    "a picture of {}",
    "a drawing of {}",
    "an icon of {}",
    "a painting of {}",
)


@dataclass(frozen=True)
class SceneObject:
    """One thing, or several alike: `name` without article, `colour` only where the caption is to say it."""

    name: str
    colour: str | None = None
    count: int = 1


@dataclass(frozen=True)
class SceneText:
    """What a scene shows: one or two objects (none: the background alone), how they lie, and on what.

    `background` is a colour word, or None where the caption says nothing of it. A scene in a `place` of `PLACES` has
    none; it may say the `moment` of `MOMENTS`. `style` is one of `STYLES`.
    """

    objects: tuple[SceneObject, ...]
    relation: str | None = None
    background: str | None = None
    place: str | None = None
    moment: str | None = None
    style: str | None = None


def caption(text: SceneText, rng: np.random.Generator | None = None, *, natural: bool = False) -> str:
    """The words for a scene; without `rng` in the plainest form. `natural` leaves out the article before what has none
    ("jeans", "bread"); the first pair was taught with one before every name."""
    if text.place or text.moment or text.style:
        return _long_caption(text, rng)
    phrases = [_phrase(thing, natural=natural) for thing in text.objects]
    if not phrases:
        return f"{_article(str(text.background))} background"
    words = phrases[0] if len(phrases) == 1 else f"{phrases[0]} {text.relation or 'and'} {phrases[1]}"
    if rng is not None and rng.random() < 0.1 and len(phrases) == 1 and words.startswith(("a ", "an ")):
        words = words.split(" ", 1)[1]
    if rng is not None:
        words = TEMPLATES[rng.integers(len(TEMPLATES))].format(words)
    if text.background is not None:
        words += f" on {_article(text.background)} background"
    return words


def _long_caption(text: SceneText, rng: np.random.Generator | None) -> str:
    """The words for a scene in a place, at a moment or in a style: "a pastel drawing of two boats on the sea"."""

    def one_of(words: tuple[str, ...]) -> str:
        return words[0] if rng is None else words[int(rng.integers(len(words)))]

    phrases = [_phrase(thing, natural=True) for thing in text.objects]
    relation = text.relation or "and"
    if rng is not None and rng.random() < 0.4:
        relation = one_of(RELATION_WORDS.get(relation, (relation,)))
    words = f" {relation} ".join(phrases)
    if text.place is not None:
        place = PLACES[text.place]
        words = f"{words} {one_of(place.around)}" if phrases else one_of(place.alone)
    elif text.background is not None and phrases:
        words += f" on {_article(text.background)} background"
    elif text.background is not None:
        words = f"{_article(text.background)} background"
    if text.moment is not None:
        words += f" {one_of(MOMENTS[text.moment].words)}"
    if text.style is not None:
        return one_of(STYLES[text.style]).format(words)
    return words if rng is None else TEMPLATES[rng.integers(len(TEMPLATES))].format(words)


def swapped(text: SceneText, names: tuple[str, ...], rng: np.random.Generator, *, what: str | None = None) -> SceneText:
    """`text` with one attribute made wrong: `what` of `name`, `colour`, `count`, `position`, `background`, `place`,
    `moment`, `style` (None: any that the scene says). A name is replaced by one of `names`.

    Raises:
        ValueError: the scene does not say `what`.
    """
    said = ["name"] if text.objects else []
    if any(thing.colour for thing in text.objects):
        said.append("colour")
    if any(thing.count > 1 for thing in text.objects):
        said.append("count")
    if text.relation in ALL_RELATIONS:
        said.append("position")
    said += [name for name in ("background", *OTHERS) if getattr(text, name) is not None]
    chosen = what if what is not None else said[int(rng.integers(len(said)))]
    if chosen not in said:
        raise ValueError(f"the scene {text} says nothing of '{chosen}'")
    if chosen == "position":
        assert text.relation is not None
        return replace(text, relation=ALL_RELATIONS[text.relation])
    if chosen == "background":
        return replace(text, background=_another(tuple(COLOURS), text.background, rng))
    if chosen in OTHERS:
        return replace(text, **{chosen: _another(OTHERS[chosen], getattr(text, chosen), rng)})
    candidates = [
        i
        for i, thing in enumerate(text.objects)
        if chosen == "name" or (chosen == "colour" and thing.colour) or (chosen == "count" and thing.count > 1)
    ]
    which = candidates[int(rng.integers(len(candidates)))]
    thing = text.objects[which]
    if chosen == "name":
        thing = replace(thing, name=_another(names, thing.name, rng))
    elif chosen == "colour":
        thing = replace(thing, colour=_another(tuple(COLOURS), thing.colour, rng))
    else:
        thing = replace(thing, count=_another((1, *NUMBERS), thing.count, rng))
    return replace(text, objects=(*text.objects[:which], thing, *text.objects[which + 1 :]))


# What may stand for the place, the moment and the style in a false caption.
OTHERS: dict[str, tuple[str, ...]] = {"place": tuple(PLACES), "moment": tuple(MOMENTS), "style": tuple(STYLES)}


def _another(choices: tuple[Any, ...], than: Any, rng: np.random.Generator) -> Any:
    others = [choice for choice in choices if choice != than]
    return others[int(rng.integers(len(others)))]


# Names that are no plural by their letters, and have no article nevertheless.
WITHOUT_ARTICLE = frozenset({
    "broccoli", "bread", "butter", "cheese", "chocolate", "coffee", "corn", "fire", "garlic", "ginger", "honey", "milk",
    "mount fuji", "people", "popcorn", "rice", "salt", "santa claus", "saturn", "spaghetti", "sushi", "tennis", "wood",
})  # fmt: skip


def _several(words: str) -> bool:
    """Whether `words` name more than one thing, or a pair that has no singular: "fries", "women holding hands"."""
    head = re.split(r" (?:with|of|in|and|on) ", words)[0].split()  # a "face with open hands" is one
    first, last = head[0], head[-1]
    return first in ("men", "people", "women") or (last.endswith("s") and not last.endswith(("ss", "us", "is")))


def _phrase(thing: SceneObject, *, natural: bool = False) -> str:
    words = f"{thing.colour} {thing.name}" if thing.colour else thing.name
    bare = natural and (_several(thing.name) or thing.name in WITHOUT_ARTICLE)
    if thing.count == 1:
        return words if bare else _article(words)
    return f"{NUMBERS[thing.count]} {words if bare else plural(words)}"


def _article(words: str) -> str:
    return f"an {words}" if words[0] in "aeiou" and not words.startswith(("uni", "ufo")) else f"a {words}"


def plural(words: str) -> str:
    """More than one of it."""
    if words.endswith(("s", "x", "ch", "sh")):
        return f"{words}es"
    return f"{words[:-1]}ies" if words.endswith("y") and words[-2] not in "aeiou" else f"{words}s"

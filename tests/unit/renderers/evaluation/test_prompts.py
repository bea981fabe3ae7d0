"""The fixed prompts: a hundred, each of a concept of its own, each as plain as it says."""

from __future__ import annotations

import numpy as np

from renderers.evaluation.prompts import load_prompts, shown_as
from renderers.training.captions import COLOURS
from renderers.training.concepts import load_concepts
from renderers.training.sprites import Sprites


def test_a_hundred_prompts_of_a_hundred_concepts() -> None:
    prompts = load_prompts()
    assert len(prompts) == 100
    assert len({p.concept for p in prompts}) == 100
    assert len({p.prompt for p in prompts}) == 100


def test_each_prompt_says_its_concept_its_colour_and_its_background() -> None:
    names = {concept.name: concept.names for concept in load_concepts()}
    for prompt in load_prompts():
        thing = prompt.prompt.split(" on a")[0]
        assert any(name in thing for name in names[prompt.concept]), prompt
        assert prompt.colour is None or prompt.colour in thing.split()
        assert prompt.background is None or prompt.prompt.endswith(f"{prompt.background} background")
        assert {prompt.colour, prompt.background} <= {*COLOURS, None}


def test_a_hundred_more_were_drawn_that_are_others() -> None:
    chosen, drawn = load_prompts(), load_prompts("drawn")
    assert len({p.concept for p in drawn}) == len({p.emoji for p in drawn}) == len(drawn) == 100
    assert not {p.concept for p in chosen} & {p.concept for p in drawn}
    assert not {c.emoji for c in load_concepts() if c.name in {p.concept for p in chosen}} & {p.emoji for p in drawn}
    assert all(p.prompt.removeprefix("a ").removeprefix("an ").removeprefix("n ") == p.concept for p in drawn)


def test_sprites_are_called_as_the_drawn_prompts_call_them() -> None:
    pixels = np.zeros((4, 8, 8, 4), np.uint8)
    labels = ("scorpion", "man’s shoe", "scorpion", "red apple")
    sprites = Sprites(pixels, ("noto", "openmoji", "openclipart", "noto"), ("scorpion", "", "", "apple"), labels)
    assert shown_as(sprites, load_prompts("drawn")).concept == ("scorpion", "man's shoe", "", "apple")
    assert shown_as(sprites, load_prompts()).concept == sprites.concept


def test_about_a_third_say_a_colour_and_a_quarter_a_background() -> None:
    prompts = load_prompts()
    assert 28 <= sum(p.colour is not None for p in prompts) <= 38
    assert 20 <= sum(p.background is not None for p in prompts) <= 30

"""The fixed prompts: a hundred, each of a concept of its own, each as plain as it says."""

from __future__ import annotations

from renderers.evaluation.prompts import load_prompts
from renderers.training.captions import COLOURS
from renderers.training.concepts import load_concepts


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


def test_about_a_third_say_a_colour_and_a_quarter_a_background() -> None:
    prompts = load_prompts()
    assert 28 <= sum(p.colour is not None for p in prompts) <= 38
    assert 20 <= sum(p.background is not None for p in prompts) <= 30

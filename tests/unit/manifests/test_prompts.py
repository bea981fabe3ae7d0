import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from manifests.schema import Prompt, PromptError, Scene, format_prompts, parse_prompts
from manifests.schema.spelling import doubtful, misread


def only(text: str) -> tuple[Prompt, ...]:
    (scene,) = parse_prompts(text)
    assert scene.at == 0
    return scene.prompts


def test_a_plain_text():
    assert only("  a red apple ") == (Prompt(text="a red apple"),)


def test_weights_stops_and_negatives():
    assert only("an apple:2 | blur:-0.5:-1 | shadow:.5:inf".replace(":inf", ":0.25")) == (
        Prompt(text="an apple", weight=2),
        Prompt(text="blur", weight=-0.5, stop=-1),
        Prompt(text="shadow", weight=0.5, stop=0.25),
    )
    assert only("an apple:1:-inf") == (Prompt(text="an apple"),)


def test_a_story():
    scenes = parse_prompts("0: a forest at dawn:2 | fog:-1 | 120: a city at night | 60:the sea")
    assert [scene.at for scene in scenes] == [0, 60, 120]
    assert scenes[0].prompts == (Prompt(text="a forest at dawn", weight=2), Prompt(text="fog", weight=-1))
    assert scenes[1].prompts[0].text == "the sea"


def test_the_first_scene_needs_no_key():
    assert [scene.at for scene in parse_prompts("dawn | 24: night")] == [0, 24]


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        (r"12\:00 at night", Prompt(text="12:00 at night")),
        (r"either \| or:2", Prompt(text="either | or", weight=2)),
        (r"a back\\slash", Prompt(text="a back\\slash")),
        ("portrait: a queen", Prompt(text="portrait: a queen")),
        ("portrait: a queen:0.5", Prompt(text="portrait: a queen", weight=0.5)),
        ("1984:0.5", Prompt(text="1984", weight=0.5)),
        ("1984", Prompt(text="1984")),
        (r"0: \7", Prompt(text="7")),
        ("café 夜景:1e-1", Prompt(text="café 夜景", weight=0.1)),
    ],
)
def test_colons_bars_and_numbers_in_texts(text: str, prompt: Prompt):
    assert only(text) == (prompt,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "nothing stands between the separators"),
        ("a | | b", "nothing stands"),
        ("a |", "nothing stands"),
        (":2", "no text stands"),
        ("0:", "no text stands"),
        ("apple:heavy", "':heavy' is not a number"),
        ("apple:1.5:heavy", "':heavy' is not a number"),
        ("apple:1.5: heavy", "':heavy' is not a number"),
        ("apple: a note:heavy", "':heavy' is not a number"),
        ("a:1:2:3", "3 numbers follow the text"),
        ("apple:nan", "weight nan is outside -1000 to 1000"),
        ("Blade Runner: 2049", "weight 2049 is outside"),
        ("apple:1:inf", "stop inf is not allowed"),
        ("apple:1:nan", "stop nan is not allowed"),
        ("a 16:9 photo", "':9 photo' is not a number"),
        ("16:9 photo", r"first scene starts at frame 16.*'16\\:'"),
        ("10: a | 20: b", "frames 0-9 have no prompt"),
        ("0: a | 24: b | 24: c", "two scenes start at frame 24"),
        ("a | 0: b", "two scenes start at frame 0"),
        ("0: a | 99999999: b", "beyond the limit of 999999"),
        ("x" * 10_001, "at most 10000"),
    ],
)
def test_errors_show_the_part_and_what_is_allowed(text: str, message: str):
    with pytest.raises(PromptError, match=message):
        parse_prompts(text)


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).filter(lambda text: text.strip())
prompts = st.builds(
    Prompt,
    text=texts | st.from_regex(r"[0-9:|\\ .-]{1,12}", fullmatch=True).filter(lambda text: text.strip()),
    weight=st.floats(-1000, 1000),
    stop=st.just(-math.inf) | st.floats(allow_nan=False, allow_infinity=False),
)
stories = st.lists(st.integers(1, 999_999), unique=True, max_size=4).flatmap(
    lambda frames: st.tuples(
        *(
            st.builds(Scene, at=st.just(at), prompts=st.lists(prompts, min_size=1, max_size=3).map(tuple))
            for at in sorted([0, *frames])
        )
    )
)


@settings(deadline=None)  # the machine is shared
@given(stories)
def test_round_trip(scenes: tuple[Scene, ...]):
    assert parse_prompts(format_prompts(scenes)) == scenes


@settings(deadline=None)  # the machine is shared
@given(st.text(alphabet="ab 0129:|\\.-e\n", max_size=40))
def test_any_text_is_refused_or_read_and_written_back(text: str):
    try:
        scenes = parse_prompts(text)
    except PromptError:
        return
    assert parse_prompts(format_prompts(scenes)) == scenes


def test_long_texts_take_no_long_time():
    (scene,) = parse_prompts(" | ".join([r"a\:b" + "\\\\" * 50] * 100))
    assert len(scene.prompts) == 100


def test_prompts_are_frozen_and_checked():
    prompt = Prompt(text="a")
    with pytest.raises(ValidationError, match="frozen"):
        prompt.text = "b"  # type: ignore[misc]
    for wrong in ({"text": " "}, {"text": "a", "weight": math.inf}, {"text": "a", "stop": math.nan}):
        with pytest.raises(ValidationError):
            Prompt(**wrong)


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("[cat|dog] in a hat", "'[cat|dog]' is cut at its '|' into prompts of their own: write '\\|' if"),
        ("a sign (open | closed)", "'(open | closed)' is cut at its '|'"),
        ("a cat --no text, blur", "'--no' in prompt 'a cat --no text, blur' is part of the text"),
        ("a cat AND a dog", "'AND' in 'a cat AND a dog' is part of the text"),
        ("a (cat) in [a hat] | a dog", None),
        (r"a sign (open \| closed)", None),
        ("a poster that says LOVE AND PEACE", None),
        ("--north", None),
        ('a poster that says "50% | off"', None),
    ],
)
def test_what_may_be_another_tools_spelling_is_doubtful(prompt: str, said: str | None) -> None:
    found = doubtful(prompt)
    assert found is None if said is None else str(found).startswith(said), found
    assert misread(prompt, parse_prompts(prompt)) is None

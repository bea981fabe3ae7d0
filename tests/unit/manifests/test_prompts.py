import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from manifests.schema import Prompt, PromptError, Scene, format_prompts, parse_prompts, shown_prompts
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


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("flowers:(10*t)", Prompt(text="flowers", weight="10*t")),
        ("text:(2*sin(t/8)):-.9", Prompt(text="text", weight="2*sin(t/8)", stop=-0.9)),
        ("text:-1:( -.9 + t/1000 )", Prompt(text="text", weight=-1, stop="-.9 + t/1000")),
        ("fog:((t < 4) | (t > 9)):(0:(-.5), 9:(-1)) ", Prompt(text="fog", weight="(t < 4) | (t > 9)",
                                                              stop="0:(-.5), 9:(-1)")),
        ("apple:(1)", Prompt(text="apple")),
        ("apple:(1):(-inf)", Prompt(text="apple")),
        ("portrait: a queen:(t/8)", Prompt(text="portrait: a queen", weight="t/8")),
        ("1984:0.5:(t)", Prompt(text="1984", weight=0.5, stop="t")),
        (r"0: \1984:(t)", Prompt(text="1984", weight="t")),
        # as before: behind a key, a blank or a backslash a bracket is text
        ("0:(a sign)", Prompt(text="(a sign)")),
        ("sign: (t)", Prompt(text="sign: (t)")),
        (r"sign\:(t)", Prompt(text="sign:(t)")),
    ],
)  # fmt: skip
def test_weights_and_stops_that_change_in_time(text: str, prompt: Prompt):
    assert only(text) == (prompt,)
    assert parse_prompts(format_prompts(parse_prompts(text))) == parse_prompts(text)


def test_a_bar_and_a_key_within_brackets_separate_nothing():
    scenes = parse_prompts("0: dawn:((t<4)|(t>9)) | fog:(0:(1), 9:(0)):-.9 | 24: night")
    assert [[prompt.text for prompt in scene.prompts] for scene in scenes] == [["dawn", "fog"], ["night"]]
    assert (
        misread("a cat:((t<4)|(t>9)) | fog:(0:(1), 9:(0))", parse_prompts("a cat:((t<4)|(t>9)) | fog:(0:(1), 9:(0))"))
        is None
    )
    assert doubtful("a cat:((t<4)|(t>9))") is None


@pytest.mark.parametrize(
    ("given", "kept"), [(2, "2"), (2.0, "2"), ("2.0", "2"), (" 1e-1 ", "0.1"), ("2*t ", "2*t"), (-0.0, "0")]
)
def test_a_number_has_one_spelling(given: object, kept: str):
    assert Prompt(text="a", weight=given).weight == kept


@pytest.mark.parametrize(
    "given", ["t +", "u*2", "", "0:(1), 0:(2)", True, None, "2000", -1001, math.nan, "x" * 100_001, 10**400]
)
def test_a_weight_that_is_none_is_refused(given: object):
    with pytest.raises(ValidationError):
        Prompt(text="a", weight=given)


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
        ("fog:(t +)", r"prompt 'fog:\(t \+\)': weight: expression 't \+', character 3"),
        ("fog:1:(tt)", r"stop: expression 'tt', character 1: 'tt' is unknown"),
        ("fog:(2*u)", "weight: keyframes '2\\*u', character 3: 'u' .* can't stand here"),
        ("fog:(sin(t)", "character 5: the bracket of this weight or stop is not closed"),
        ("fog:(t)x", r"':\(t\)x' is not a number"),
        ("fog:(2000)", "weight 2000 is outside"),
        ("a:(t):(t):(t)", "3 numbers follow the text"),
    ],
)
def test_errors_show_the_part_and_what_is_allowed(text: str, message: str):
    with pytest.raises(PromptError, match=message):
        parse_prompts(text)


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).filter(lambda text: text.strip())
in_time = st.sampled_from(
    ["t", "2*sin(t/8)", "(t < 4) | (t > 9)", "0:(1), max_f/2:(0.5)", "(t)", "((2))", "where(t>3, 1, b)"]
)
prompts = st.builds(
    Prompt,
    text=texts | st.from_regex(r"[0-9:|\\ .-]{1,12}", fullmatch=True).filter(lambda text: text.strip()),
    weight=st.floats(-1000, 1000) | in_time,
    stop=st.just(-math.inf) | st.floats(allow_nan=False, allow_infinity=False) | in_time,
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
@given(st.text(alphabet="ab 0129:|\\.-e\nt()", max_size=40))
def test_any_text_is_refused_or_read_and_written_back(text: str):
    try:
        scenes = parse_prompts(text)
    except PromptError:
        return
    assert parse_prompts(format_prompts(scenes)) == scenes


def test_pictures_and_noise_are_shown_though_the_grammar_has_no_words_for_them():
    scenes = [
        Scene(at=4, images=[{"image": "sea.png", "aligned": True, "stop": 0.2}], noise=[{"seed": 7, "weight": "t/9"}]),
        Scene(prompts=[{"text": "dawn", "weight": 2}], images=[{"image": "http://u:pass@h.example/a.png"}]),
    ]
    assert shown_prompts(scenes) == (
        "0: dawn:2 | picture 'http://***@h.example/a.png' | 4: aligned picture 'sea.png':1:0.2 | noise 7:(t/9)"
    )
    assert format_prompts(scenes) == "0: dawn:2"
    assert shown_prompts(scenes[1:]) == "dawn:2 | picture 'http://***@h.example/a.png'"


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
        ("a cat BREAK a dog", "'BREAK' in 'a cat BREAK a dog' is part of the text"),
        ("a cat -s50 -W512", "'-s50' in prompt 'a cat -s50 -W512' is part of the text: columns say"),
        ("/imagine a castle", "'/imagine' in prompt '/imagine a castle' is part of the text"),
        ("frame 0: a cat | frame 30: a dog", "'frame 0:' in prompt"),
        ("t=0: a cat", "'t=0:' in prompt"),
        ("take -5 steps", None),
        ("a picture frame", None),
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

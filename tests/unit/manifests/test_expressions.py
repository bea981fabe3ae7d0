"""What expressions know: names, functions, comparisons, keys; and that other machines draw the same."""

from __future__ import annotations

import math
import pickle
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.schema import KeyframeError, Keyframes, ManifestRow
from manifests.schema.expressions import Expression
from manifests.schema.functions import FUNCTIONS, OPERATORS
from manifests.schema.timeline import NAMES_OF_VIDEO, Timeline

CLIP = Timeline(frames=121, fps=30.0, seed=7, bpm=120.0, beat_offset=0.5)

# ---- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "frame", "value"),
    [
        ("t", 15, 15),
        ("s", 15, 0.5),
        ("n", 15, 121),
        ("max_f", 15, 120),
        ("t / max_f", 60, 0.5),
        ("seed", 15, 7),
        ("b", 15, 0.5),
        ("b", 0, -0.5),
        ("pi + e", 0, math.pi + math.e),
    ],
)
def test_names_of_a_video(text: str, frame: int, value: float) -> None:
    assert Keyframes.parse(text, CLIP).at(frame) == value


def test_how_much_of_a_frames_steps_is_over_is_known_where_a_setting_says_so() -> None:
    share = Keyframes.parse("0:(where(u < 0.4, 0.75, 0.25)), 10:(u*t)")
    assert [share.at(3, step) for step in (0, 0.25, 0.5)] == [0.75, 0.75, 0.25]
    assert share.at(20, 0.5) == 10
    assert share.constant is None


def test_beats_need_their_number_per_minute() -> None:
    with pytest.raises(KeyframeError, match=r"character 5: 'b' counts beats: .* column bpm"):
        Keyframes.parse("1 + b", Timeline(frames=10))


@pytest.mark.parametrize("name", NAMES_OF_VIDEO)
def test_what_hangs_on_the_video_has_no_value_without_one(name: str) -> None:
    with pytest.raises(KeyframeError, match="known of a video only"):
        Keyframes.parse(f"t + {name}")


def test_expressions_that_hang_on_nothing_are_compiled_once_for_all_videos() -> None:
    one, other = Timeline(frames=10, seed=1), Timeline(frames=20, fps=12, seed=2)
    assert Keyframes.parse("sin(t)", one) is Keyframes.parse("sin(t)", other)
    assert Keyframes.parse("sin(s)", one) is not Keyframes.parse("sin(s)", other)
    assert Keyframes.parse("t/n", one) is Keyframes.parse("t/n", Timeline(frames=10, seed=3))
    assert Keyframes.parse("t/n", one) != Keyframes.parse("t/n", other)
    copy = pickle.loads(pickle.dumps(Keyframes.parse("0:(s), max_f:(b)", CLIP)))
    assert copy == Keyframes.parse("0:(s), max_f:(b)", CLIP)
    assert copy.at(15) == 0.5


# ---- keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "frames"),
    [
        ("0:(1), max_f:(2)", (0, 120)),
        ("0:(1), max_f-20:(2), max_f : (3)", (0, 100, 120)),
        ('0:(1), "max_f-2":(2), "max_f-1":(3)', (0, 118, 119)),
        ("'0':(1), '10':(2)", (0, 10)),
        ("0:(0), (max_f/2):(10), (max_f-1):(0)", (0, 60, 119)),
        ("0:(0), n/2:(10)", (0, 60)),
        ("{0: (1), max_f/3: (2),}", (0, 40)),
        ("0:(1), min(max_f, 500):(2)", (0, 120)),
    ],
)
def test_keys_that_hang_on_the_length(text: str, frames: tuple[int, ...]) -> None:
    assert Keyframes.parse(text, CLIP).frames == frames


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0:(1), max_f-200:(2)", "key 'max_f-200' is frame -80 of a video of 121 frames; allowed is 0 to 1,000,000"),
        ("0:(1), max_f*1e9:(2)", "key 'max_f[*]1e9' is frame 120,000,000,000 of a video"),
        ("120:(1), max_f:(2)", "frame 120 is keyed twice, by 120 and 'max_f'"),
        ("0:(1), max_f/0:(2)", "character 1: division by zero"),
        ("0:(1), max_f+t:(2)", "character 8: 't' can't stand in a key: allowed are max_f"),
        ("0:(1), s*24+n:(2)", "'s' can't stand in a key"),
        ("0:(1), last:(2)", "'last' is no frame number: write a whole number, or an expression in max_f"),
        ("0:(1), -5:(2)", "character 8: '-5' is no frame number"),
        ("0:(1), maxf:(2)", "'maxf' is no frame number"),
        ("0:(1), max_f-:(2)", "expression 'max_f-', character"),
        ("0:(1), max_f-foo:(2)", "expression 'max_f-foo', character 7: 'foo' is unknown"),
    ],
)
def test_bad_keys_are_refused_with_a_reason(text: str, message: str) -> None:
    with pytest.raises(KeyframeError, match=message):
        Keyframes.parse(text, CLIP)


def test_a_mistake_in_a_keyed_expression_names_its_key_and_its_place_there() -> None:
    with pytest.raises(KeyframeError, match=r"key 60: expression '\(2 \+ sine\(t\)\)', character 6: 'sine' is unknown"):
        Keyframes.parse("0:(1), 60:(2 + sine(t)), 90:(1 + 0.5*cos(t))")


# ---- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "frame", "value"),
    [
        ("where(t < 10, 1, 2)", 9, 1),
        ("where(t < 10, 1, 2)", 10, 2),
        ("1 if t >= 10 else 2", 10, 1),
        ("(t > 4)*3 + (t == 5) + (t != 5)", 5, 4),
        ("4 < t <= 9", 9, 1),
        ("4 < t <= 9", 4, 0),
        ("where((t > 4) & (t < 9), 1, 0)", 5, 1),
        ("where((t > 4) & (t < 9), 1, 0)", 9, 0),
        ("where((t < 4) | (t > 9) | (t == 6), 1, 0)", 6, 1),
        ("~(t < 4)", 5, 1),
        ("where(t > 0, 1/t, 5)", 0, 5),  # the other branch need have no value
        ("1/t if t else 5", 0, 5),
        ("where(max_f > 500, 1/(max_f - 120), 5)", 3, 5),
        ("where(0.1 + 0.2 == 0.3, 1, 0)", 0, 1),
        ("where(t*0.1 < 0.3, 1, 0)", 3, 0),
        ("clamp(t, 3, 5)", 9, 5),
        ("clamp(t, 3, 5)", 1, 3),
        ("lerp(10, 20, t/4)", 1, 12.5),
        ("smoothstep(0, 10, t)", 5, 0.5),
        ("smoothstep(0, 10, t)", 50, 1),
        ("smoothstep(10, 0, t)", 10, 0),
        ("tri(t/4)", 1, 0.5),
        ("tri(t/4)", 2, 1),
        ("saw(t/4)", 5, 0.25),
        ("saw(0.1*t)", 30, 0),
        ("pulse(t/4)", 1, 1),
        ("pulse(t/4)", 2, 0),
        ("pulse(t/4, 0.25)", 1, 0),
        ("pulse(t/4, width=.75)", 2, 1),
        ("sign(t - 5)", 3, -1),
        ("sign(t - 5)", 5, 0),
        ("round(t/2)", 5, 2),
        ("pow(t, 2) - power(t, 2)", 5, 0),
        ("atan2(t, 5) * 4 / pi", 5, 1),
        ("rand(t) - rand(t + 0.5)", 5, 0),
        ("rand(t, 3) - rand(t, seed=3)", 5, 0),
        ("floor(rand(t, seed=seed))", 5, 0),
    ],
)
def test_values(text: str, frame: int, value: float) -> None:
    assert Keyframes.parse(text, CLIP).at(frame) == pytest.approx(value, abs=1e-15)


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("1 + where(t > 3, 1/(t - 9), 0)", 18, "division by zero"),
        ("2 + 3*asin(t)", 7, r"asin\(\) has no value at 9"),
        ("2 + log(9 - t) if t else 1", 5, r"log\(\) has no value at 0"),
        ("1 + (t - 10)**0.5", 5, "-1 to the power of 0.5 is not a real number"),
        ("1 + exp(t*100)", 5, "the result is too large"),
        ("t + smoothstep(3, 12 - t, t)", 5, "division by zero"),
        ("rand(t, seed=log(9 - t))", 14, r"log\(\) has no value at 0"),
    ],
)
def test_what_has_no_value_at_a_frame_is_placed(text: str, place: int, reason: str) -> None:
    with pytest.raises(KeyframeError, match=rf"' at frame 9, character {place}: {reason}"):
        Expression(text)(9)


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("where(t = 3, 1, 0)", 9, "'=' can't stand here; write == to compare"),
        ("where(t > 3, 1)", 1, "where.. takes a condition and two numbers"),
        ("sin(x=t)", 5, "sin.. takes one number"),
        ("0 * pulse(t, seed=3)", 14, "pulse.. takes 1 to 2 numbers; by name it takes width"),
        ("t +", 3, "can't be read as arithmetic; allowed are"),
        ("t > 4 and t < 9", 7, "'and' is unknown; write & between comparisons in brackets"),
        ("t > 4 & t < 9", 5, "stand between comparisons in brackets"),
        ("t & 1", 1, "stand between comparisons in brackets"),
        ("0*t + clmap(t, 0, 1)", 7, r"'clmap' is unknown; did you mean 'clamp'\?"),
        ("t << 2", 1, "<< and >> are not understood"),
    ],
)
def test_mistakes_are_placed_and_explained(text: str, place: int, reason: str) -> None:
    with pytest.raises(KeyframeError, match=rf"', character {place}: .*{reason}"):
        Keyframes.parse(text)


def test_a_place_far_into_an_expression_is_shown() -> None:
    text = " + ".join(f"{number}*t" for number in range(100)) + " + nonsense + " + "t + " * 50 + "t"
    place = text.index("nonsense") + 1
    with pytest.raises(KeyframeError, match=rf"expression '…[^']*nonsense[^']*', character {place}: 'nonsense'"):
        Keyframes.parse(text)


# ---- size and depth --------------------------------------------------------------------------------------------------


def test_a_long_sum_is_no_deep_one() -> None:
    text = "t"
    while len(longer := f"{text}+{len(text)}*t") <= 4000:
        text = longer
    terms = text.split("+")
    assert len(terms) > 500
    expected = 7.0
    for term in terms[1:]:
        expected += float(term.split("*")[0]) * 7.0
    assert Keyframes.parse(text).at(7) == expected
    with pytest.raises(KeyframeError, match="at most 4,000 are allowed"):
        Keyframes.parse(text + "+t" * 20)


@pytest.mark.parametrize(
    "unit",
    ["noise(t)+", "rand(t)+", "where(t>1,t,0)+", "sin(t)*", "(t>1)+", "pulse(t,.1)-", "t+", "smoothstep(0,9,t)+"],
)
def test_the_longest_expressions_are_checked_in_a_second(unit: str) -> None:
    text = "1e-9*(" + unit * ((4000 - 10) // len(unit)) + "t)"
    seconds = []
    for _ in range(3):  # one of them may pay for the garbage of all tests before
        started = time.process_time()
        Keyframes(text).check(1_000_000, -1e300, 1e300)
        seconds.append(time.process_time() - started)
    assert min(seconds) < 1


# ---- random numbers --------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.floats(-1e6, 1e6), st.integers(0, 2**63 - 1))
def test_random_numbers_are_even_and_hang_on_the_whole_number_only(x: float, seed: int) -> None:
    rand, noise = FUNCTIONS["rand"].call, FUNCTIONS["noise"].call
    assert 0 <= rand(x, seed) < 1
    cell = math.floor(x) + 0.25
    assert rand(cell, seed) == rand(cell + 0.5, seed)
    assert -1 <= noise(x, seed) <= 1
    # no leaps, of the slope neither
    h = 1e-3
    left, here, right = (noise(cell - 0.25 + d, seed) for d in (-h, 0, h))
    assert max(abs(right - here), abs(here - left)) < 12 * h * h
    assert abs(noise(x + h, seed) - noise(x, seed)) < 4 * h


def test_random_numbers_are_spread_evenly() -> None:
    rand = Keyframes.parse("rand(t, 5)")
    values = [rand.at(frame) for frame in range(20_000)]
    counts = np.histogram(values, bins=20, range=(0, 1))[0]
    assert abs(counts - 1000).max() < 150
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.03
    other = Keyframes.parse("rand(t, 6)")
    assert abs(np.corrcoef(values, [other.at(frame) for frame in range(20_000)])[0, 1]) < 0.03


RAND = [0.8833108082136426, 0.43152799704850997, 0.026433771592597743, 0.9708819781538285, 0.10634669156721244]
RAND_7 = [0.8145615102718373, 0.991379138796664, 0.9268766231852152, 0.06564445050516932]
NOISE = [
    0.7666216164272852, 0.6254394879381813, 0.31483880526215247, 0.0042381225861238825, -0.13694400590298006,
    -0.2635359513579526,
]  # fmt: skip
NOISE_9 = [0.9894759226428398, 0.9374943937108129, 0.8231350300603535]


def test_random_numbers_never_change() -> None:
    rand, noise = Keyframes.parse("rand(t)"), Keyframes.parse("noise(t/4)")
    assert [rand.at(frame) for frame in range(5)] == RAND
    assert [Keyframes.parse("rand(t - 3, 7)").at(frame) for frame in range(4)] == RAND_7
    assert [noise.at(frame) for frame in range(6)] == NOISE
    assert [Keyframes.parse("noise(t/4 - 2, seed=9)").at(frame) for frame in range(3)] == NOISE_9


@pytest.mark.parametrize("function", ["sin", "exp", "log", "tanh", "pow"])
def test_a_last_bit_of_another_machine_decides_nothing(function: str) -> None:
    """What libms differ in must not make another frame where a number is compared, or chooses a random one."""
    for frame in range(1, 200):
        exact = FUNCTIONS[function].call(*[frame / 10] * FUNCTIONS[function].fewest)
        if exact == 0:
            continue  # as every machine says
        for other in (math.nextafter(exact, -math.inf), math.nextafter(exact, math.inf)):
            for operation in ("Lt", "LtE", "Gt", "GtE", "Eq", "NotEq"):
                compare = next(it for kind, it in OPERATORS.items() if kind.__name__ == operation)
                assert compare(exact, exact) == compare(other, exact)
            for name in ("rand", "saw", "pulse"):
                cell = round(exact) + 3.0
                for near in (math.nextafter(cell, -math.inf), math.nextafter(cell, math.inf)):
                    assert FUNCTIONS[name].call(near) == pytest.approx(FUNCTIONS[name].call(cell), abs=1e-12 * cell)


# ---- rows ------------------------------------------------------------------------------------------------------------


def row(**columns: object) -> ManifestRow:
    return ManifestRow.model_validate({"video_id": "reef", "prompt": "a reef", "frames": 48} | columns)


def test_a_rows_columns_are_known_to_its_expressions() -> None:
    it = row(bpm=120, beat_offset=1, fps=12, angle="0:(b), max_f:(seed)", seed=9)
    angle = Keyframes.parse(it.angle, it.timeline)
    assert [angle.at(frame) for frame in (0, 6, 47)] == [-1, 0, 9]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"angle": "sin(b)"}, "character 5: 'b' counts beats: .*bpm"),
        ({"angle": "0:(1), max_f-50:(2)"}, "key 'max_f-50' is frame -3 of a video of 48 frames"),
        ({"zoom": "1 + u"}, "character 5: 'u' .* can't stand here: this setting is the same throughout a frame"),
        ({"zoom": "1 + 200*(s > 1)"}, "is 201 at frame 25; allowed is 0.01 to 100"),
        ({"zoom": "1 + sine(s)"}, r"character 5: 'sine' is unknown; did you mean 'sin'\?"),
    ],
)
def test_a_rows_problems_name_column_value_frame_and_place(columns: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        row(**columns)

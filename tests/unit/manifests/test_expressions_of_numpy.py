"""Formulas come to what they come to in numpy, those that Deforum's users write among them."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.schema import KeyframeError, Keyframes
from manifests.schema.expressions import Expression
from manifests.schema.functions import ALIASES, FUNCTIONS
from manifests.schema.timeline import Timeline

CLIP = Timeline(frames=121, fps=30.0, seed=7, bpm=120.0, beat_offset=0.5)

NUMBER = re.compile(r"(?<![\w.])(\d+\.?\d*|\.\d+)(e[+-]?\d+)?")
OF_NUMPY = {name: getattr(np, name) for name in FUNCTIONS if hasattr(np, name)}
OF_NUMPY |= {here: OF_NUMPY[name] for name, here in ALIASES.items()}
OF_NUMPY |= {"min": np.minimum, "max": np.maximum, "clamp": np.clip, "pi": np.float64(np.pi), "e": np.float64(np.e)}


def of_numpy(text: str, frame: int, timeline: Timeline) -> float:
    """What numpy makes of an expression."""
    t = np.float64(frame)
    names = {"t": t, "s": t / timeline.fps, "n": np.float64(timeline.frames), "max_f": np.float64(timeline.frames - 1)}
    # Python's own numbers raise where numpy's go on: 0.0 / 0.0 in the branch of a where that is not taken
    text = NUMBER.sub(r"number(\g<0>)", text)
    with np.errstate(all="ignore"):
        return float(eval(text, {"__builtins__": {}}, OF_NUMPY | names | {"number": np.float64}))


def placed(error: KeyframeError, place: str) -> None:
    assert re.search(place, str(error)), error


def agreed(text: str, timeline: Timeline = CLIP, frames: range = range(CLIP.frames)) -> int:
    """At how many frames the value is numpy's; at the others there is none, and the message says which and where."""
    try:
        keyframes = Keyframes.parse(text, timeline)
    except KeyframeError as error:
        placed(error, r"character \d+|not a finite")
        return 0
    found = 0
    for frame in frames:
        try:
            value = keyframes.at(frame)
        except KeyframeError as error:
            placed(error, rf"at frame {frame}(, character \d+)?: ")
            continue
        expected = of_numpy(text, frame, timeline)
        assert value == pytest.approx(expected, rel=1e-9, abs=1e-9), f"{text} at frame {frame}"
        found += 1
    return found


# Shapes of what stands in Deforum's defaults, its wiki, guides to it and templates for it, and in what generators of
# keyframes write: an offset and a wave, waves of waves, ramps, decays, remainders, choices, beats in frames.
SHAPES = (
    "{a} + {b}*sin(2*3.14*t/{k})",
    "{a}+{b}*sin({c}*3.14*t/{k})",
    "-({b}*cos(2*pi*t/{k}))",
    "{b}*abs(sin(3.14*t/{k}))",
    "(abs(cos({c}*pi*t/{k}))**{k})*{b} + {a}",
    "{a} + {b}*sin(6.28*t/{k})**2",
    "sin(2*3.14*t/max_f)*sqrt(t/max_f)",
    "{a} - {b}*t/max_f",
    "exp(-t/{k})*sin(4*3.14*t/max_f)",
    "1 - abs(2*t/max_f - 1)",
    "t%{k}",
    "-t % {k} / {k}",
    "t//{k}*{b}",
    "(t**2/max_f**2)*{b}",
    "-2**(t/max_f)*cos(2*3.14*t/max_f) + 2",
    "log(t+1)*{b} + log10(t + {k}) + log2(1 + t) - log1p(t)",
    "tan(3.14*t/({k}*50))",
    "where(cos(6.28*t/{k})>0, 1.8*cos(6.28*t/{k}), 0.001)",
    "where(t < {k}, {a}, {b})",
    "where((t > {k}) & (t <= 2*{k}), {a}, {b})",
    "where((t < {k}) | (t % {k} == 0), {a}, where(t >= max_f, 0, {b}))",
    "where(~(t == {k}), {a}, {b})",
    "sin(2*3.14*t/max_f) if t < max_f/2 else cos(2*3.14*t/max_f)",
    "{a} + {b}*(1 if t % {k} < 3 else 0)",
    "arctan(t/{k})*{b} - arctan2(t, {k})",
    "arcsin(sin(t*pi/{k}))*2/pi*{b}",
    "arccos(cos(t*pi/{k}))/pi*{b}",
    "tanh((t - {k})/{c}) + sinh(t/max_f) - cosh(t/max_f)",
    "arcsinh(t) + arccosh(t + 1) - arctanh(t/(n + 1))",
    "floor(t/{k})*{b} + ceil(t/{k}) - round(t/{k}) + sign(t - {k})",
    "min({a}, t/{k}) + max({b}, sin(t))",
    "expm1(t/max_f) + power({c}, t/n) - pow(2, t/n)",
    "clamp(t/{k}, {a}, {a} + {b})",
    "({a} + {b}*sin(t/{k}))*(cos(t/{c})*0.5 + 0.5) + e**(-t/n)",
    "sqrt(t - {k})",
    "1/(t - {k})",
    "(exp(t/max_f))/(cos(2*3.14*t/max_f))/(log(1+abs(t)))/(tan(2*3.14*t/max_f)) + 1",
)
NUMBERS = (
    {"a": "1.0025", "b": "0.002", "c": "1.25", "k": "30"},
    {"a": "0", "b": "10", "c": "2", "k": "20"},
    {"a": "-3.5", "b": ".75", "c": "4", "k": "7"},
    {"a": "70", "b": "25", "c": "1e-1", "k": "12.5"},
    {"a": "0.65", "b": "(-0.25)", "c": "3", "k": "(60/120*24)"},
    {"a": "+2", "b": "5e-3", "c": "0.5", "k": "1"},
)


@pytest.mark.parametrize("shape", SHAPES)
def test_deforums_formulas_agree_with_numpy(shape: str) -> None:
    assert len(SHAPES) * len(NUMBERS) >= 200
    for numbers in NUMBERS:
        found = agreed(shape.format(**numbers))
        # what numpy would make NaN or infinite at frame 0 is refused whole
        assert found or not math.isfinite(of_numpy(shape.format(**numbers), 0, CLIP)), shape.format(**numbers)


@pytest.mark.parametrize(
    ("text", "frame", "value"),
    [
        ("0: (1.0025+0.002*sin(1.25*3.14*t/30))", 12, 1.0025 + 0.002 * math.sin(1.25 * 3.14 * 12 / 30)),
        ('0:(4), 1:(-1), "max_f-2":(-1), "max_f-1":(4)', 119, 4),
        ('0:(4), 1:(-1), "max_f-2":(-1), "max_f-1":(4)', 60, -1),
        ("0:(0), max_f:(100)", 30, 25),
        ("0: (1.75)", 3, 1.75),
        ("0:(1.02+0.02*sin(3.14*t/20)), 12:(0.5+0.02*sin(3.14*t/20))", 12, 0.5 + 0.02 * math.sin(3.14 * 12 / 20)),
        ("0:(-2), 100:(4)", 50, 1),
        ("0:(sin(t)), 100:(4)", 99, math.sin(99)),
    ],
)  # fmt: skip
def test_deforums_keyed_strings(text: str, frame: int, value: float) -> None:
    assert Keyframes.parse(text, CLIP).at(frame) == pytest.approx(value, abs=1e-14)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('0: ("Euler a")', "character 2: '\"Euler a\"[)]' is not understood"),
        ('0: ("model1.ckpt"), 100: ("model2.safetensors")', "key 0: expression .*character 2"),
        ("0:(t ^ 2)", r"character 4: .*write \*\* for a power"),
        ("0:(1.0, 2.0)", "can't stand here"),
        ("0:(x * t / max_f)", "character 2: 'x' is unknown"),
        ("0:(conj(t))", "character 2: 'conj' is unknown"),
    ],
)
def test_what_deforum_takes_and_this_does_not_is_refused_with_its_place(text: str, reason: str) -> None:
    with pytest.raises(KeyframeError, match=reason):
        Keyframes.parse(text, CLIP)


# ---- properties ------------------------------------------------------------------------------------------------------

numbers = st.one_of(st.floats(0, 100).map(repr), st.sampled_from(["0", "1", "7", "0.5", "1e-300", "1e300"]))
ONE = ["sin", "cos", "tan", "exp", "log", "sqrt", "abs", "floor", "sign", "arctan", "tanh", "asin", "log1p", "sinh"]
formulas = st.recursive(
    st.one_of(numbers, st.sampled_from(["t", "t", "n", "max_f", "pi"])),
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(["+", "-", "*", "/", "%", "**"]), inner),
        st.builds("(-{})".format, inner),
        st.builds("{}({})".format, st.sampled_from(ONE), inner),
        st.builds("{}({}, {})".format, st.sampled_from(["min", "max", "atan2"]), inner, inner),
        st.builds("where({} {} {}, {}, {})".format, inner, st.sampled_from(["<", ">=", "<", ">"]), inner, inner, inner),
        st.builds("({} if {} < {} else {})".format, inner, inner, inner, inner),
        st.builds("where(({} < {}) & ({} > {}), {}, {})".format, *[inner] * 6),
    ),
    max_leaves=12,
)


@settings(deadline=None)  # the machine is shared
@given(formulas, st.integers(0, 120))
def test_any_formula_agrees_with_numpy_or_is_refused_in_words(text: str, frame: int) -> None:
    # numpy goes on with what is no number or infinite; here the frame is named
    with np.errstate(all="ignore"):
        try:
            value = Expression(text, CLIP)(frame)
        except KeyframeError as error:
            placed(error, "^expression ")
            return
        expected = of_numpy(text, frame, CLIP)
    if math.isfinite(expected) and not _near_a_boundary(text, frame):
        assert value == pytest.approx(expected, rel=1e-6, abs=1e-6)


def _near_a_boundary(text: str, frame: int) -> bool:
    """Whether a last bit decides: moved by some, numpy itself says something else."""
    here = of_numpy(text, frame, CLIP)
    for factor in (1 - 1e-11, 1 + 1e-11):
        moved = of_numpy(re.sub(r"\b(t|n|max_f|pi)\b", rf"(\1*{factor!r})", text), frame, CLIP)
        if moved != pytest.approx(here, rel=1e-6, abs=1e-6):
            return True
    return False

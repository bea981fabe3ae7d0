r"""Prompts, and the compact grammar that users of VQGAN-CLIP know.

    text                      one prompt of weight 1
    text:weight               a negative weight pushes the picture away from the text
    text:weight:stop          the prompt stops pulling once its loss is below `stop`
    text:(expression)         a weight, or a stop, that changes in time: `flowers:(2*sin(t/8)):-.9`
    prompt | prompt           several prompts at once
    0: prompt | 120: prompt   a story: scenes keyed by frame; segments without a key belong to the scene before them

A backslash takes the next character as it is: `12\:00 at night`, `either \| or`. A colon that is followed by a space
and by something other than a number is plain text: `portrait: a queen`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from manifests.masking import address_without_secrets
from manifests.schema.expressions import KeyframeError
from manifests.schema.keyframes import check_text
from manifests.schema.scenes import (
    LONGEST_TEXT,
    LONGEST_WEIGHT,
    MAX_FRAME,
    NUMBER,
    AnyPrompt,
    NoisePrompt,
    Prompt,
    PromptError,
    Scene,
    number_text,
    order_scenes,
    plain_number,
    wrong_stop,
    wrong_weight,
)
from manifests.schema.texts import short

__all__ = ["REMEMBERED_LENGTH", "format_prompts", "parse_prompts", "segments", "shown_prompts", "split_key",
           "trailing_numbers", "without_expressions"]  # fmt: skip

# Longer texts are parsed each time: what was parsed is remembered for thousands of rows, and must stay small.
REMEMBERED_LENGTH = 1000
_KEY = re.compile(r"(\d+)\s*:", re.ASCII)
_KEY_ONLY = re.compile(r"\d+\s*", re.ASCII)
_BAR = re.compile(r"((?:[^\\|]|\\.|\\$)*)(?:\||$)", re.DOTALL)
_COLON = re.compile(r"((?:[^\\:]|\\.|\\$)*)(?::|$)", re.DOTALL)
_SEPARATOR = re.compile(r"\\.|[|:]", re.DOTALL)
_EXPRESSION = re.compile(r"\(\.*\)\s*")  # without what stands in it
_BRACKET = re.compile(r"[()]")
_FORM = (
    "text:weight:stop, each a number or an expression in brackets, parts joined by '|', scenes keyed by frame as "
    "'0: dawn | 120: night'; '\\:' is a plain colon"
)


def parse_prompts(text: str) -> tuple[Scene, ...]:
    """Read the compact grammar into scenes, sorted by frame, the first at frame 0.

    Raises PromptError, which shows the offending part and what is allowed.
    """
    return (_parse if len(text) <= REMEMBERED_LENGTH else _parse.__wrapped__)(text)


def format_prompts(scenes: Iterable[Scene]) -> str:
    """Write scenes in the compact grammar; the inverse of `parse_prompts`."""
    return _story((scene.at, map(_format_prompt, scene.prompts)) for scene in scenes)


def shown_prompts(scenes: Iterable[Scene]) -> str:
    """Write scenes for people to read: as `format_prompts` does, with the pictures and the noise that the grammar has
    no words for. Addresses are without their secrets."""
    return _story((scene.at, map(_shown_prompt, scene.all_prompts)) for scene in scenes)


def _story(scenes: Iterable[tuple[int, Iterable[str]]]) -> str:
    ordered = sorted(scenes, key=lambda scene: scene[0])
    keyed = ((f"{at}: " if len(ordered) > 1 else "", prompts) for at, prompts in ordered)
    return " | ".join((text if number else key + text) for key, prompts in keyed for number, text in enumerate(prompts))


def segments(text: str) -> list[str]:
    """Cut a prompt at its bars into prompts and scenes."""
    return [text[part] for part in _cuts(without_expressions(text), _BAR)]


def split_key(segment: str) -> tuple[int | None, str]:
    """Split `120: a city` into its frame and the rest; `1984:0.5` is the text 1984 with a weight, not a key.

    Raises PromptError for a frame beyond all videos.
    """
    at, start = _key(segment, without_expressions(segment))
    return at, segment[start:]


def trailing_numbers(rest: str) -> tuple[str, list[str]]:
    """Part what is taken for the text from the weight and the stop after it, which stay as they are written. `rest` has
    no key."""
    parts, values = _parted(rest, without_expressions(rest, keyed=False))
    return ":".join(parts), values


def without_expressions(text: str, *, keyed: bool = True) -> str:
    """`text` with dots for all that stands within the brackets of a weight or a stop, where `|` and `:` separate
    nothing: as long as it was. `keyed` says whether it may begin with the key of a scene, behind whose colon a bracket
    is text.

    Raises PromptError for a bracket that is not closed.
    """
    if ":(" not in text:
        return text
    shape: list[str] = []
    done = searched = segment = 0
    while (sign := _SEPARATOR.search(text, searched)) is not None:
        searched = sign.end()
        if sign[0] == "|":
            segment, keyed = searched, True
        elif sign[0] == ":":
            is_key = keyed and _KEY_ONLY.fullmatch(text[segment : sign.start()].lstrip()) is not None
            keyed = False  # only the first colon ends a key
            if text.startswith("(", searched) and not is_key:
                end = _closing(text, searched)
                shape += [text[done : searched + 1], "." * (end - searched - 1)]
                done = searched = end
    return "".join([*shape, text[done:]])


def _closing(text: str, start: int) -> int:
    """Where the bracket closes that opens at `start`."""
    depth = 0
    for bracket in _BRACKET.finditer(text, start, start + LONGEST_WEIGHT + 2):
        depth += 1 if bracket[0] == "(" else -1
        if not depth:
            return bracket.start()
    shown = text[max(0, start - 30) : start + 60]
    raise PromptError(
        f"prompt '{short(shown, of=text)}', character {start + 1}: the bracket of this weight or stop is not closed; "
        f"allowed is {_FORM}"
    )


@lru_cache(maxsize=4096)
def _parse(text: str) -> tuple[Scene, ...]:
    shape = without_expressions(text)
    texts = re.sub(r":\(\.*\)", "", shape) if ":(" in shape else shape
    if max(map(len, texts.split("|"))) > 2 * LONGEST_TEXT + 100:  # however many of its signs are escaped
        raise PromptError(f"prompt '{short(text.strip())}': a text of more than {LONGEST_TEXT} characters; at most "
                          f"{LONGEST_TEXT} are allowed")  # fmt: skip
    scenes: list[tuple[int, list[Prompt]]] = []
    for part in _cuts(shape, _BAR):
        segment, seen = text[part], shape[part]
        at, start = _key(segment, seen)
        if at is not None or not scenes:
            scenes.append((at or 0, []))
        scenes[-1][1].append(_read_prompt(segment[start:], seen[start:], segment))
    return order_scenes(Scene(at=at, prompts=tuple(prompts)) for at, prompts in scenes)


def _cuts(shape: str, pattern: re.Pattern[str]) -> Iterator[slice]:
    """The parts between the separators of `pattern` that no backslash precedes; the backslashes stay."""
    position = 0
    while True:
        match = pattern.match(shape, position)
        assert match is not None  # both patterns match the empty text
        yield slice(*match.span(1))
        position = match.end()
        if match.end() == match.end(1):  # it ended at the end of the text, not at a separator
            return


def _key(segment: str, shape: str) -> tuple[int | None, int]:
    """The frame of a scene, and where the rest begins."""
    match = _KEY.match(segment, len(segment) - len(segment.lstrip()))
    if match is None:
        return None, 0
    first, *others = (shape[match.end() :][part] for part in _cuts(shape[match.end() :], _COLON))
    if NUMBER.fullmatch(first.strip()) and all(_is_value(part) for part in others):
        return None, 0
    number = match[1].lstrip("0") or "0"
    if len(number) > len(str(MAX_FRAME)) or int(number) >= MAX_FRAME:
        raise PromptError(
            f"prompt '{short(segment.strip())}': frame {short(number, 20)} is beyond the limit of {MAX_FRAME - 1}; "
            f"if the number is part of the text, write '\\:' after it"
        )
    return int(number), match.end()


def _is_value(shape: str) -> bool:
    """Whether what stands behind a colon is a number, or an expression in brackets."""
    return NUMBER.fullmatch(shape.strip()) is not None or _EXPRESSION.fullmatch(shape) is not None


def _parted(rest: str, shape: str) -> tuple[list[str], list[str]]:
    """The parts of a prompt's text, and the weight and stop that follow it, as they are written."""
    cuts = list(_cuts(shape, _COLON))
    values: list[str] = []
    while len(cuts) > 1 and _is_value(shape[cuts[-1]]):
        values.append(rest[cuts.pop()])
    return [rest[part] for part in cuts], values[::-1]


def _read_prompt(rest: str, shape: str, segment: str) -> Prompt:
    shown = short(segment.strip())
    parts, values = _parted(rest, shape)
    if len(values) > 2:
        raise PromptError(f"prompt '{shown}': {len(values)} numbers follow the text; allowed is {_FORM}")
    tight = [part for part in parts[1:] if not part[:1].isspace()]  # after a colon and a space, text goes on
    if tight:
        # in 'a:1.5:x' it is the x: the last part is no number, or it would have been taken for one
        wrong = next((part for part in tight if not NUMBER.fullmatch(part.strip())), parts[-1])
        raise PromptError(
            f"prompt '{shown}': ':{short(wrong.strip(), 20, of=rest)}' is not a number; allowed is {_FORM}"
        )
    text = re.sub(r"\\(.)", r"\1", ":".join(parts), flags=re.DOTALL).strip()
    if not text:
        where = "nothing stands" if not segment.strip() else "no text stands"
        raise PromptError(f"prompt '{shown}': {where} between the separators; allowed is {_FORM}")
    if len(text) > LONGEST_TEXT:
        raise PromptError(f"prompt '{shown}': {len(text)} characters; at most {LONGEST_TEXT} are allowed")
    weight, stop = (*map(_value, values), *("1", "-inf")[len(values) :])
    for name, value in (("weight", weight), ("stop", stop)):
        if (number := plain_number(value)) is None:
            try:
                check_text(value)
            except KeyframeError as error:
                raise PromptError(f"prompt '{shown}': {name}: {error}") from error
        elif name == "weight" and (why := wrong_weight(number)):
            raise PromptError(f"prompt '{shown}': {why}; if the number is part of the text, write '\\:' before it")
        elif name == "stop" and (why := wrong_stop(number)):
            raise PromptError(f"prompt '{shown}': {why}")
    return Prompt(text=text, weight=weight, stop=stop)


def _value(written: str) -> str:
    """A weight or a stop, without the brackets around an expression, in the spelling that the settings have."""
    text = written.strip()
    text = text[1:-1].strip() if text.startswith("(") else text
    return number_text(float(text)) if NUMBER.fullmatch(text) else text


def _format_prompt(prompt: Prompt) -> str:
    text = re.sub(r"([\\:|])", r"\\\1", prompt.text)
    if NUMBER.fullmatch(text):
        text = "\\" + text  # a text such as 7 must not be taken for a weight
    return _with_numbers(text, prompt.weight, prompt.stop)


def _shown_prompt(prompt: AnyPrompt) -> str:
    if isinstance(prompt, Prompt):
        return _format_prompt(prompt)
    if isinstance(prompt, NoisePrompt):
        return _with_numbers(f"noise {prompt.seed}", prompt.weight)
    kind = "aligned picture" if prompt.aligned else "picture"
    return _with_numbers(f"{kind} '{address_without_secrets(prompt.image)}'", prompt.weight, prompt.stop)


def _with_numbers(text: str, weight: str, stop: str = "-inf") -> str:
    if stop != "-inf":
        return f"{text}:{_written(weight)}:{_written(stop)}"
    return text if weight == "1" else f"{text}:{_written(weight)}"


def _written(value: str) -> str:
    return value if plain_number(value) is not None else f"({value})"

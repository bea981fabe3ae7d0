"""Stories as other tools spell them: Deforum's settings, Python's dictionaries, keys such as `0: (apple: 1), 9: (...)`.

The grammar takes most of them for one long text. Whoever writes a manifest hears how to write the story here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import pairwise

from manifests.schema.prompts import format_prompts
from manifests.schema.scenes import MAX_FRAME, Prompt, Scene
from manifests.schema.texts import short

__all__ = ["foreign_story", "foreign_weight", "negated"]

_Part = tuple[str, float]  # a text and its weight
_Story = list[tuple[str, list[_Part]]]  # frames as they were written

_KEY = re.compile(r"\s*(?:\"([^\"]{1,40})\"|'([^']{1,40})'|(\d+))\s*:\s*", re.ASCII)
_QUOTED = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|'((?:[^'\\]|\\.)*)'", re.DOTALL)
_GROUP = re.compile(r"\(((?:[^()]|\([^()]*\))*)\)")
_NEXT = re.compile(r"\s*[,;]?")
# `0: dawn, 20: night`, or each on its line
_BARE = re.compile(r"[,;\n]\s*(?=\d+\s*:)", re.ASCII)
_BARE_KEY = re.compile(r"\s*(\d+)\s*:(.*)", re.DOTALL | re.ASCII)
_OWN_SCENE = re.compile(r"\|\s*\d+\s*:", re.ASCII)
# `(cat:1.3)` and `[cat:dog:0.5]`
_BRACKETED = re.compile(r"[(\[]([^()\[\]:|]{1,200})(?::[^()\[\]:|]{0,200})?:\s*(-?[\d.]+)\s*[)\]]", re.ASCII)
_DOUBLE = re.compile(r"::\s*(-?[\d.]+)", re.ASCII)
_NEGATED = re.compile(r"(?:^|\s)--(?:neg|no)\s+")


def foreign_story(text: str) -> str | None:
    """Say how to write a story, or a list, that is spelled as other tools have it; None if `text` is none."""
    text = text.strip()
    if text[:1] == "[" and (parts := _list(text, 0)) is not None and parts[1] == len(text):
        return f"a list is not read: write '{short(_written([('0', parts[0])]) or 'a | b', 400)}'"
    braced = text[:1] == "{" and text[-1:] == "}"
    inner = text[1:-1].strip() if braced else text
    story, whole = _structured(inner, braced)
    if not story:
        story, whole = _bare(inner, braced), True
    if not story:
        return "JSON is not read: write the text itself, 'text:weight | text'" if braced and _is_json(text) else None
    tool = "as Deforum's settings have it" if braced else "in the keyed spelling of other tools"
    meant = _written(story) if whole else None
    advice = f"'{short(meant, 400)}'" if meant else "'0: dawn | 120: night', a weight as 'text:0.5'"
    return f"a story {tool} is not read: write {advice}"


def foreign_weight(text: str) -> str | None:
    """Say how to write a weight that is spelled as other tools have it, in brackets or after two colons; None if there
    is none."""
    found = _BRACKETED.search(text) or _DOUBLE.search(text)
    if found is None:
        return None
    meant = f"{found[1].strip()}:{found[2]}" if found.re is _BRACKETED else f":{found[1]}"
    return f"'{short(found[0])}' is a weight of another tool: write '{short(meant)}', and '|' between prompts"


def negated(text: str) -> Iterator[_Part]:
    """Deforum's `text --neg other`, and Midjourney's `--no`, as parts with weights."""
    wanted, *unwanted = _NEGATED.split(text)
    if wanted.strip():
        yield wanted.strip(), 1.0
    yield from ((it.strip(), -1.0) for it in unwanted if it.strip())


def _structured(text: str, braced: bool) -> tuple[_Story, bool]:
    """Keys whose values stand in quotes or brackets, and whether they are all of the text; none if it is no story."""
    story: _Story = []
    position, certain = 0, braced
    while (key := _KEY.match(text, position)) is not None and (value := _value(text, key.end())) is not None:
        parts, end, grouped = value
        certain = certain or grouped or key[3] is None
        story.append((key[1] or key[2] or key[3], parts))
        following = _NEXT.match(text, end)
        position = following.end() if following else end
    whole = not text[position:].strip()
    is_story = bool(story) and story[0][0].isdecimal() and ((whole and certain) or len(story) > 1)
    return (story, whole) if is_story else ([], False)


def _value(text: str, position: int) -> tuple[list[_Part], int, bool] | None:
    """The parts of a value, where it ends, and whether it stands in brackets."""
    if (quoted := _QUOTED.match(text, position)) is not None:
        return list(negated(_unquoted(quoted))), quoted.end(), False
    if (group := _GROUP.match(text, position)) is not None:
        return [_weighted(part) for part in group[1].split("|") if part.strip()], group.end(), True
    return (*found, True) if (found := _list(text, position)) is not None else None


def _list(text: str, position: int) -> tuple[list[_Part], int] | None:
    """The texts of `["a", "b"]`, and where it ends."""
    if text[position : position + 1] != "[":
        return None
    parts: list[_Part] = []
    position += 1
    while True:
        position += len(text[position : position + 100]) - len(text[position : position + 100].lstrip(" ,\n\t"))
        if (quoted := _QUOTED.match(text, position)) is None:
            break
        parts += _weighted_item(_unquoted(quoted))
        position = quoted.end()
    return (parts, position + 1) if parts and text[position : position + 1] == "]" else None


def _weighted_item(text: str) -> Iterator[_Part]:
    """The parts of one text of a list, with its weight: `["a cat:3", "a dog:-1"]` of Disco Diffusion."""
    wanted, weight = _weighted(text)
    if wanted[-1:].isdigit() or "--" in text:  # a clock perhaps
        yield from negated(text)
    else:
        yield wanted, weight


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _unquoted(found: re.Match[str]) -> str:
    try:
        return str(json.loads(found[0])) if found[1] is not None else re.sub(r"\\(.)", r"\1", found[2])
    except ValueError:
        return re.sub(r"\\(.)", r"\1", found[1])


def _bare(text: str, braced: bool) -> _Story:
    """`0: dawn, 20: night`: keys from 0 that ascend, with texts, where no scene is written as it should be."""
    if _OWN_SCENE.search(text):
        return []
    found = [_BARE_KEY.fullmatch(entry) for entry in _BARE.split(text)]
    story = [(key[1], [_weighted(it) for it in key[2].split("|") if it.strip()]) for key in found if key is not None]
    frames = [int(key) if len(key) < 8 else MAX_FRAME for key, _ in story]
    is_story = (
        len(story) == len(found) > (0 if braced else 1)
        and frames[0] == 0
        and all(before < after for before, after in pairwise(frames))
        and all(parts and not all(_is_number(it) for it, _ in parts) for _, parts in story)
    )
    return story if is_story else []


def _weighted(part: str) -> _Part:
    text, _, number = part.rpartition(":")
    return (text.strip(), float(number)) if text and _is_number(number) else (part.strip(), 1.0)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _written(story: _Story) -> str | None:
    """The story in the compact grammar; None if it has no such form."""
    try:
        return format_prompts(
            Scene(at=int(at[:8]), prompts=tuple(Prompt(text=text, weight=weight) for text, weight in parts))
            for at, parts in story
        )
    except ValueError:
        return None

"""What a row adds to all of its scenes: `prefix` and `suffix`, in the compact grammar of prompts.

painted in oil             plain text is joined to the texts of each scene by ', '
| text:-1:-.9              behind a bar stand prompts of their own, which each scene has as well
painted in oil | fog:-1    both
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from manifests.schema.prompts import parse_prompts, segments, split_key
from manifests.schema.scenes import LONGEST_TEXT, Prompt, PromptError, Scene, plain_number
from manifests.schema.texts import short

__all__ = ["Affix", "joined", "parse_affix", "with_affixes"]


@dataclass(frozen=True, slots=True)
class Affix:
    """A prefix or a suffix: the `plain` text that texts are joined with, empty for none, and `prompts` of its own."""

    plain: str = ""
    prompts: tuple[Prompt, ...] = ()


@lru_cache(maxsize=1024)
def parse_affix(text: str, *, before: bool) -> Affix:
    """Read a prefix (`before`) or a suffix. The part next to the scene's own text is plain, unless a bar parts them: at
    the beginning, or at the end of a prefix.

    Raises PromptError, which says what is wrong.
    """
    inner, parted = text.strip(), False
    if inner.startswith("|"):
        inner, parted = inner[1:], True
    if before and inner.endswith("|") and not inner.endswith("\\|"):
        inner, parted = inner[:-1], True
    scenes = parse_prompts(inner)
    if len(scenes) > 1 or _keyed(inner):
        raise PromptError("it holds for all scenes, and can't have scenes of its own; write '\\:' for a plain colon")
    prompts = scenes[0].prompts
    if parted:
        return Affix("", prompts)
    plain, others = (prompts[-1], prompts[:-1]) if before else (prompts[0], prompts[1:])
    if (plain.weight, plain.stop) != ("1", "-inf"):
        raise PromptError(
            f"'{short(plain.text)}' is joined to texts, which have weights of their own: begin with '|' for a prompt "
            "beside them"
        )
    return Affix(plain.text, others)


def _keyed(text: str) -> bool:
    return any(split_key(segment)[0] is not None for segment in segments(text))


def with_affixes(scenes: tuple[Scene, ...], prefix: str | None, suffix: str | None) -> tuple[Scene, ...]:
    """`scenes` with what a row adds to all of them.

    Raises PromptError where a text becomes too long.
    """
    if prefix is None and suffix is None:
        return scenes
    before = Affix() if prefix is None else parse_affix(prefix, before=True)
    behind = Affix() if suffix is None else parse_affix(suffix, before=False)
    return tuple(joined(scene, before, behind) for scene in scenes)


def joined(scene: Scene, prefix: Affix, suffix: Affix) -> Scene:
    """`scene` with what a row adds to it; plain text goes to all texts but those that are pushed away.

    Raises PromptError where a text becomes too long.
    """
    own = (_joined(prompt, prefix.plain, suffix.plain) for prompt in scene.prompts)
    return scene.model_copy(update={"prompts": (*prefix.prompts, *own, *suffix.prompts)})


def _joined(prompt: Prompt, before: str, after: str) -> Prompt:
    if (plain_number(prompt.weight) or 0) < 0 or not (before or after):
        return prompt
    text = ", ".join(part for part in (before, prompt.text, after) if part)
    if len(text) > LONGEST_TEXT:
        raise PromptError(f"a text of {len(text)} characters, with what is added; at most {LONGEST_TEXT} are allowed")
    return prompt.model_copy(update={"text": text})

"""The dialects that are read, and how they are told apart: by the keys that each alone has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from manifests.importing import aig, chigozie, deforum, disco, nerdyrodent, parseq, pytti, travel
from manifests.importing.command_line import looks_like_command
from manifests.importing.documents import mapping_of
from manifests.importing.source import Imported, Source, Wishes
from manifests.results import ManifestError
from manifests.schema.texts import did_you_mean, short

__all__ = ["DIALECTS", "read"]

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Dialect:
    """One tool's settings: how a document of them is read, and by what it is known."""

    title: str
    known_by: str
    read: Callable[[Source], Imported] | None
    is_one: Callable[[Values], bool]


def _has(*keys: str) -> Callable[[Values], bool]:
    return lambda values: all(key in values for key in keys)


def _is_disco(values: Values) -> bool:
    return "text_prompts" in values and (
        "clip_guidance_scale" in values
        or (isinstance(values["text_prompts"], Mapping | list) and "cutn_batches" in values)
    )


def _is_deforum(values: Values) -> bool:
    return "max_frames" in values and (
        "prompts" in values or "animation_prompts" in values or "animation_mode" in values
    )


def _is_chigozie(values: Values) -> bool:
    named = "text_prompts" in values and ("iterations_per_frame" in values or "key_frames" in values)
    return named or chigozie.is_prompts(values)


def _is_travel(values: Values) -> bool:
    return "prompt_map" in values or travel.is_schedule(values) or ("text" in values and "pw_a" in values)


#: In the order in which they are asked: the first that knows a document reads it.
DIALECTS: dict[str, Dialect] = {
    "nr": Dialect("nerdyrodent's VQGAN-CLIP, EleutherAI's main.py",
                  "a command line with generate.py, main.py or zoom.sh", None, lambda _: False),
    "aig": Dialect("ai-art-generator", "[subjects]", None, lambda _: False),
    "parseq": Dialect("Parseq", "rendered_frames", parseq.read, _has("rendered_frames")),
    "travel": Dialect("prompt travel, Fizz's nodes", "prompt_map, or texts by frames", travel.read, _is_travel),
    "pytti": Dialect("pytti", "scenes and steps_per_frame", pytti.read, _has("scenes", "steps_per_frame")),
    "disco": Dialect("Disco Diffusion", "text_prompts and clip_guidance_scale", disco.read, _is_disco),
    "chigozie": Dialect("chigozienri's notebook", "text_prompts and iterations_per_frame, or weights by frames",
                        chigozie.read, _is_chigozie),
    "deforum": Dialect("Deforum", "animation_mode and max_frames", deforum.read, _is_deforum),
}  # fmt: skip


def read(text: str, name: str, dialect: str | None, wishes: Wishes) -> Imported:
    """Read settings in a dialect, or in the one that their keys tell.

    Raises:
        ManifestError: they are in none that is known, or can't be read; the message names file and place.
    """
    if dialect is not None and dialect not in DIALECTS:
        hint = did_you_mean(dialect, DIALECTS)
        raise ManifestError(f"there is no dialect '{short(dialect)}'; {hint} Known are {', '.join(DIALECTS)}")
    if dialect == "nr" or (dialect is None and looks_like_command(text) and text.lstrip()[:1] not in "{["):
        return nerdyrodent.read_commands(text, name, wishes)
    if dialect == "aig" or (dialect is None and aig.looks_like_subjects(text)):
        return aig.read_subjects(text, name, wishes)
    values = mapping_of(text, name)
    for known, it in DIALECTS.items():
        if it.read is not None and (dialect == known or (dialect is None and it.is_one(values))):
            return it.read(Source(values, text, name, wishes))
    signs = "; ".join(f"{known}: {it.known_by}" for known, it in DIALECTS.items())
    raise ManifestError(f"{name}: its keys are those of no tool that is known; name one by --from ({signs})")

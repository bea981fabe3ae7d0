"""Presets: settings of a row under one name. What a row leaves out comes from its preset, then from its model, then
from the schema. Those of the package are the YAML files beside this module; a row may name a file of its own instead
(`manifests.own_presets` reads it).

A preset is what its settings are: the row that names it is planned as one that writes them out, and has its digests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from manifests.schema.texts import did_you_mean, short

__all__ = ["ABOUT", "NAMES", "NOT_IN_PRESETS", "Preset", "check_preset", "is_file", "preset_of", "shipped_preset"]

_FOLDER = Path(__file__).parent
NAMES = tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))
"""The presets of the package."""

ABOUT = ("summary", "notes")
"""What a preset's file says of itself, beside the columns of a row."""

NOT_IN_PRESETS = frozenset({
    "video_id", "prompt", "prompts", "frames", "bpm", "beat_offset", "seed", "model", "preset", "init_image",
    "size_from", "image_prompts", "noise_prompts", "mask", "mask_moves", "regions", "travel", "travel_hold", "priority",
    "axes",
    "seconds", "audio", "audio_start", "audio_gain", "audio_release", "bands", "heard", "source",
})  # fmt: skip
"""Columns that say what a video shows, and how long: a preset says how it is drawn."""


@dataclass(frozen=True)
class Preset:
    """`settings` are columns of a row, nested ones as mappings; `summary` and `notes` are for people: what it is good
    for, and what of its model it does not do."""

    name: str
    summary: str
    notes: str
    settings: Mapping[str, Any]


def is_file(preset: str) -> bool:
    """Whether a row's `preset` is a file's address, not a name."""
    return preset.lower().endswith((".yaml", ".yml"))


def check_preset(preset: str) -> str:
    """Return `preset` if a row may name it: a preset of the package, or a file, which is not looked at.

    Raises:
        ValueError: it is neither.
    """
    if preset in NAMES or is_file(preset):
        return preset
    hint = f"{hint} " if (hint := did_you_mean(preset, NAMES)) else ""
    raise ValueError(
        f"there is no preset '{short(preset)}'; {hint}Known are {', '.join(NAMES)}; one of your own is a file that "
        "ends in .yaml"
    )


def preset_of(name: str, document: Mapping[str, Any]) -> Preset:
    """Return the preset that a file's values are; nothing of them is checked."""
    settings = {key: value for key, value in document.items() if key not in ABOUT}
    summary, notes = (str(document.get(key) or "") for key in ABOUT)
    return Preset(name, summary, notes, settings)


@cache
def shipped_preset(name: str) -> Preset:
    """Return a preset of the package.

    Raises:
        ValueError: there is none of that name; the message lists them.
    """
    import yaml  # of no use to whoever reads rows without presets

    if name not in NAMES:
        check_preset(name)
        raise ValueError(f"the preset '{short(name)}' is a file, and not one of the package's")
    return preset_of(name, yaml.safe_load((_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")))

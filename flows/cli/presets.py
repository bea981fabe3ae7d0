"""`nightreel manifest presets`: named settings of a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import yaml
from cyclopts import Parameter

from flows.cli.output import print_json, say
from infra.settings import load_settings
from infra.storage.storage import SourceReader, input_address
from manifests.masking import address_without_secrets
from manifests.own_presets import read_preset
from manifests.schema.presets import NAMES, Preset, is_file
from renderers.frame_plan.resolution import preset_for
from renderers.registry import ModelEntry, Registry

__all__ = ["presets"]


def presets(
    name: Annotated[str | None, Parameter(help="the one to show whole; a YAML file of your own is checked")] = None,
    *,
    model: Annotated[str, Parameter(help="the model that it is for: some have values of their own")] = "embedded",
    json: Annotated[bool, Parameter(negative="", help="as JSON on stdout")] = False,
) -> int:
    """List the presets that a row can name, or show one. Example: nightreel manifest presets nerdyrodent

    A row that says `preset: fine` takes from it what it leaves out; its own values go first, and what neither says is
    as the model has it. `nightreel manifest presets mine.yaml` checks a file of your own.
    """
    settings = load_settings()
    entry = Registry(settings.models_folder).entry(model)
    if name is None:
        found = [preset_for(known, entry) for known in NAMES]
    else:
        found = [_found(name, entry, SourceReader(settings.reading()))]
    if json:
        print_json(
            [{"name": it.name, "summary": it.summary, "notes": it.notes, "settings": it.settings} for it in found]
        )
    elif name is None:
        say(f"values for {model}; the rest is as the model has it")
        for preset in found:
            say("\n".join(["", f"{preset.name}: {preset.summary}", *(f"  {line}" for line in _lines(preset.settings))]))
    else:
        (preset,) = found
        about = "".join(f"# {text}\n" for text in (preset.summary, preset.notes) if text)
        say(about + yaml.safe_dump(dict(preset.settings), sort_keys=False, allow_unicode=True).rstrip())
    return 0


def _found(name: str, entry: ModelEntry, reader: SourceReader) -> Preset:
    if is_file(name):
        address = input_address(name, None, reader.policy)
        return read_preset(reader.read(address), address_without_secrets(name))
    return preset_for(name, entry)


def _lines(settings: Mapping[str, Any]) -> Iterator[str]:
    """The values of columns in one line, then those of each group of settings in one."""
    plain = {name: value for name, value in settings.items() if not isinstance(value, Mapping)}
    if plain:
        yield _values(plain)
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield f"{name}: {_values(value)}"


def _values(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {str(it).lower() if isinstance(it, bool) else it}" for name, it in settings.items())

"""How large a YAML of plain values may be that is read at once: settings, presets."""

from __future__ import annotations

import yaml

from manifests.results import ManifestError

__all__ = ["check_size"]


def check_size(text: str, name: str, most_values: int, deepest: int, what: str) -> None:
    """Look at a text as events, which takes no stack and no memory; `what` begins the sentence, `a preset has`.

    Raises:
        ManifestError: it would cost seconds or a stack before it is known what it means, or has aliases.
        yaml.YAMLError: it is no YAML.
    """
    depth = values = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        values += isinstance(event, yaml.NodeEvent)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent):
            raise ManifestError(f"{name} line {line}: {what} no aliases; write the value out")
        if values > most_values or depth > deepest:
            raise ManifestError(
                f"{name} line {line}: {what} at most {most_values:,} values, in blocks of at most {deepest} in each "
                "other"
            )

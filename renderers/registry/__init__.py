"""The registry of models: one YAML file per model, beside this module or in the user's models folder.

A model's `defaults` stand between the row and the schema: what the row leaves out is taken from here first.
`entry` is the schema, `registry` finds entries by name and adds the user's own, `reading` reads their files and
`registering` copies them.
"""

from renderers.registry.digest import DigestsRemembered
from renderers.registry.entry import (
    DepthEntry,
    ModelEntry,
    PerceptorEntry,
    RemoteFile,
    VQGANEntry,
    VQGANSource,
    depth_digest,
)
from renderers.registry.judges import judges_of
from renderers.registry.reading import not_fetched, shipped_configs, shipped_names
from renderers.registry.registry import Registry

__all__ = [
    "DepthEntry",
    "DigestsRemembered",
    "ModelEntry",
    "PerceptorEntry",
    "Registry",
    "RemoteFile",
    "VQGANEntry",
    "VQGANSource",
    "depth_digest",
    "judges_of",
    "not_fetched",
    "shipped_configs",
    "shipped_names",
]

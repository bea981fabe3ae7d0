"""The registry of models: one YAML file per model, beside this module or in the user's models folder.

A model's `defaults` stand between the row and the schema: what the row leaves out is taken from here first.
`entry` is the schema, `reading` finds entries by name, `registering` adds the user's own.
"""

from renderers.registry.entry import ModelEntry, PerceptorEntry, RemoteFile, VQGANEntry, VQGANSource
from renderers.registry.reading import (
    list_models,
    model_entry,
    models_folder,
    not_fetched,
    open_clip_cache,
    read_entry,
    shipped_configs,
    shipped_names,
    use_folder,
)
from renderers.registry.registering import check_new_name, register

__all__ = [
    "ModelEntry",
    "PerceptorEntry",
    "RemoteFile",
    "VQGANEntry",
    "VQGANSource",
    "check_new_name",
    "list_models",
    "model_entry",
    "models_folder",
    "not_fetched",
    "open_clip_cache",
    "read_entry",
    "register",
    "shipped_configs",
    "shipped_names",
    "use_folder",
]

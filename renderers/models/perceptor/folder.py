"""A folder that open_clip wrote, looked at before open_clip builds what its config describes.

open_clip passes a config's words on: those for the tokenizer to `transformers`, where one of them has it run code of
the folder's; the name of a picture tower to timm, which fetches what a name with a scheme leads to. And it builds the
network before it looks at the weights, however large a config of a few bytes says that it is.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

from safetensors import safe_open

from renderers.config_file import read_json_config, shown_value
from renderers.errors import CheckpointUnsafe, ModelFilesBroken
from renderers.hub_tokenizer import TOKENIZER_WORDS
from renderers.models.perceptor.quiet import quiet
from renderers.models.shapes import shapes_alone

__all__ = ["CONFIG", "WEIGHTS", "check_described", "check_words"]

CONFIG, WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"
MAX_CONTEXT = 4096  # tokens of a text, of which the text tower has a mask of their square
# Numbers of a network for each in its weights: some of its tensors are sometimes left out of them.
MAX_GROWTH = 4
SMALL = 2**20


def check_words(folder: Path) -> dict[str, Any]:
    """Return the `model_cfg` of the config in `folder`, if it says nothing but what a network is like.

    Raises:
        CheckpointUnsafe: it has open_clip run or fetch what it names.
        ModelFilesBroken: it is none of open_clip's.
    """
    path = folder / CONFIG
    model = read_json_config(path).get("model_cfg")
    if not isinstance(model, dict):
        raise ModelFilesBroken(f"'{path}' is none of open_clip's: it lacks model_cfg")
    for name in ("vision_cfg", "text_cfg"):
        if not isinstance(model.get(name), dict):
            raise ModelFilesBroken(f"'{path}' is none of open_clip's: its model_cfg lacks {name}")
    words = model["text_cfg"].get("tokenizer_kwargs") or {}
    if not isinstance(words, dict):
        raise ModelFilesBroken(f"'{path}' is none of open_clip's: its tokenizer_kwargs are {shown_value(words)}")
    if unknown := sorted(words.keys() - TOKENIZER_WORDS):
        known = ", ".join(sorted(TOKENIZER_WORDS))
        raise CheckpointUnsafe(
            f"'{path}' is refused, and nothing of it was run: its tokenizer_kwargs have {shown_value(unknown[0])}, "
            f"which may run code; known are {known}"
        )
    tower = model["vision_cfg"].get("timm_model_name") or ""
    if not isinstance(tower, str) or ":" in tower:
        raise CheckpointUnsafe(
            f"'{path}' is refused, and nothing of it was fetched: its timm_model_name is {shown_value(tower)}, and may "
            "be the name of one of timm's models"
        )
    return model


def check_described(folder: Path) -> None:
    """Raise ModelFilesBroken unless the network that the config in `folder` describes may be the one in its weights, by
    how large it is; and as `check_words`, first."""
    model = check_words(folder)
    with safe_open(folder / WEIGHTS, framework="pt") as file:
        shapes = [file.get_slice(key).get_shape() for key in file.keys()]  # noqa: SIM118 - no mapping
    for name in ("vision_cfg", "text_cfg", "multimodal_cfg"):
        tower: dict[str, Any] = model.get(name) or {}
        layers = tower.get("layers", 0)
        depth = sum(layers) if isinstance(layers, list) else layers
        if depth > len(shapes):
            raise ModelFilesBroken(f"{name} has {shown_value(layers)} layers, and '{WEIGHTS}' {len(shapes)} tensors")
        if tower.get("context_length", 0) > MAX_CONTEXT:
            raise ModelFilesBroken(f"the context_length of {name} is above {MAX_CONTEXT:,}")
    import open_clip  # takes seconds

    # shapes without numbers, and without the warning that there are none
    with shapes_alone(), quiet(logging.ERROR):
        network = open_clip.create_model(
            f"local-dir:{folder}", load_weights=False, pretrained_text=False, device="meta"
        )
    described = sum(tensor.numel() for tensor in network.state_dict().values())
    held = sum(map(math.prod, shapes))
    if described > MAX_GROWTH * held + SMALL:
        raise ModelFilesBroken(f"'{CONFIG}' describes a network of {described:,} numbers, and '{WEIGHTS}' has {held:,}")

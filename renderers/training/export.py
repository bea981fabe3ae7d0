"""From a training to files that the registry can name: taming's layout for a VQGAN, open_clip's for a perceptor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor

from renderers.models.vqgan.vqgan import VQMODEL, VQGANConfig
from renderers.models.weights_file import write_weights

__all__ = ["write_perceptor", "write_vqgan"]


def write_vqgan(config: VQGANConfig, state: Mapping[str, Tensor], folder: Path, *, half: bool = False) -> str:
    """Write `vqgan.yaml` and `vqgan.safetensors` into `folder`; gives the SHA-256 of the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {"model": {"target": VQMODEL, "params": config.model_dump(mode="json")}}
    (folder / "vqgan.yaml").write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return _write_weights(state, folder / "vqgan.safetensors", half=half)


def write_perceptor(config: Mapping[str, Any], state: Mapping[str, Tensor], folder: Path, *, half: bool = False) -> str:
    """Write `open_clip_config.json` and `open_clip_model.safetensors` into `folder`; gives the weights' SHA-256."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    return _write_weights(state, folder / "open_clip_model.safetensors", half=half)


def _write_weights(state: Mapping[str, Tensor], path: Path, *, half: bool) -> str:
    """Matrices in half precision if `half`; vectors (norms, biases, running statistics) stay whole: they weigh nothing,
    and a small variance does not survive it."""
    kept = {
        key: value.half() if half and value.is_floating_point() and value.ndim >= 2 else value
        for key, value in state.items()
    }
    return write_weights(kept, path)

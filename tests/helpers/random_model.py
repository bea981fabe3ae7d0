"""A model of random weights in the very files that trained ones come in: a VQGAN and a CLIP, both tiny."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import open_clip
import torch
import yaml
from safetensors.torch import save_file

from manifests.schema import ManifestRow
from renderers.frame_plan.resolution import resolve
from renderers.frame_plan.video_plan import VideoPlan
from renderers.models import VQGAN, VQGANConfig
from renderers.registry import ModelEntry

VQGAN_PARAMS: dict[str, Any] = {
    "embed_dim": 4,
    "n_embed": 32,
    "lossconfig": {"target": "of the training, ignored"},
    "ddconfig": {
        "double_z": False,
        "z_channels": 8,
        "resolution": 32,
        "in_channels": 3,
        "out_ch": 3,
        "ch": 8,
        "ch_mult": [1, 1, 2],
        "num_res_blocks": 1,
        "attn_resolutions": [8],
        "dropout": 0.0,
        "norm_groups": 2,
    },
}
CLIP_CONFIG: dict[str, Any] = {
    "model_cfg": {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
        "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    },
    "preprocess_cfg": {
        "size": 32, "mode": "RGB", "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3],
        "interpolation": "bilinear", "resize_mode": "squash",
    },
}  # fmt: skip


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_model(folder: Path) -> ModelEntry:
    """Write all files of a random model into `folder`; returns the registry entry that vouches for them."""
    torch.manual_seed(0)
    config = {"model": {"target": "taming.models.vqgan.VQModel", "params": VQGAN_PARAMS}}
    (folder / "vqgan.yaml").write_text(yaml.safe_dump(config))
    vqgan = VQGAN(VQGANConfig.read(folder / "vqgan.yaml"))
    with torch.no_grad():
        vqgan.codebook.normal_()
        vqgan.decoder.conv_out.weight *= 3  # random networks draw grey on grey: more contrast
    save_file(vqgan.state_dict(), folder / "vqgan.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps(CLIP_CONFIG))
    clip = open_clip.CLIP(**CLIP_CONFIG["model_cfg"])
    save_file(clip.state_dict(), folder / "open_clip_model.safetensors")
    return ModelEntry.model_validate(
        {
            "name": "random",
            "summary": "random weights",
            "licence": "none",
            "size_bytes": 1,
            "downsampling": 4,
            "vqgan": {
                "config": folder / "vqgan.yaml",
                "weights": folder / "vqgan.safetensors",
                "sha256": sha256(folder / "vqgan.safetensors"),
            },
            "perceptors": [{"folder": folder, "sha256": sha256(folder / "open_clip_model.safetensors")}],
            "concepts": ["apple", "dog"],
            "defaults": {"width": 32, "height": 32, "steps_first": 3, "steps": 2, "cutouts": {"number": 4}},
            "seconds_per_step": 0.5,
            "measured_on": "nothing",
        }
    )


class Planner:
    """Plans videos for the random model; what is not given comes from its entry and the schema."""

    def __init__(self, entry: ModelEntry) -> None:
        self.entry = entry

    def __call__(self, images: dict[str, bytes] | None = None, **columns: Any) -> VideoPlan:
        given = {"video_id": "reef", **columns}
        if "prompts" not in given:
            given.setdefault("prompt", "a coral reef")
        row = ManifestRow.model_validate(given)
        digests = {uri: hashlib.sha256(data).hexdigest() for uri, data in (images or {}).items()}
        return VideoPlan(resolve(row, self.entry), self.entry, digests)

"""The shapes of the usual big models, on random weights: no download is needed to measure them."""

from __future__ import annotations

import open_clip
import torch

from renderers.hardware import Precision
from renderers.models import VQGAN, Models, Perceptor, VQGANConfig
from renderers.registry import Registry

__all__ = ["ARCHITECTURE", "F16_16384", "random_models"]

ARCHITECTURE = "ViT-B-32-quickgelu"
F16_16384 = VQGANConfig.model_validate({
    "embed_dim": 256, "n_embed": 16384,
    "ddconfig": {"z_channels": 256, "resolution": 256, "ch": 128, "ch_mult": (1, 1, 2, 2, 4), "num_res_blocks": 2,
                 "attn_resolutions": (16,)},
})  # fmt: skip


def random_models(
    device: torch.device, *, threads: int, precision: Precision, graphs: bool, vqgan: VQGAN, clip: torch.nn.Module
) -> Models:
    """`vqgan` and `clip`, of these shapes, as a renderer takes them."""
    perceptor = Perceptor(clip, open_clip.get_tokenizer(ARCHITECTURE))
    entry = Registry().entry("embedded").model_copy(update={"concepts": (), "downsampling": 16, "defaults": {}})
    return Models.of(entry, vqgan, (perceptor,), device, threads=threads, precision=precision, graphs=graphs)

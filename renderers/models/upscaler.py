"""Nets that enlarge finished frames: built by spandrel, which tells some forty architectures by their weights, from
tensors that were read here. Its own loader of files unpickles, and is never called."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from renderers.checksums import file_sha256
from renderers.config_file import clipped
from renderers.errors import BadInput, ModelFilesBroken
from renderers.models.checkpoint.reading import TensorRef, open_checkpoint
from renderers.models.weights_file import write_weights
from renderers.registry import Registry
from renderers.registry.upscalers import upscaler_path

__all__ = ["Upscaler", "add_upscaler", "load_upscaler"]

TILE, OVERLAP = 256, 32
"""pixels of a frame that the net sees at once, and how many of them are seen by the next as well"""

# Where trainers keep what is to be used, the best first; then the state dict itself.
_STATES = ("params_ema", "params", "state_dict", "model")
_HOW = "pip install 'nightreel[upscale]'"


class Upscaler:
    """A net that makes pictures `scale` times as large."""

    def __init__(self, net: Any, device: torch.device) -> None:
        """`net` is what spandrel built."""
        self._net, self._device = net.to(device).eval(), device
        self.scale = int(net.scale)

    @torch.inference_mode()
    def enlarge(self, picture: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
        """Enlarge `(height, width, 3)` uint8 to `factor` times its sides: by the net, and by Lanczos where that makes
        it larger or smaller."""
        image = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255
        large = (self._tiled(image) * 255).round().clamp(0, 255).to(torch.uint8)
        found: NDArray[np.uint8] = large[0].permute(1, 2, 0).contiguous().numpy()
        if self.scale == factor:
            return found
        height, width = picture.shape[:2]
        resized = Image.fromarray(found).resize((width * factor, height * factor), Image.Resampling.LANCZOS)
        return np.asarray(resized)

    def _tiled(self, image: Tensor) -> Tensor:
        """Tile by tile, so that memory does not grow with the picture: of each its middle is kept, up to half of what
        it shares with the next."""
        height, width = image.shape[-2:]
        whole = torch.empty(1, 3, height * self.scale, width * self.scale)
        for top, bottom, from_row, to_row in _tiles(height):
            for left, right, from_column, to_column in _tiles(width):
                tile = self._net(image[:, :, top:bottom, left:right].to(self._device)).float().cpu()
                s = self.scale
                whole[:, :, from_row * s : to_row * s, from_column * s : to_column * s] = tile[
                    :, :, (from_row - top) * s : (to_row - top) * s, (from_column - left) * s : (to_column - left) * s
                ]
        return whole


def _tiles(side: int) -> list[tuple[int, int, int, int]]:
    """Tiles along a side: each from where to where it is seen, and from where to where it is kept."""
    starts = [0]
    while starts[-1] + TILE < side:
        starts.append(min(starts[-1] + TILE - OVERLAP, side - TILE))
    seen = [(start, min(start + TILE, side)) for start in starts]
    edges = [0, *((before[1] + after[0]) // 2 for before, after in pairwise(seen)), side]
    return [(*it, edges[number], edges[number + 1]) for number, it in enumerate(seen)]


def add_upscaler(registry: Registry, file: Path, name: str, *, replace: bool = False) -> Upscaler:
    """Put the net of `file` (safetensors, or what `torch.save` wrote) into the models folder as the upscaler `name`.

    Raises:
        BadInput: the name is taken.
        CheckpointUnsafe: the file tries to run code. It did not.
        ModelFilesBroken: it can't be read, or holds no net that enlarges colour pictures; spandrel is not installed.
    """
    target = upscaler_path(registry, name)
    if target.exists() and not replace:
        raise BadInput(f"'{registry.folder}' has an upscaler '{name}' already: choose another name, or replace it")
    tensors = _read(file)
    upscaler = _built(tensors, str(file), torch.device("cpu"))
    upscaler.enlarge(np.zeros((17, 33, 3), np.uint8), upscaler.scale)  # now, and not in the night
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_weights(tensors, target)
    except (OSError, SafetensorError) as error:
        raise ModelFilesBroken(f"can't write '{target}': {error}") from error
    return upscaler


def load_upscaler(registry: Registry, name: str, sha256: str, device: str = "auto") -> Upscaler:
    """Load the upscaler `name` whose weights have that digest.

    Raises:
        ModelFilesBroken: this machine does not have it, or another one of that name; spandrel is not installed.
    """
    path = upscaler_path(registry, name)
    if not path.exists():
        raise ModelFilesBroken(
            f"upscaler '{name}' is not in the models folder '{registry.folder}' here: have all machines share the "
            "folder, or add it here by `nightreel models add-upscaler`"
        )
    if (found := file_sha256(path)) != sha256:
        raise ModelFilesBroken(
            f"the models folder '{registry.folder}' has another upscaler '{name}' ({found[:16]}) than the one that the "
            f"job was planned with ({sha256[:16]}): have all machines share the folder, or add it again"
        )
    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    return _built(_read(path), str(path), torch.device(chosen))


def _read(path: Path) -> dict[str, Tensor]:
    if path.exists() and not path.is_file():  # a pipe would be waited for, a device read without end
        raise ModelFilesBroken(f"the weights '{path}' can't be read: it is no regular file")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (OSError, SafetensorError, ValueError, MemoryError) as error:
            raise ModelFilesBroken(f"the weights '{path}' can't be read: {clipped(error)}") from error
    with open_checkpoint(path) as opened:
        top = opened.data if isinstance(opened.data, dict) else {}
        states = [top[it] for it in _STATES if isinstance(top.get(it), dict)]
        held = {key: it for key, it in (states[0] if states else top).items() if isinstance(it, TensorRef)}
        return {str(key): opened.read(ref) for key, ref in held.items()}


def _built(tensors: Mapping[str, Tensor], name: str, device: torch.device) -> Upscaler:
    try:
        from spandrel import ImageModelDescriptor, ModelLoader
    except ImportError as error:
        raise ModelFilesBroken(f"'{name}' needs a package that is not installed: {_HOW}") from error
    try:
        net = ModelLoader(device).load_from_state_dict(dict(tensors))
    except Exception as error:  # whatever a net of forty kinds says to weights that are none of its
        raise ModelFilesBroken(f"'{name}' holds no net that spandrel knows: {clipped(error)}") from error
    if not isinstance(net, ImageModelDescriptor) or (net.input_channels, net.output_channels) != (3, 3):
        raise ModelFilesBroken(f"'{name}' holds a net that takes no colour pictures, or gives none")
    return Upscaler(net, device)

"""A depth model of the user's own: asked how far away is what a picture shows, and held to an answer."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from manifests.errors import first_line
from manifests.schema.texts import short
from renderers.checksums import file_sha256, verify_file
from renderers.errors import BadInput, ModelFilesBroken
from renderers.frame_plan.parallax import FARTHEST
from renderers.registry import DepthEntry, ModelEntry
from renderers.registry.installed_depth import installed_loader, installed_version, verified_loader
from renderers.user_paths import at_home

__all__ = ["DepthModel", "described_depth", "load_depth"]

# Pictures that a depth model is tried on when it is loaded, in pixels.
TRIAL = 64

MOST_FILES = 100


@dataclass(frozen=True)
class DepthModel:
    """`network` takes pictures `(n, 3, h, w)`, float32 from 0 to 1, and gives distances along the way that the camera
    looks, `(n, h, w)` of any resolution and in any unit, above 0."""

    entry: DepthEntry
    network: Callable[[Tensor], Any]
    model: str
    """the name of the model that it belongs to, for people"""

    @torch.no_grad()
    def depths(self, pictures: Tensor) -> Tensor:
        """How far away is what each place of `pictures` `(n, 3, h, w)` shows, `(n, 1, h, w)`: the middle one of each
        picture's distances is 1, which is its plane's, the others are between 1 / FARTHEST and FARTHEST.

        Raises:
            ModelFilesBroken: the network fails, or gives something else than distances.
        """
        try:
            with _kept_settings():
                given = self.network(pictures.detach().float().clone())
        except (torch.OutOfMemoryError, MemoryError):
            raise  # whoever asks knows what to do
        except (Exception, SystemExit) as error:  # a stranger's code may raise anything
            raise self._broken(f"failed: {type(error).__name__}: {first_line(error)}") from error
        found = self._checked(given, pictures)
        finite = torch.isfinite(found)
        middle = torch.stack([depth[there].median() for depth, there in zip(found, finite, strict=True)])
        relative = (found / middle[:, None, None]).clamp(1 / FARTHEST, FARTHEST)[:, None].float()
        size = pictures.shape[-2:]
        if relative.shape[-2:] != size:
            relative = F.interpolate(relative, size=size, mode="bilinear", align_corners=False)
        return relative.to(pictures.device)

    def _checked(self, given: Any, pictures: Tensor) -> Tensor:
        shape = tuple(pictures.shape)
        wanted = f"it must give distances ({shape[0]}, height, width), above 0"
        if not isinstance(given, Tensor):
            raise self._broken(f"gives a {type(given).__name__} for pictures {shape}: {wanted}")
        if given.ndim != 3 or len(given) != shape[0] or not given.numel() or given.is_complex():
            raise self._broken(f"gives {tuple(given.shape)} for pictures {shape}: {wanted}")
        if given.layout is not torch.strided or given.is_meta or given.is_quantized:
            raise self._broken(
                f"gives a tensor of {given.layout} on '{given.device}' that holds no plain numbers: {wanted}"
            )
        # not doubles: what is a number there may be none as a float
        found: Tensor = given if given.dtype is torch.float64 else given.float()
        if found.isnan().any():
            raise self._broken(f"gives what is no number: {wanted}")
        if not (found > 0).all():
            raise self._broken(f"gives distances of 0 or less (such as {float(found.min()):.3g}): {wanted}")
        if not torch.isfinite(found).flatten(1).any(dim=1).all():
            raise self._broken(f"gives no finite distance: {wanted}")
        return found

    def _broken(self, what: str) -> ModelFilesBroken:
        return ModelFilesBroken(f"depth loader '{self.entry.loader}' of model '{self.model}' {what}")


def described_depth(loader: str, folder: Path | None) -> dict[str, Any]:
    """What a registry entry says of the depth model `loader` that is installed here, with the files in `folder`.

    Raises:
        BadInput: the folder holds no files, or too many.
        ModelFilesBroken: the loader is not installed; or a file can't be read.
    """
    given: dict[str, Any] = {"loader": loader, "version": installed_version(installed_loader(loader))}
    if folder is None:
        return given
    place = at_home(str(folder)).absolute()
    kept = sorted(islice(_files_below(place), MOST_FILES + 1))
    if not 0 < len(kept) <= MOST_FILES:
        many = f"more than {MOST_FILES}" if kept else "no"
        raise BadInput(
            f"'{folder}' holds {many} files for the depth loader '{loader}'; give a folder of 1 to {MOST_FILES}"
        )
    return given | {"folder": place, "files": {name: file_sha256(place / name) for name in kept}}


def _files_below(place: Path) -> Iterator[str]:
    """The names of all files below a folder, with slashes; not of hidden ones, nor of what lies in hidden folders."""
    for folder, folders, files in os.walk(place):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (
            Path(folder, name).relative_to(place).as_posix()
            for name in files
            if not name.startswith(".") and Path(folder, name).is_file()
        )


def _refuse_others(depth: DepthEntry, model: str) -> None:
    """Of files that no checksum vouches for a loader might take the wrong ones, such as those of an earlier version."""
    if depth.path is None:
        return
    other = next((name for name in _files_below(depth.path) if name not in depth.files), None)
    if other is not None:
        raise ModelFilesBroken(
            f"the folder '{depth.path}' of depth loader '{depth.loader}' of model '{model}' holds '{short(other)}', "
            "which the model was not added with: remove it there, or add the model again with all files"
        )


@contextmanager
def _kept_settings() -> Iterator[None]:
    """Take back what a stranger's code sets in torch for the whole process, or for whoever computes next: frames hang
    on it. (Sums are split by threads: see `load_models`.)"""
    threads, dtype, device = torch.get_num_threads(), torch.get_default_dtype(), torch.get_default_device()
    gradients, cudnn = torch.is_grad_enabled(), torch.backends.cudnn
    chosen = {name: getattr(cudnn, name) for name in ("benchmark", "deterministic", "allow_tf32")}
    matmul = torch.get_float32_matmul_precision()
    try:
        yield
    finally:
        torch.set_grad_enabled(gradients)
        torch.set_default_dtype(dtype)
        if torch.get_default_device() != device:
            torch.set_default_device(None)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        if torch.get_float32_matmul_precision() != matmul:
            torch.set_float32_matmul_precision(matmul)
        for name, value in chosen.items():
            if getattr(cudnn, name) != value:
                setattr(cudnn, name, value)


def load_depth(entry: ModelEntry, device: torch.device) -> DepthModel | None:
    """Load and verify the depth model of `entry`, and try it once; None if it has none.

    Raises:
        ModelFilesBroken: its code is not installed in the version that the entry names, a file is missing or damaged,
            or what it gives is no depth.
    """
    depth = entry.depth
    if depth is None:
        return None
    point = verified_loader(depth, entry.name)
    for name, sha256 in depth.files.items():
        assert depth.path is not None  # the entry's schema sees to it
        verify_file(depth.path / name, sha256)
    _refuse_others(depth, entry.name)
    try:
        with _kept_settings():
            network = point.load()(depth.path, device)
    except (Exception, SystemExit) as error:
        message = f"depth loader '{depth.loader}' of model '{entry.name}' can't be loaded: "
        raise ModelFilesBroken(f"{message}{type(error).__name__}: {first_line(error)}") from error
    found = DepthModel(depth, network, entry.name)
    found.depths(torch.linspace(0, 1, 3 * TRIAL * TRIAL, device=device).view(1, 3, TRIAL, TRIAL))
    return found

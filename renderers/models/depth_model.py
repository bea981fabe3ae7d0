"""A depth model of the user's own: asked how far away is what a picture shows, and held to an answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from manifests.errors import first_line
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
            given = self.network(pictures.detach().float().clone())
        except (torch.OutOfMemoryError, MemoryError):
            raise  # whoever asks knows what to do
        except Exception as error:  # a stranger's code may raise anything
            raise self._broken(f"failed: {type(error).__name__}: {first_line(error)}") from error
        found = self._checked(given, pictures).float()
        finite = torch.isfinite(found)
        middle = torch.stack([depth[there].median() for depth, there in zip(found, finite, strict=True)])
        relative = (found / middle[:, None, None]).clamp(1 / FARTHEST, FARTHEST)[:, None]
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
        if given.isnan().any():
            raise self._broken(f"gives what is no number: {wanted}")
        if not (given > 0).all():
            raise self._broken(f"gives distances of 0 or less (such as {float(given.min()):.3g}): {wanted}")
        if not torch.isfinite(given).flatten(1).any(dim=1).all():
            raise self._broken(f"gives no finite distance: {wanted}")
        return given

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
    names = [path.relative_to(place) for path in sorted(place.rglob("*")) if path.is_file()]
    kept = [name for name in names if not any(part.startswith(".") for part in name.parts)]
    if not 0 < len(kept) <= MOST_FILES:
        raise BadInput(
            f"'{folder}' holds {len(kept)} files for the depth loader '{loader}'; give a folder of 1 to {MOST_FILES}"
        )
    return given | {"folder": place, "files": {name.as_posix(): file_sha256(place / name) for name in kept}}


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
    threads = torch.get_num_threads()
    try:
        network = point.load()(depth.path, device)
    except Exception as error:
        message = f"depth loader '{depth.loader}' of model '{entry.name}' can't be loaded: "
        raise ModelFilesBroken(f"{message}{type(error).__name__}: {first_line(error)}") from error
    finally:
        torch.set_num_threads(threads)  # sums are split by them: see `load_models`
    found = DepthModel(depth, network, entry.name)
    found.depths(torch.linspace(0, 1, 3 * TRIAL * TRIAL, device=device).view(1, 3, TRIAL, TRIAL))
    return found

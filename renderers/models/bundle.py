"""Loading: a registry entry becomes models on a device, once per actor."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch

from renderers.errors import BadInput, ModelFilesBroken
from renderers.models.perceptor import Perceptor
from renderers.models.vqgan import VQGAN
from renderers.registry import ModelEntry

__all__ = ["Models", "load_models"]


@dataclass(frozen=True)
class Models:
    """A VQGAN with its perceptors, on one device; `threads` are the CPU threads that compute with them."""

    entry: ModelEntry
    vqgan: VQGAN
    perceptors: tuple[Perceptor, ...]
    device: torch.device
    threads: int = 1


def load_models(entry: ModelEntry, *, device: str = "auto", threads: int = 1) -> Models:
    """Load and verify the models of `entry`.

    `device` is a torch device or `auto` (CUDA where there is one). `threads` are the CPU threads of this process; they
    are fixed rather than left to the machine because sums split over another number of threads round differently, and
    a frame must not depend on how many actors share a machine.

    Raises:
        ModelFilesBroken: files are missing, damaged, or not those that the registry vouches for.
        BadInput: the device does not exist here.
    """
    torch.set_num_threads(threads)
    try:
        chosen = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    except RuntimeError as error:
        raise BadInput(f"device '{device}' is none that PyTorch knows: give auto, cpu, cuda or cuda:0") from error
    _verify(entry.vqgan.weights_path, entry.vqgan.sha256)
    vqgan = VQGAN.load(entry.vqgan.config_path, entry.vqgan.weights_path)
    perceptors = []
    for perceptor in entry.perceptors:
        _verify(perceptor.weights_path, perceptor.sha256)
        perceptors.append(Perceptor.load(perceptor.path, merges=perceptor.merges, templates=perceptor.templates))
    try:
        # channels_last is up to twice as fast on CPUs at these sizes, and what tensor cores want.
        for model in (vqgan, *perceptors):
            model.to(device=chosen, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
    except (RuntimeError, AssertionError) as error:
        raise BadInput(f"device '{device}' can't be used here: {error}") from error
    return Models(entry, vqgan, tuple(perceptors), chosen, threads)


def _verify(path: Path, expected: str) -> None:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelFilesBroken(f"the weights '{path}' can't be read: {error}") from error
    if found != expected:
        raise ModelFilesBroken(
            f"the weights '{path}' are damaged: SHA-256 {found}, the registry vouches for {expected}"
        )

"""Loading: a registry entry becomes models on a device, once per actor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from manifests.schema import ManifestRow
from renderers.checksums import verify_file
from renderers.errors import BadInput, FetchFailed, ModelFilesBroken
from renderers.form import PLAIN, Form
from renderers.hardware import Precision, step_dtype
from renderers.models.checkpoint.conversion import recorded
from renderers.models.depth_model import DepthModel, load_depth
from renderers.models.perceptor.perceptor import Perceptor
from renderers.models.vqgan.vqgan import VQGAN, VQGANConfig
from renderers.registry import ModelEntry, PerceptorEntry, judges_of, not_fetched

__all__ = ["Models", "check_config", "load_judges", "load_models"]


@dataclass(frozen=True)
class Models:
    """A VQGAN with its perceptors and the depth model, if it has one, on one device; `threads` are the CPU threads that
    compute with them."""

    entry: ModelEntry
    vqgan: VQGAN
    perceptors: tuple[Perceptor, ...]
    device: torch.device
    threads: int = 1
    depth: DepthModel | None = None

    @classmethod
    def of(
        cls,
        entry: ModelEntry,
        vqgan: VQGAN,
        perceptors: Sequence[Perceptor],
        device: torch.device,
        *,
        threads: int = 1,
        precision: Precision = "auto",
        graphs: bool = True,
        depth: DepthModel | None = None,
    ) -> Models:
        """Ready to render: frozen, on `device`, in the layout and the `precision` (see `step_dtype`) that suit it; on a
        GPU as CUDA graphs unless `graphs` says no."""
        dtype = step_dtype(device, precision)
        models: list[VQGAN | Perceptor] = [vqgan, *perceptors]
        for model in models:
            # channels_last is up to twice as fast on CPUs at these sizes, and what tensor cores want.
            model.eval().requires_grad_(False).to(device).to(memory_format=torch.channels_last)
            model.freeze_for_rendering(dtype, graphs=graphs and device.type == "cuda")
        return cls(entry, vqgan, tuple(perceptors), device, threads, depth)

    def vqgan_for(self, row: ManifestRow) -> VQGAN:
        """The VQGAN that draws pictures of the form that `row` asks for."""
        form = Form.of(row)
        return self.vqgan if form == PLAIN else self.vqgan.formed(form)


def load_models(
    entry: ModelEntry, *, device: str = "auto", threads: int = 1, precision: Precision = "auto", graphs: bool = True
) -> Models:
    """Load and verify the models of `entry`.

    `device` is a torch device or `auto` (CUDA where there is one). `threads` are the CPU threads of this process; they
    are fixed rather than left to the machine because sums split over another number of threads round differently, and
    a frame must not depend on how many actors share a machine. `precision` is that of decoder and perceptors; `auto` is
    bfloat16 on a GPU that has it. `graphs` has a GPU play steps from recordings, which is quicker and holds memory for
    each shape.

    Raises:
        FetchFailed: the model has yet to be fetched; the message says how, and which file to put where.
        ModelFilesBroken: files are missing, damaged, or not those that the registry vouches for.
        BadInput: the device does not exist here.
    """
    torch.set_num_threads(threads)
    try:
        chosen = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    except RuntimeError as error:
        raise BadInput(f"device '{device}' is unknown to PyTorch: give auto, cpu, cuda or cuda:0") from error
    vqgan = _load_vqgan(entry)
    perceptors = [_open_perceptor(perceptor) for perceptor in entry.perceptors]
    try:
        depth = load_depth(entry, chosen)
        how: dict[str, Any] = {"threads": threads, "precision": precision, "graphs": graphs, "depth": depth}
        return Models.of(entry, vqgan, perceptors, chosen, **how)
    except (RuntimeError, AssertionError) as error:
        raise BadInput(f"device '{device}' can't be used here: {error}") from error


def load_judges(judge: ModelEntry, models: Models, *, precision: Precision = "auto") -> tuple[Perceptor, ...]:
    """Load those perceptors of `judge` that draw nothing of what `models` do, to judge it, where these are; `precision`
    is as for `load_models`.

    Raises:
        FetchFailed, ModelFilesBroken: as `load_models`.
        BadInput: all of them draw.
    """
    perceptors = tuple(map(_open_perceptor, judges_of(judge, models.entry)))
    dtype = step_dtype(models.device, precision)
    for perceptor in perceptors:
        perceptor.eval().requires_grad_(False).to(models.device).to(memory_format=torch.channels_last)
        # without recordings: it is asked once a frame
        perceptor.freeze_for_rendering(dtype)
    return perceptors


def _open_perceptor(entry: PerceptorEntry) -> Perceptor:
    if entry.sha256 is not None:
        verify_file(entry.weights_path, entry.sha256)
    perceptor = Perceptor.open(entry)
    perceptor.weight, perceptor.cutouts = entry.weight, entry.cutouts
    return perceptor


def _load_vqgan(entry: ModelEntry) -> VQGAN:
    place, source = entry.vqgan, entry.vqgan.source
    vouched = place.sha256
    if source is not None:
        vouched = recorded(place.record_path, source.checkpoint.sha256)
        if vouched is None or not place.config_path.is_file():
            raise FetchFailed(not_fetched(entry))
        verify_file(place.config_path, source.config.sha256)
    verify_file(place.weights_path, str(vouched))
    vqgan = VQGAN.load(place.config_path, place.weights_path)
    check_config(entry, vqgan.config)
    return vqgan


def check_config(entry: ModelEntry, config: VQGANConfig) -> None:
    """Compare what the registry says of a model's VQGAN with what its config says.

    Raises:
        ModelFilesBroken: they speak of two.
    """
    found, said = (config.kind, config.downsampling), (entry.vqgan.kind, entry.downsampling)
    if found != said:
        raise ModelFilesBroken(
            f"the registry calls model '{entry.name}' a {said[0]} of {said[1]} pixels per token, "
            f"and '{entry.vqgan.config_path}' describes a {found[0]} of {found[1]}"
        )

"""A user's own model, made of files that lie about: taming's config and checkpoint, perceptors by name or by file."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import open_clip
import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open

from renderers.checksums import file_sha256
from renderers.config_file import clipped, problems_of
from renderers.errors import BadInput, ModelFilesBroken
from renderers.models.checkpoint.conversion import convert_checkpoint, convert_state
from renderers.models.depth_model import described_depth, load_depth
from renderers.models.perceptor.folder import WEIGHTS, check_words
from renderers.models.perceptor.open_clip_tags import find_tag
from renderers.models.vqgan.vqgan import VQGANConfig
from renderers.registry import ModelEntry, Registry, shipped_configs
from renderers.user_paths import at_home

__all__ = ["add_model"]

DEFAULT_PERCEPTOR = "ViT-B-32-quickgelu:openai"
# What an entry needs to plan by where nobody has measured: an estimate, and marked as one (`measured_on` is unset).
SECONDS_PER_STEP = 0.1


def add_model(
    registry: Registry,
    name: str,
    *,
    config: str | None = None,
    weights: Path | None = None,
    perceptors: Sequence[str] = (),
    like: str | None = None,
    depth: str | None = None,
    depth_files: Path | None = None,
    summary: str | None = None,
    licence: str | None = None,
    replace: bool = False,
) -> ModelEntry:
    """Register a model `name` in the registry's folder, with copies of its files, checkpoints converted to safetensors.

    `config` is a taming YAML or the name of one that the package has; `weights` a Lightning checkpoint or safetensors.
    A perceptor is `ARCHITECTURE:TAG`, `ARCHITECTURE:FILE`, or a folder that open_clip wrote. `depth` is an installed
    depth loader (`renderers.registry.installed_depth`), and `depth_files` the folder of its files, which are copied.
    What is not given is taken from the model `like`.

    Raises:
        BadInput: something does not go together, or the name is taken.
        CheckpointUnsafe: a checkpoint tries to run code. It did not.
        ModelFilesBroken: a file can't be read, or is none of its kind; the depth loader is not installed, or gives no
            depths.
        UnknownModel: there is no model `like`.
    """
    registry.check_new_name(name, replace=replace)
    folder = registry.folder
    if (config is None) != (weights is None):
        raise BadInput("give a config and weights, or neither: they belong together")
    if depth_files is not None and depth is None:
        raise BadInput("--depth-files are what a depth loader reads: name it with --depth")
    if like is not None:
        registry.entry(like)
    elif weights is None:
        raise BadInput("give a config and weights, or the model that the VQGAN is to be taken from (--from MODEL)")
    chosen = list(perceptors) or ([] if like else [DEFAULT_PERCEPTOR])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=f".{name}-") as scratch:
            given = _described(name, like, summary, licence)
            if config is not None and weights is not None:
                given.update(_vqgan(_config_path(config), weights, Path(scratch)))
            if chosen:
                given["perceptors"] = [_perceptor(text, Path(scratch), number) for number, text in enumerate(chosen)]
            if depth is not None:
                given["depth"] = described_depth(depth, depth_files)
                load_depth(_built(registry, given, folder), torch.device("cpu"))  # now, and not in the night
            return registry.register(given, name, replace=replace)
    except OSError as error:
        raise ModelFilesBroken(f"'{name}' can't be added to '{folder}': {error}") from error


def _built(registry: Registry, given: dict[str, Any], folder: Path) -> ModelEntry:
    try:
        return registry.build(given, folder)
    except ValueError as error:
        said = problems_of(error) if isinstance(error, ValidationError) else clipped(error)
        raise ModelFilesBroken(f"'{given['name']}' can't be added: {said}") from error


def _described(name: str, like: str | None, summary: str | None, licence: str | None) -> dict[str, Any]:
    given: dict[str, Any] = {"name": name}
    if like is not None:
        given["like"] = like
    else:
        given["seconds_per_step"] = SECONDS_PER_STEP
    given["summary"] = summary or f"added by hand{f', like {like}' if like else ''}"
    given["licence"] = licence or "not stated"
    return given


def _config_path(config: str) -> Path:
    path = at_home(config)
    if path.exists():
        return path
    known = shipped_configs()
    if config in known:
        return known[config]
    raise BadInput(f"config '{config}': there is no such file; the package itself has {', '.join(known)}")


def _vqgan(config: Path, weights: Path, scratch: Path) -> dict[str, Any]:
    read = VQGANConfig.read(config)
    target = scratch / "vqgan.safetensors"
    made = convert_checkpoint(at_home(weights), config, target)
    return {
        "downsampling": read.downsampling,
        "vqgan": {"kind": read.kind, "config": config.absolute(), "weights": target, "sha256": made},
    }


def _perceptor(text: str, scratch: Path, number: int) -> dict[str, Any]:
    folder = at_home(text)
    if folder.is_dir():
        weights = folder / WEIGHTS
        check_words(folder)
        _check_weights(weights)
        return {"folder": folder.absolute(), "sha256": file_sha256(weights)}
    architecture, colon, source = text.partition(":")
    if not colon or not source:
        raise BadInput(
            f"perceptor '{text}': give ARCHITECTURE:TAG, ARCHITECTURE:FILE, or a folder with open_clip_config.json"
        )
    path = at_home(source)
    if not path.is_file():
        if path.suffix in (".safetensors", ".pt", ".pth", ".bin", ".ckpt"):
            raise BadInput(f"perceptor '{text}': there is no file '{path}'")
        find_tag(architecture, source)
        return {"architecture": architecture, "pretrained": source}
    if architecture not in open_clip.list_models():
        find_tag(architecture, source)  # says which architectures there are
    if path.suffix == ".safetensors":
        _check_weights(path)
        return {"architecture": architecture, "weights": path.absolute(), "sha256": file_sha256(path)}
    target = scratch / f"perceptor-{number}.safetensors"
    return {"architecture": architecture, "weights": target, "sha256": convert_state(path, target)}


def _check_weights(path: Path) -> None:
    """Raise ModelFilesBroken unless the head of the safetensors at `path` describes what lies behind it."""
    if path.exists() and not path.is_file():
        raise ModelFilesBroken(f"the weights '{path}' can't be read: it is no regular file")
    try:
        with safe_open(path, framework="pt"):
            pass
    except (OSError, SafetensorError, ValueError, MemoryError) as error:
        raise ModelFilesBroken(f"the weights '{path}' can't be read: {clipped(error)}") from error

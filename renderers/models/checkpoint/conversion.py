"""A published checkpoint becomes safetensors, once: the weights of the network and nothing else.

What is dropped: the training's loss and discriminator (`loss.*`), optimiser and callbacks, and of a Net2NetTransformer
everything but its first stage, the VQGAN.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from renderers.checksums import file_sha256
from renderers.errors import ModelFilesBroken
from renderers.models.checkpoint.reading import open_checkpoint
from renderers.models.vqgan.vqgan import VQGAN
from renderers.models.weights_file import write_weights

__all__ = ["convert_checkpoint", "convert_state", "recorded"]

NET2NET_PREFIX = "first_stage_model."


def convert_checkpoint(checkpoint: Path, config: Path, target: Path) -> str:
    """Write the VQGAN of `checkpoint` (Lightning's `.ckpt`, or safetensors) to `target`, all at once or not at all.

    Beside it, `<target>.json` records the checksums of source and result. Returns the SHA-256 of `target`.

    Raises:
        CheckpointUnsafe: the checkpoint tries to run code. It did not.
        ModelFilesBroken: a file can't be read, or the checkpoint does not hold the network that the config describes.
    """
    wanted = _shapes(config)
    _check_regular(checkpoint)
    tensors = _from_safetensors(checkpoint, wanted) if _is_safetensors(checkpoint) else _from_pickle(checkpoint, wanted)
    # last: of what is no checkpoint there may be a terabyte
    return _save(tensors, target, file_sha256(checkpoint))


def convert_state(checkpoint: Path, target: Path) -> str:
    """Write all tensors of `checkpoint`'s state dict to `target`, under their keys, less the `module.` of a training
    on several GPUs. Returns the SHA-256 of `target`.

    Raises:
        CheckpointUnsafe: the checkpoint tries to run code. It did not.
        ModelFilesBroken: it can't be read.
    """
    _check_regular(checkpoint)
    with open_checkpoint(checkpoint) as opened:
        held = opened.tensors()
        prefix = "module." if all(key.startswith("module.") for key in held) else ""
        tensors = {key.removeprefix(prefix): opened.read(ref) for key, ref in held.items()}
    return _save(tensors, target, file_sha256(checkpoint))


def _check_regular(checkpoint: Path) -> None:
    """Raise ModelFilesBroken for a pipe or a device: reading them might never end."""
    if checkpoint.exists() and not checkpoint.is_file():
        raise ModelFilesBroken(f"the checkpoint '{checkpoint}' can't be read: it is no regular file")


def _save(tensors: dict[str, Tensor], target: Path, source: str) -> str:
    """Put `tensors` in place, checked in their record, whole or not at all."""
    try:
        made = write_weights(tensors, target, {"source_sha256": source})
        record = {"source_sha256": source, "sha256": made, "size_bytes": target.stat().st_size}
        # weights without a record count as not converted, so the record may come second
        _write(target.with_suffix(".json"), json.dumps(record, indent=1))
    except (OSError, SafetensorError) as error:
        raise ModelFilesBroken(f"can't write '{target}': {error}") from error
    return made


def _read_record(path: Path) -> dict[str, str]:
    """What the conversion recorded; empty where there is no (whole) record."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def recorded(path: Path, source_sha256: str) -> str | None:
    """The checksum of the weights that were made of the checkpoint `source_sha256`, if `path` records them."""
    record = _read_record(path)
    return str(record.get("sha256")) if record.get("source_sha256") == source_sha256 else None


def _shapes(config: Path) -> dict[str, torch.Size]:
    """Every tensor of the network that `config` describes, without building it."""
    with torch.device("meta"):
        return {key: value.shape for key, value in VQGAN.build(config).state_dict().items()}


def _is_safetensors(path: Path) -> bool:
    return path.suffix == ".safetensors"


def _from_pickle(path: Path, wanted: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    with open_checkpoint(path) as checkpoint:
        held = checkpoint.tensors()
        keys = _matching(path, {key: torch.Size(ref.shape) for key, ref in held.items()}, wanted)
        return {key: checkpoint.read(held[source]) for key, source in keys.items()}


def _from_safetensors(path: Path, wanted: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            held = {key: torch.Size(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118 - no mapping
            return {key: file.get_tensor(source) for key, source in _matching(path, held, wanted).items()}
    except (OSError, SafetensorError) as error:
        raise ModelFilesBroken(f"the weights '{path}' can't be read: {error}") from error


def _matching(path: Path, held: Mapping[str, torch.Size], wanted: Mapping[str, torch.Size]) -> dict[str, str]:
    """For every key of the network, the key under which the checkpoint holds it.

    Raises:
        ModelFilesBroken: one is missing, or of another shape.
    """
    prefix = NET2NET_PREFIX if any(key.startswith(NET2NET_PREFIX) for key in held) else ""
    missing = [key for key in wanted if prefix + key not in held]
    if missing:
        lacking = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        raise ModelFilesBroken(f"'{path}' does not hold the network of its config: it lacks {lacking}")
    for key, shape in wanted.items():
        if held[prefix + key] != shape:
            raise ModelFilesBroken(
                f"'{path}' does not fit its config: {key} has the shape {tuple(held[prefix + key])}, "
                f"the config says {tuple(shape)}"
            )
    return {key: prefix + key for key in wanted}


def _write(path: Path, text: str) -> None:
    scratch = path.with_name(f".{path.name}-{os.getpid()}")
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(path)

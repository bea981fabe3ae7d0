"""Writing weights: one way, so that no reader ever meets half a file, or one that only its maker may read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from renderers.checksums import file_sha256

__all__ = ["write_weights"]


def write_weights(tensors: Mapping[str, Tensor], target: Path, metadata: dict[str, str] | None = None) -> str:
    """Write `tensors` as safetensors to `target`, whole or not at all; gives the file's SHA-256.

    Raises:
        OSError, SafetensorError: it can't be written.
    """
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
    os.close(handle)
    scratch = Path(name)
    try:
        save_file({key: value.detach().contiguous().cpu() for key, value in tensors.items()}, scratch, metadata)
        scratch.chmod(0o644)  # temporary files, and those of safetensors, are their owner's alone
        made = file_sha256(scratch)
        with scratch.open("rb") as file:
            os.fsync(file.fileno())
        scratch.replace(target)
    finally:
        scratch.unlink(missing_ok=True)
    return made

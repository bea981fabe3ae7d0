"""What this machine offers PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from manifests.errors import first_line

__all__ = ["Hardware", "Precision", "hardware", "step_dtype"]

Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class Hardware:
    """`torch` is its version; `gpus` are names with their memory; `cuda` the version that torch was built for, if any.

    `reason` says why there is no GPU to be used although torch could use one, as torch puts it.
    """

    torch: str
    cuda: str | None
    gpus: tuple[str, ...]
    reason: str = ""


def hardware() -> Hardware:
    """Look at the machine."""
    gpus, reason = [], ""
    try:
        for index in range(torch.cuda.device_count()):
            card = torch.cuda.get_device_properties(index)
            gpus.append(f"{card.name}, {card.total_memory / 2**30:.0f} GiB")
            torch.zeros(1, device=f"cuda:{index}")  # a driver that does not fit shows only when it is used
    except RuntimeError as error:
        gpus, reason = [], first_line(error)
    return Hardware(torch.__version__, torch.version.cuda, tuple(gpus), reason)


def step_dtype(device: torch.device, precision: Precision = "auto") -> torch.dtype:
    """In which numbers decoder and perceptors compute on `device`: `auto` is bfloat16 where a GPU has it in hardware,
    and float32 elsewhere. Never float16: features of a VQGAN overflow it."""
    if precision != "auto":
        return torch.float32 if precision == "float32" else torch.bfloat16
    fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if fast else torch.float32

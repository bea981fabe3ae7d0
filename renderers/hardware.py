"""What this machine offers PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["Hardware", "hardware"]


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
        gpus, reason = [], (str(error).splitlines() or [type(error).__name__])[0]
    return Hardware(torch.__version__, torch.version.cuda, tuple(gpus), reason)

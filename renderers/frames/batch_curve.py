"""How many frames should go through the networks together: as many as make a step of one cheaper, and as memory holds.

A GPU gains until it is full, which depends on the networks, the picture's size and the device: it is measured on the
very work that is to be done, by doubling the number until it no longer pays.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import torch

__all__ = ["BatchCurve", "DeviceMemory"]

# Twice as many frames must make a step of one so much cheaper: more of them hold more memory, and end later.
GAIN = 1.05
# Passes that a number is judged by: the first one also chooses kernels and records graphs.
LOOKS = 2
# Of the memory that is free: fragments are not.
USABLE = 0.9


class BatchCurve:
    """Seconds of a frame's step, by how many frames took it together; of frames of one kind on one device."""

    def __init__(self) -> None:
        self._seconds: defaultdict[int, list[float]] = defaultdict(list)

    def took(self, together: int, seconds: float) -> None:
        """Note that in a pass of so many frames a step of one took `seconds`, its share of the pass."""
        self._seconds[together].append(seconds)
        del self._seconds[together][: -LOOKS * 2]  # a pace that was the exception is forgotten

    def size(self, asked: int, fits: Callable[[int], bool]) -> int:
        """How many of `asked` frames to take next, if `fits` says that memory holds them."""
        best, size = 1, 1
        while size <= asked and (size == 1 or fits(size)):
            seen = self._seconds[size]
            if len(seen) < LOOKS:
                return size
            if size > 1 and min(self._seconds[best]) < GAIN * min(seen):
                return best
            best, size = size, size * 2
        # the next number that would be measured is more than there are, or does not fit
        return asked if asked < size and fits(asked) else best


class DeviceMemory:
    """What a pass needs of a GPU's memory, from what the last one needed."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._held = 0
        self._each = 0.0

    def before(self) -> None:
        """A pass begins."""
        if self._device.type == "cuda":
            self._held = torch.cuda.memory_allocated(self._device)
            torch.cuda.reset_peak_memory_stats(self._device)

    def after(self, together: int) -> None:
        """A pass of so many frames is over."""
        if self._device.type == "cuda":
            self._each = (torch.cuda.max_memory_allocated(self._device) - self._held) / together

    def holds(self, together: int) -> bool:
        """Whether so many frames will fit, as far as is known."""
        if self._device.type != "cuda":
            return True
        free, _ = torch.cuda.mem_get_info(self._device)
        cached = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(self._device)
        return together * self._each < USABLE * (free + cached)

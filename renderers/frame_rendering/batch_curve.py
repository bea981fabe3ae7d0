"""How many frames should go through the networks together: as many as make a step of one cheaper, and as memory holds.

A GPU gains until it is full, which depends on the networks, the picture's size and the device: it is measured on the
very work that is to be done, by doubling the number until it no longer pays.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import torch

__all__ = ["BatchCurve", "DeviceMemory"]

# How much cheaper a step of one frame must become when twice as many go together: more of them hold more memory, and
# end later.
GAIN = 1.05
# Passes by which a size is judged: the first one also chooses kernels and records graphs.
PASSES = 2
# Share of the free memory that can be used: the rest is fragments.
USABLE = 0.9


class BatchCurve:
    """Seconds of a frame's step, by how many frames took it together; of frames of equal work on one device."""

    def __init__(self) -> None:
        self._seconds: defaultdict[int, list[float]] = defaultdict(list)

    def record(self, size: int, seconds: float) -> None:
        """Note that in a pass of `size` frames a step of one took `seconds`, its share of the pass."""
        self._seconds[size].append(seconds)
        del self._seconds[size][: -PASSES * 2]  # so that an exceptional time is forgotten

    def next_size(self, available: int, fits: Callable[[int], bool]) -> int:
        """How many of the `available` frames to take next; `fits` says whether memory holds so many."""
        best, size = 1, 1
        while size <= available and (size == 1 or fits(size)):
            measured = self._seconds[size]
            if len(measured) < PASSES:
                return size
            if size > 1 and min(self._seconds[best]) < GAIN * min(measured):
                return best
            best, size = size, size * 2
        # the next size to be measured is more than there are, or does not fit
        return available if available < size and fits(available) else best


class DeviceMemory:
    """How much of a GPU's memory a pass will need, from what the last one needed."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._held_before = 0
        self._bytes_each = 0.0

    def start_pass(self) -> None:
        """Note that a pass begins."""
        if self._device.type == "cuda":
            self._held_before = torch.cuda.memory_allocated(self._device)
            torch.cuda.reset_peak_memory_stats(self._device)

    def end_pass(self, size: int) -> None:
        """Note that a pass of `size` frames is over."""
        if self._device.type == "cuda":
            self._bytes_each = (torch.cuda.max_memory_allocated(self._device) - self._held_before) / size

    def fits(self, size: int) -> bool:
        """Whether a pass of `size` frames will fit, as far as is known."""
        if self._device.type != "cuda":
            return True
        free, _ = torch.cuda.mem_get_info(self._device)
        cached = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(self._device)
        return size * self._bytes_each < USABLE * (free + cached)

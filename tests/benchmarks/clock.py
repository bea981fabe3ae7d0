"""Two sides measured in turns."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

__all__ = ["Clock", "Measured", "against_neighbours"]


@dataclass(frozen=True)
class Measured:
    """One side's turns: `seconds` a step of each, those that its processors worked, and the `memory` in bytes that CUDA
    held at most (None on a CPU)."""

    seconds: tuple[float, ...]
    worked: tuple[float, ...]
    memory: int | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def __str__(self) -> str:
        spread = f"{min(self.seconds):.4g} to {max(self.seconds):.4g}, {len(self.seconds)} turns"
        more = f", {statistics.median(self.worked):.4g} s of processor time"
        if self.memory is not None:
            more = f", at most {self.memory / 2**30:.2f} GiB"
        return f"{self.median:.4g} s a step ({spread}), {1 / self.median:.4g} steps/s{more}"


class Clock:
    """Seconds of turns, with the device's queue empty at both ends."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.seconds, self.worked, self.memory = device, list[float](), list[float](), 0
        self.began = self.began_work = 0.0

    def start(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
        self.began, self.began_work = time.perf_counter(), time.process_time()

    def stop(self, steps: int) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            self.memory = max(self.memory, torch.cuda.max_memory_allocated(self.device))
        self.seconds.append((time.perf_counter() - self.began) / steps)
        self.worked.append((time.process_time() - self.began_work) / steps)

    def measured(self) -> Measured:
        memory = self.memory if self.device.type == "cuda" else None
        return Measured(tuple(self.seconds), tuple(self.worked), memory)


def against_neighbours(theirs: Sequence[float], ours: Sequence[float]) -> list[float]:
    """How many times as long as each of our turns the peer's took, by the geometric mean of the one before and the one
    after it: a load that rises through a run would favour whoever comes first."""
    return [math.sqrt(before * after) / mine for (before, after), mine in zip(pairwise(theirs), ours, strict=True)]

"""A recorder of numbers that a test can look into."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from infra.metrics import Counter, Metric, record_with

__all__ = ["Numbers", "recording"]


class Numbers:
    """What was recorded: `all` of it in order, and what each counter or gauge stands at."""

    def __init__(self) -> None:
        self.all: list[tuple[Metric, float, dict[str, str]]] = []
        self._lock = threading.Lock()

    def record(self, metric: Metric, value: float, labels: Mapping[str, str]) -> None:
        with self._lock:
            self.all.append((metric, value, dict(labels)))

    def of(self, metric: Metric, **labels: str) -> list[float]:
        """All that was said of one, under these labels."""
        return [value for it, value, said in self.all if it is metric and said == labels]

    def at(self, metric: Metric, **labels: str) -> float:
        """What it stands at; 0 if nothing was said."""
        said = self.of(metric, **labels)
        return sum(said) if isinstance(metric, Counter) else (said or [0.0])[-1]


@contextmanager
def recording() -> Iterator[Numbers]:
    """Record this process's numbers until the block ends."""
    numbers = Numbers()
    record_with(numbers)
    try:
        yield numbers
    finally:
        record_with(None)

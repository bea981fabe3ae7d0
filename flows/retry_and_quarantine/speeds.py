"""How fast workers are, and which free one should take over from a slow one. Decisions only."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["WorkerSpeeds"]

# A worker is left for one that takes less than half the time: moving costs the newcomer a look into storage.
SLOWER = 2.0
# Frames before a worker's speed is believed: the first one of a process loads the model.
LEAST, KEPT = 3, 7


@dataclass
class WorkerSpeeds:
    """Seconds that each worker took over those that were estimated, for its last frames of each kind: estimates of two
    models may be wrong in different ways, and would make a worker look slow that only has the harder work."""

    _taken: dict[str, dict[str, deque[float]]] = field(default_factory=dict)

    def took(self, worker: str, kind: str, seconds: float, estimated: float) -> None:
        """Note that `worker` rendered a frame of a kind."""
        workers = self._taken.setdefault(kind, {})
        workers.setdefault(worker, deque(maxlen=KEPT)).append(seconds / estimated)

    def of(self, worker: str, kind: str) -> float | None:
        """Return the median; None while there are too few frames to tell."""
        taken = self._taken.get(kind, {}).get(worker, ())
        return statistics.median(taken) if len(taken) >= LEAST else None

    def better(self, worker: str, kind: str, free: Iterable[str]) -> str | None:
        """Return the fastest of `free`, if it is so much faster than `worker` that it should take over its frames of a
        kind. One that has not been seen at such work is taken for an average one."""
        mine = self.of(worker, kind)
        known = {name: ratio for name in self._taken.get(kind, ()) if (ratio := self.of(name, kind)) is not None}
        if mine is None or len(known) < 2:
            return None
        usual = statistics.median(known.values())
        best = min((name for name in free if name != worker), key=lambda name: known.get(name, usual), default=None)
        return best if best is not None and known.get(best, usual) * SLOWER < mine else None

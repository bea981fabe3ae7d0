"""When `nightreel up` starts a part of its own again after it died, and when it gives up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["RestartPolicy"]


@dataclass(frozen=True)
class RestartPolicy:
    """All in seconds. A part may die `deaths` times within `window`; one time more, and it is given up."""

    deaths: int = 6
    window: float = 600.0
    first_wait: float = 0.5
    longest_wait: float = 30.0

    def wait(self, died: Sequence[float], now: float) -> float | None:
        """How long to wait after the latest of the deaths at the times `died`; None: it is given up."""
        lately = [time for time in died if now - time < self.window]
        if len(lately) > self.deaths:
            return None
        return min(self.longest_wait, self.first_wait * 2 ** max(0, len(lately) - 1))

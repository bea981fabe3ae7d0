"""When `nightreel up` starts a part of its own again after it died, and when it gives up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from infra.backoff import Backoff

__all__ = ["RestartPolicy"]

BACKOFF = Backoff(first=0.5, longest=30.0)


@dataclass(frozen=True)
class RestartPolicy:
    """A part may die `deaths` times within `window` seconds; one time more, and it is given up."""

    deaths: int = 6
    window: float = 600.0
    backoff: Backoff = BACKOFF

    def wait(self, died: Sequence[float], now: float) -> float | None:
        """How long to wait after the latest of the deaths at the times `died`; None: it is given up."""
        lately = [time for time in died if now - time < self.window]
        if len(lately) > self.deaths:
            return None
        return self.backoff.seconds(len(lately))

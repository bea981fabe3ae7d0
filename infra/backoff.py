"""How long to wait before something that failed is tried again: the one formula for all of it.

Loops of our own are tenacity's (`wait=` takes a `Backoff`); pure decisions ask for the `seconds`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tenacity import RetryCallState

__all__ = ["Backoff"]


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that begin with `first` seconds and double up to `longest`."""

    first: float
    longest: float = float("inf")

    def seconds(self, failed: int, chance: float = 1.0) -> float:
        """Return the wait after `failed` tries in a row.

        `chance` in [0, 1] spreads the waits of many: half of a wait is fixed, half random ("equal jitter" in AWS's
        "Exponential Backoff And Jitter"). At 1 it is the whole wait, for whoever waits alone.
        """
        whole = min(self.longest, self.first * 2.0 ** max(0, min(failed - 1, 64)))
        return whole / 2 * (1 + chance)

    def __call__(self, state: RetryCallState) -> float:
        """Return the wait, as tenacity asks for it."""
        return self.seconds(state.attempt_number, random.random())

"""Whether a job goes on: it can be held, it can be stopped, and it gives up once too many frames have failed."""

from __future__ import annotations

import threading

from flows.retry_and_quarantine.policy import Budget

__all__ = ["JobControl"]


class JobControl:
    """What begins and ends the work of a job. Safe to use from any thread: `_lock` guards `_failed` and `_budget`, the
    rest are events."""

    def __init__(self, failure_share: float) -> None:
        self._share = failure_share
        self._lock = threading.RLock()
        self._failed = set[tuple[str, int]]()
        self._budget = Budget(0, failure_share)
        self._going = threading.Event()  # cleared while the job is held
        self._going.set()
        self.stopped = threading.Event()
        """set once, when the job is stopped before its end"""
        self.lost = ""
        """why there are no workers any more, where that has stopped it"""

    def expect(self, frames: int) -> None:
        """Take a plan of so many missing `frames` as the measure of how many may fail."""
        with self._lock:
            self._budget = Budget(frames, self._share)

    def failed_for_good(self, video: str, frame: int) -> None:
        """Count a frame that is not tried again."""
        with self._lock:
            self._failed.add((video, frame))

    def given_up(self, video: str, frame: int) -> bool:
        """Return whether a frame is not tried again."""
        with self._lock:
            return (video, frame) in self._failed

    @property
    def gave_up(self) -> str:
        """Why no more frames are begun, '' while they are."""
        with self._lock:
            failed, budget = len(self._failed), self._budget
        if not budget.spent(failed):
            return ""
        return (
            f"{failed} frames failed for good, more than the {budget.allowed} that NIGHTREEL_FAILURE_SHARE="
            f"{self._share:g} allows"
        )

    @property
    def over(self) -> bool:
        """Whether nothing more is begun."""
        return self.stopped.is_set() or bool(self.gave_up)

    @property
    def held(self) -> bool:
        """Whether the job is held."""
        return not self._going.is_set()

    def hold(self) -> None:
        """Begin no further frame until `go_on`; frames in progress are finished."""
        self._going.clear()

    def go_on(self) -> None:
        """Go on after `hold`."""
        self._going.set()

    def stop(self) -> None:
        """Begin nothing more, and let nobody wait for the end of a `hold`."""
        self.stopped.set()
        self._going.set()

    def lose(self, why: str) -> None:
        """Stop, since there are no workers any more."""
        self.lost = self.lost or why
        self.stop()

    def wait_while_held(self) -> None:
        """Return once the job is not held, or is stopped."""
        self._going.wait()

"""One of the processes that `nightreel up` keeps running."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from flows.local.policy import RestartPolicy
from infra.child_process import ChildProcess
from manifests.errors import ErrorKind, NightreelError

__all__ = ["Part", "UpUnavailable"]


class UpUnavailable(NightreelError):
    """Something of `nightreel up` can't be started or kept up; the message says why and what to do."""

    kind = ErrorKind.ENVIRONMENT


@dataclass
class Part:
    """A process: `name` for people, `log` its messages, `start` makes it, `healthy` tells once it does its work.

    `up` holds from then until its death. `tell` hears of all that happens. One that is not `needed` is left alone,
    `given_up`, where another would end everything.
    """

    name: str
    log: Path
    start: Callable[[], ChildProcess]
    healthy: Callable[[ChildProcess], bool]
    policy: RestartPolicy
    tell: Callable[[str], None]
    child: ChildProcess | None = None
    up: bool = False
    needed: bool = True
    given_up: bool = False
    _due: float = 0.0
    _began: float = 0.0
    _deaths: list[float] = field(default_factory=list)

    def tick(self, now: float) -> bool:
        """Do what is due at the time `now`, in seconds; returns whether it was up and was found dead.

        Raises:
            UpUnavailable: it died too often.
        """
        lost = False
        if self.child is not None and (code := self.child.ended()) is not None:
            lost = self.up
            self._die(code, now)
        if self.child is None and now >= self._due:
            self.child, self._began = self.start(), now
        if self.child is not None and not self.up and self.healthy(self.child):
            self.up = True
            self.tell(f"{self.name} is up ({now - self._began:.0f} s)")
        return lost

    def kill(self, seconds: float = 0.0) -> None:
        """End it, after so many seconds in which it may end by itself; a later `tick` starts it again."""
        if self.child is not None:
            self.child.kill(seconds)
        self.child, self.up, self._due = None, False, 0.0

    def _die(self, code: int, now: float) -> None:
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
        self.kill()  # what is left of its process group
        self._deaths.append(now)
        wait = self.policy.wait(self._deaths, now)
        if wait is None and not self.needed:
            self.given_up, self._due = True, float("inf")
            self.tell(
                f"{self.name} ended {how} too often and is left alone: its messages are at the end of '{self.log}'"
            )
            return
        if wait is None:
            raise UpUnavailable(
                f"{self.name} ended {how}, for the {len(self._deaths)}th time: its messages are at the end of "
                f"'{self.log}'; resolve what they report, then start `nightreel up` again"
            )
        self._due = now + wait
        self.tell(f"{self.name} ended {how}; starting it again in {wait:.1f} s")

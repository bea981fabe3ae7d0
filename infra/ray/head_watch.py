"""Whether the head of the cluster that this process works on is still to be had.

Ray itself ends a driver whose head it has not reached for a while, in its C++ code: no word of ours, no summary, and an
exit code that says nothing. So it is told to wait for ever (RAY_gcs_rpc_server_reconnect_timeout_s, in
infra/environment.py), and this is who decides.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from infra.environment import ray_environment
from infra.ray.joining import Guest, RayUnavailable, knock

ray_environment()  # before the import: Ray reads them while it is imported

import ray.exceptions  # noqa: E402
from ray._raylet import GcsClient  # type: ignore[attr-defined]  # noqa: E402

__all__ = ["HeadWatch"]

CHECK_SECONDS = 2.0


class HeadWatch:
    """Looks every few seconds, in a thread of its own, until `close`.

    `lost` is why there is no cluster any more, '' while there is one; a head that is away may come back within
    `patience` seconds, as one with fault tolerance does.
    """

    def __init__(
        self, address: str, patience: float, guest: Guest | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.lost = ""
        self._address, self._patience, self._guest, self._clock = address, patience, guest, clock
        self._cluster = _cluster(address)
        self._away_since: float | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="head watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(CHECK_SECONDS) and not self.lost:
            self.lost = self._look()

    def _look(self) -> str:
        if self._guest is not None and self._guest.ended:
            return (
                f"this command's own node, at {self._guest.own}, is no longer part of the Ray cluster at "
                f"{self._address}: {self._guest.why}. {self._guest.remedy}"
            )
        try:
            knock(self._address)
            if self._away_since is None:
                return ""
            if self._cluster is not None and (other := _cluster(self._address)) is not None and other != self._cluster:
                return (
                    f"the head of the Ray cluster at {self._address} was replaced by one that knows nothing of this run"
                )
        except RayUnavailable:
            now = self._clock()
            self._away_since = self._away_since or now
            away = now - self._away_since
            if away < self._patience:
                return ""
            return (
                f"the head of the Ray cluster at {self._address} has not answered for {away:.0f} s "
                "(NIGHTREEL_HEAD_SECONDS says how long it may be away)"
            )
        self._away_since = None
        return ""


def _cluster(address: str) -> Any:
    """Which cluster it is; None if it can't be told."""
    try:
        return GcsClient(address=address).cluster_id
    except (ray.exceptions.RayError, RuntimeError):
        return None

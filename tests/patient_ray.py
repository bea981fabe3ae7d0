"""Ray for tests on a busy machine: it waits 30 s for a node of its own to come up, a constant of its code."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

__all__ = ["NODE_SECONDS", "add_node", "patient"]

NODE_SECONDS = 240.0
# A raylet waits so long for its agent as infra.settings.ray_environment says, and then aborts.
RAYLET_SECONDS = 240.0
ATTEMPTS = 5


def add_node(cluster: Any, **node: Any) -> Any:
    """`Cluster.add_node`, tried again when the raylet gave itself up."""
    for attempts_left in reversed(range(ATTEMPTS)):
        try:
            return cluster.add_node(**node)
        except Exception:  # a plain one: "the current node timed out during startup"
            if not attempts_left:
                raise
    return None


def patient(get_node: Callable[..., Any]) -> Callable[..., Any]:
    """`ray._private.services.get_node`, asked again until a busy machine has had its time."""

    def get(*arguments: Any) -> Any:
        until = time.monotonic() + RAYLET_SECONDS
        while True:
            try:
                return get_node(*arguments)
            except RuntimeError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)

    return get

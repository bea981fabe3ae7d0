"""Processes of a `multiprocessing` pool that end with their parent (others: infra/child_process.py)."""

from __future__ import annotations

import multiprocessing
import os
import threading

__all__ = ["end_with_parent"]


def end_with_parent() -> None:
    """Have this process end when its parent does, by SIGKILL too: a busy one would work on for nobody."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "this process was started by no pool"

    def watch() -> None:
        parent.join()  # returns when it has ended, however it did
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()

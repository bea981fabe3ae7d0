"""open_clip reports on the root logger whatever it loads; what it says there is kept out of people's logs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet"]


@contextmanager
def quiet(least: int) -> Iterator[None]:
    """Drop what this thread logs on the root logger itself below the level `least`.

    By a filter, and not by the logger's level, which other threads that load models at the same time would put back to
    what they found: it stayed there for good.
    """
    me = threading.get_ident()

    def is_told(record: logging.LogRecord) -> bool:
        return record.levelno >= least or record.thread != me

    root = logging.getLogger()
    root.addFilter(is_told)
    try:
        yield
    finally:
        root.removeFilter(is_told)

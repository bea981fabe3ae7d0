"""What Prefect's engine writes into the logs of our task runs, without what nobody can use."""

from __future__ import annotations

import logging

__all__ = ["tidy_task_logs"]


def tidy_task_logs() -> None:
    """Have no "NoneType: None" follow the line on a failed task run.

    Prefect 3.8.8 logs a stack trace of whatever exception is being handled, and a task that ends by returning a Failed
    state, as ours do, has none [read in prefect.task_engine, `handle_retry`].
    """
    logging.getLogger("prefect.task_runs").addFilter(_without_empty_trace)


def _without_empty_trace(record: logging.LogRecord) -> bool:
    if record.exc_info is not None and record.exc_info[0] is None:
        record.exc_info = None
    return True

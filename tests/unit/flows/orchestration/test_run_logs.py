"""Logs of task runs: a failed state that was returned leaves no empty stack trace; an exception keeps its own."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from flows.orchestration.run_logs import tidy_task_logs


@pytest.fixture
def task_runs(caplog: pytest.LogCaptureFixture) -> Iterator[logging.Logger]:
    """The logger of Prefect's task runs, which sends nothing anywhere but to `caplog`."""
    logger = logging.getLogger("prefect.task_runs")
    handlers, propagates = logger.handlers, logger.propagate
    logger.handlers, logger.propagate = [caplog.handler], False
    yield logger
    logger.handlers, logger.propagate = handlers, propagates


def test_a_returned_state_has_no_trace_and_an_exception_keeps_its_own(
    task_runs: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    tidy_task_logs()
    tidy_task_logs()
    task_runs.error("Task run failed with state: Failed", exc_info=True)
    assert "Task run failed with state: Failed" in caplog.text
    assert "NoneType: None" not in caplog.text
    try:
        raise ValueError("its own")
    except ValueError:
        task_runs.error("Task run failed with exception", exc_info=True)
    assert "ValueError: its own" in caplog.text

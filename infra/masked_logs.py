"""Every line that any library logs in this process, without secrets: handlers of Prefect's put lines into its tables,
those of Ray's into files, and errors of botocore, aiohttp and httpx hold whole addresses."""

from __future__ import annotations

import logging
import traceback
from typing import Any

from manifests.masking import without_secrets

__all__ = ["mask_logs"]


def mask_logs() -> None:
    """Have all log records of this process made without secrets, from now on. Twice is as good as once."""
    make = logging.getLogRecordFactory()
    if isinstance(make, _Masking):
        return
    logging.setLogRecordFactory(_Masking(make))


class _Masking:
    def __init__(self, make: Any) -> None:
        self._make = make

    def __call__(self, *arguments: Any, **named: Any) -> logging.LogRecord:
        record: logging.LogRecord = self._make(*arguments, **named)
        try:
            line = record.getMessage()
        except Exception:  # a wrong format is for logging's own handlers to complain of
            return record
        masked = without_secrets(line)
        if masked != line:
            record.msg, record.args = masked, ()
        if record.exc_info and record.exc_info[0] is not None:
            trace = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
            masked = without_secrets(trace)
            if masked != trace:
                record.exc_text = masked  # formatters take it instead of the exception
        return record

"""The record that a failure leaves in storage."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from types import UnionType
from typing import Any

from infra.storage.layout import failure_key
from infra.storage.storage import Storage
from manifests.errors import ErrorKind, kind_of
from manifests.masking import without_secrets

__all__ = ["PLANNER", "FailureRecord", "record_failure"]

#: The "worker" of a row that could not be planned.
PLANNER = "planner"
#: Characters of a message that are kept; all of it is in the log.
MESSAGE = 4000

_TYPES: Mapping[str, type | UnionType] = {"frame": int | None, "attempt": int, "seconds": int | float}


@dataclass(frozen=True)
class FailureRecord:
    """One attempt that failed, as its object in storage says it.

    `frame` None: the whole video (a stitch). `log` is the address of the task run in Prefect's UI, where its log is.
    """

    video_id: str
    frame: int | None
    attempt: int
    worker: str
    kind: ErrorKind
    message: str
    seconds: float
    when: str
    log: str = ""

    def __post_init__(self) -> None:
        # whether it is made now or was put by an earlier release: it is shown in reports, tables and logs
        message = without_secrets(self.message[: MESSAGE + 1000])  # a secret that is cut may not look like one
        object.__setattr__(self, "message", message if len(message) <= MESSAGE else message[:MESSAGE] + "…")

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> FailureRecord:
        """Read what `record_failure` put, in this version or in an earlier one.

        Raises:
            KeyError, TypeError, ValueError, OverflowError: it put no such thing.
        """
        known = {field.name: document[field.name] for field in fields(cls) if field.name in document}
        for name, value in known.items():
            if isinstance(value, bool) or not isinstance(value, _TYPES.get(name, str)):
                raise TypeError(f"its '{name}' is of the wrong type")
            if isinstance(value, int | float) and not math.isfinite(value):
                raise ValueError(f"its '{name}' is not finite")
        return cls(**{**known, "kind": ErrorKind.read(document["kind"])})


def record_failure(
    output: Storage, error: BaseException, *, video: str, frame: int | None, digest: str, attempt: int, worker: str,
    seconds: float, log: str = "",
) -> FailureRecord:  # fmt: skip
    """Make a failure's record and put it in storage. A storage that refuses it does not hide the failure itself.

    Raises:
        Stopped: the job was stopped meanwhile.
    """
    now = datetime.now(UTC)
    message = str(error).strip() or type(error).__name__
    record = FailureRecord(
        video, frame, attempt, worker, kind_of(error), message, round(seconds, 3), now.isoformat(), log
    )
    key = failure_key(video, frame, digest, now.strftime("%Y%m%dT%H%M%S%f"))
    try:
        output.put(key, json.dumps({**asdict(record), "error": type(error).__name__}).encode(), existing="keep")
    except Exception as refused:  # the frame's own failure is what people must see
        if kind_of(refused) == ErrorKind.CANCELLED:
            raise
    return record

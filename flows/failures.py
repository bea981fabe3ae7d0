"""What a failure means: tried again or not, and the record that it leaves."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Literal

from flows.report import FailureRecord
from infra.layout import failure_key
from infra.pool import WorkerLost
from infra.settings import InfraSettings
from infra.storage import ObjectMissing, Storage, StorageUnavailable
from renderers.errors import BadInput, ModelFilesBroken, Stopped, UnknownModel

__all__ = ["Kind", "allowed_attempts", "back_off", "classify", "record_failure"]

Kind = Literal["application", "infrastructure", "bad input", "cancelled"]


def classify(error: BaseException) -> Kind:
    """The class of a failure."""
    if isinstance(error, Stopped):
        return "cancelled"
    if isinstance(error, (BadInput, UnknownModel, ModelFilesBroken, ObjectMissing)):
        return "bad input"
    if isinstance(error, (WorkerLost, StorageUnavailable)):
        return "infrastructure"
    return "application"


def allowed_attempts(kind: Kind, settings: InfraSettings) -> int:
    """How often a frame may fail in this way before it has failed for good."""
    by_kind = {"application": settings.attempts, "infrastructure": settings.lost_worker_attempts}
    return by_kind.get(kind, 1)


def back_off(kind: Kind, failures: int) -> float:
    """Seconds to wait after the `failures`-th failure of one frame: none when the frame itself is to blame."""
    return min(10.0, 0.5 * 2 ** min(failures - 1, 6)) if kind == "infrastructure" else 0.0


def record_failure(
    output: Storage, error: BaseException, *, video: str, frame: int | None, digest: str, attempt: int, worker: str,
    seconds: float,
) -> FailureRecord:  # fmt: skip
    """Make a failure's record and put it in storage. A storage that refuses it does not hide the failure itself."""
    now = datetime.now(UTC)
    message = str(error).strip() or type(error).__name__
    record = FailureRecord(video, frame, attempt, worker, classify(error), message, round(seconds, 3), now.isoformat())
    key = failure_key(video, frame, digest, now.strftime("%Y%m%dT%H%M%S%f"))
    try:
        output.put(key, json.dumps({**asdict(record), "error": type(error).__name__}).encode(), existing="keep")
    except Exception as refused:  # the frame's own failure is what people must see
        if classify(refused) not in ("infrastructure", "application", "bad input"):
            raise
    return record

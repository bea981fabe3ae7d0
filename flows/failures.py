"""The class of a failure, and the record that it leaves."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime

from flows.failure_policy import Kind
from flows.report import FailureRecord
from infra.layout import failure_key
from infra.pool import WorkerLost, WorkerOutOfMemory, WorkerStalled
from infra.storage import ObjectMissing, Storage, StorageBusy, StorageUnavailable
from infra.tasks import FrameGone
from renderers.errors import BadInput, FrameCorrupt, ModelFilesBroken, NonFiniteLoss, OutOfMemory, Stopped, UnknownModel

__all__ = ["classify", "record_failure"]


def classify(error: BaseException) -> Kind:
    """The class of a failure."""
    if isinstance(error, Stopped):
        return "cancelled"
    if isinstance(error, (BadInput, UnknownModel, ModelFilesBroken, ObjectMissing)):
        return "bad input"
    if isinstance(error, NonFiniteLoss):
        return "not finite"
    if isinstance(error, (OutOfMemory, WorkerOutOfMemory)):
        return "out of memory"
    if isinstance(error, FrameCorrupt):
        return "corrupt"
    if isinstance(error, WorkerStalled):
        return "stalled"
    if isinstance(error, (WorkerLost, FrameGone, StorageBusy)):
        return "infrastructure"
    if isinstance(error, StorageUnavailable):
        return "storage"
    return "application"


def record_failure(
    output: Storage, error: BaseException, *, video: str, frame: int | None, digest: str, attempt: int, worker: str,
    seconds: float, log: str = "",
) -> FailureRecord:  # fmt: skip
    """Make a failure's record and put it in storage. A storage that refuses it does not hide the failure itself."""
    now = datetime.now(UTC)
    message = str(error).strip() or type(error).__name__
    record = FailureRecord(
        video, frame, attempt, worker, classify(error), message, round(seconds, 3), now.isoformat(), log
    )
    key = failure_key(video, frame, digest, now.strftime("%Y%m%dT%H%M%S%f"))
    try:
        output.put(key, json.dumps({**asdict(record), "error": type(error).__name__}).encode(), existing="keep")
    except Exception as refused:  # the frame's own failure is what people must see
        if classify(refused) == "cancelled":
            raise
    return record

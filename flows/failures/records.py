"""The class of a failure, and the record that it leaves."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from flows.failures.policy import Kind
from infra.storage.layout import failure_key
from infra.storage.storage import ObjectMissing, Storage, StorageBusy, StorageUnavailable
from infra.workers.pool import WorkerLost, WorkerOutOfMemory, WorkerStalled
from infra.workers.tasks import FrameGone
from renderers.errors import BadInput, FrameCorrupt, ModelFilesBroken, NonFiniteLoss, OutOfMemory, Stopped, UnknownModel

__all__ = ["FailureRecord", "classify", "record_failure"]


@dataclass(frozen=True)
class FailureRecord:
    """One attempt that failed, as its failure object in storage tells it. `frame` None: the whole video (a stitch).
    `log` is the address of the task run in Prefect's UI, where its log is."""

    video_id: str
    frame: int | None
    attempt: int
    worker: str
    kind: str
    message: str
    seconds: float
    when: str
    log: str = ""


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

"""The class of every error, and the record that a failure leaves."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from flows.failures.records import classify, record_failure
from flows.job.stitching import VideoDiffers
from infra.storage.storage import ObjectConflict, ObjectMissing, Storage, StorageBusy, StorageError, StorageUnavailable
from infra.video.ffmpeg import FfmpegError, VideoDefect
from infra.workers.pool import WorkerLost, WorkerOutOfMemory, WorkerStalled
from renderers.errors import BadInput, FrameCorrupt, ModelFilesBroken, NonFiniteLoss, OutOfMemory, Stopped, UnknownModel

CLASSES = [
    (Stopped("stopped"), "cancelled"),
    (BadInput("no"), "bad input"),
    (VideoDiffers("another"), "bad input"),
    (UnknownModel("no"), "bad input"),
    (ModelFilesBroken("no"), "bad input"),
    (ObjectMissing("nothing at 'x'"), "bad input"),
    (WorkerLost("gone"), "infrastructure"),
    (StorageBusy("no answer", "wait"), "infrastructure"),
    (StorageUnavailable("no bucket", "make one"), "storage"),
    (StorageError("odd"), "application"),
    (ObjectConflict("other bytes", "--force"), "application"),
    (FrameCorrupt("damaged", 3), "corrupt"),
    (NonFiniteLoss("nan"), "not finite"),
    (OutOfMemory("too large"), "out of memory"),
    (WorkerOutOfMemory("ended"), "out of memory"),
    (WorkerStalled("no step"), "stalled"),
    (FfmpegError("ended with 1"), "application"),
    (VideoDefect("cut short"), "application"),
    (KeyError("x"), "application"),
]


@pytest.mark.parametrize(("error", "kind"), CLASSES, ids=lambda value: type(value).__name__ if value else None)
def test_every_error_has_its_class_and_keeps_it_on_its_way_home_from_a_worker(error: Exception, kind: str) -> None:
    arrived = pickle.loads(pickle.dumps(error))
    assert classify(error) == classify(arrived) == kind
    assert str(arrived) == str(error)


def test_a_failure_becomes_an_object_that_tells_it_all(tmp_path: Path) -> None:
    output = Storage(str(tmp_path))
    about = {"video": "reef", "frame": 7, "digest": "ab" * 32, "worker": "actor-1"}

    first = record_failure(output, NonFiniteLoss("loss is nan"), attempt=1, seconds=1.23456, **about)  # type: ignore[arg-type]
    record_failure(output, KeyError(), attempt=2, seconds=0.5, **about)  # type: ignore[arg-type]

    stored = [(info.key, json.loads(output.read(info.key))) for info in output.list("reef/failures")]
    assert [key.rpartition("-")[0] for key, _ in stored] == ["reef/failures/000007-" + "ab" * 8] * 2
    assert stored[0][1] == {
        "video_id": "reef", "frame": 7, "attempt": 1, "worker": "actor-1", "kind": "not finite",
        "error": "NonFiniteLoss", "message": "loss is nan", "seconds": 1.235, "when": first.when, "log": "",
    }  # fmt: skip
    assert stored[1][1]["message"] == "KeyError"  # an error without words still has a name


def test_storage_that_refuses_the_record_does_not_hide_the_failure(tmp_path: Path) -> None:
    (tmp_path / "reef").write_text("a file where the folder should be")

    about = {"video": "reef", "frame": None, "digest": "0" * 64, "attempt": 1, "worker": "w", "seconds": 0}
    record = record_failure(Storage(str(tmp_path)), BadInput("odd"), **about)  # type: ignore[arg-type]

    assert (record.kind, record.message, record.frame) == ("bad input", "odd", None)

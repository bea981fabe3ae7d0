"""The record that a failure leaves. Of which kind every error is: tests/unit/test_errors.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows.retry_and_quarantine.records import FailureRecord, record_failure
from infra.storage.storage import Storage
from manifests.errors import ErrorKind
from renderers.errors import BadInput, NonFiniteLoss


def test_a_failure_becomes_an_object_that_tells_it_all(tmp_path: Path) -> None:
    output = Storage(str(tmp_path))
    about = {"video": "reef", "frame": 7, "digest": "ab" * 32, "worker": "actor-1"}

    first = record_failure(output, NonFiniteLoss("loss is nan"), attempt=1, seconds=1.23456, **about)  # type: ignore[arg-type]
    record_failure(output, KeyError(), attempt=2, seconds=0.5, **about)  # type: ignore[arg-type]

    stored = [(info.key, json.loads(output.read(info.key))) for info in output.list("reef/failures")]
    assert [key.rpartition("-")[0] for key, _ in stored] == ["reef/failures/000007-" + "ab" * 8] * 2
    assert stored[0][1] == {
        "video_id": "reef", "frame": 7, "attempt": 1, "worker": "actor-1", "kind": "non-finite",
        "error": "NonFiniteLoss", "message": "loss is nan", "seconds": 1.235, "when": first.when, "log": "",
    }  # fmt: skip
    assert stored[1][1]["message"] == "KeyError"  # an error without words still has a name
    assert FailureRecord.of_document(stored[0][1]) == first


def test_the_records_of_earlier_and_of_later_versions_can_be_read() -> None:
    of_0_1 = {
        "video_id": "reef", "frame": 7, "attempt": 1, "worker": "actor-1", "kind": "not finite",
        "error": "NonFiniteLoss", "message": "loss is nan", "seconds": 1.235, "when": "2026-11-22T03:01:00+00:00",
    }  # fmt: skip
    read = FailureRecord.of_document(of_0_1)
    assert (read.kind, read.frame, read.message, read.log) == (ErrorKind.NON_FINITE, 7, "loss is nan", "")
    former = (
        "application",
        "out of memory",
        "infrastructure",
        "storage",
        "stalled",
        "corrupt",
        "bad input",
        "cancelled",
    )
    for kind in former:
        assert FailureRecord.of_document(of_0_1 | {"kind": kind}).kind == kind
    later = FailureRecord.of_document(of_0_1 | {"kind": "melted", "node": "gpu-7"})
    assert later.kind == ErrorKind.APPLICATION


@pytest.mark.parametrize("seconds", ["1e999", "NaN", "1" + "0" * 400])
def test_a_record_whose_seconds_are_no_number_is_none(seconds: str) -> None:
    """Its attempt could be shown to nobody: JSON has no such number."""
    about = '"video_id": "reef", "frame": 7, "attempt": 1, "worker": "w", "kind": "storage", "message": "", "when": ""'
    with pytest.raises((ValueError, OverflowError)):
        FailureRecord.of_document(json.loads(f'{{{about}, "seconds": {seconds}}}'))


def test_storage_that_refuses_the_record_does_not_hide_the_failure(tmp_path: Path) -> None:
    (tmp_path / "reef").write_text("a file where the folder should be")

    about = {"video": "reef", "frame": None, "digest": "0" * 64, "attempt": 1, "worker": "w", "seconds": 0}
    record = record_failure(Storage(str(tmp_path)), BadInput("odd"), **about)  # type: ignore[arg-type]

    assert (record.kind, record.message, record.frame) == ("bad input", "odd", None)

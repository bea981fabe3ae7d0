"""What a training's folder holds may be anybody's: it is read within bounds, and believed after a look."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from renderers.errors import BadInput, TrainingBroken
from renderers.training.finetune_job import FinetuneJob, finished
from renderers.training.kept_documents import MOST_BYTES, read_progress
from renderers.training.run import TrainingRun
from renderers.training.vqgan_training import VQGANTrainingSettings

REPORT: dict[str, Any] = {
    "name": "mine", "base": "embedded", "steps": 3, "seconds": 1.5, "psnr_before": 20.0, "psnr_after": 21,
    "training_pictures": 9, "held_out_pictures": ["a.png"], "broken_pictures": {}, "hardware": "a CPU",
    "sha256": "0" * 64, "whatever": "a later version adds",
}  # fmt: skip
FOREIGN = [
    b"", b"[", b"[]", b"null", b"\xff\xfe", b"9" * 5000, b"[" * 100_000, b'{"a":' * 50_000, b"{}",
    json.dumps({**REPORT, "steps": "many"}).encode(), json.dumps({**REPORT, "sha256": "../../etc"}).encode(),
    json.dumps({**REPORT, "held_out_pictures": {"a": 1}}).encode(), json.dumps({**REPORT, "psnr_after": None}).encode(),
    b'{"name": "' + b"x" * MOST_BYTES + b'"}',
]  # fmt: skip


def job(folder: Path) -> FinetuneJob:
    return FinetuneJob((folder,), folder, name="mine")


def test_a_report_of_ours_is_read(tmp_path: Path) -> None:
    assert finished(job(tmp_path)) is None
    (tmp_path / "report.json").write_text(json.dumps(REPORT), encoding="utf-8")
    assert finished(job(tmp_path)) == REPORT


@pytest.mark.parametrize("data", FOREIGN, ids=lambda data: repr(data[:30]))
def test_a_report_of_somebody_elses_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "report.json").write_bytes(data)
    with pytest.raises(BadInput, match=r"report\.json' is not the report of a fine-tuning \(.*name another folder"):
        finished(job(tmp_path))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "report.json")
    with pytest.raises(BadInput, match="it is no regular file"):
        finished(job(tmp_path))
    (tmp_path / "training").mkdir()
    for name in ("settings.json", "progress.json"):
        os.mkfifo(tmp_path / "training" / name)
    (tmp_path / "training" / "checkpoint.pt").write_bytes(b"x")
    assert job(tmp_path).kept() == {}
    assert read_progress(job(tmp_path).progress_file) is None


@pytest.mark.parametrize(
    "data", [*FOREIGN, b'{"step": 1, "steps": 0, "seconds_left": 1}'], ids=lambda it: repr(it[:30])
)
def test_a_progress_that_is_none_is_not_known(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "progress.json").write_bytes(data)
    assert read_progress(tmp_path / "progress.json") is None


def test_how_far_a_training_is_is_read(tmp_path: Path) -> None:
    (tmp_path / "progress.json").write_text('{"step": 1, "steps": 2, "seconds_left": 0.5, "loss": 1.0, "psnr": null}')
    assert (read_progress(tmp_path / "progress.json") or {})["steps"] == 2


@pytest.mark.parametrize("data", FOREIGN[:8], ids=lambda data: repr(data[:30]))
def test_settings_of_somebody_elses_training_are_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "settings.json").write_bytes(data)
    (tmp_path / "checkpoint.pt").write_bytes(b"x")
    with pytest.raises(TrainingBroken, match=r"settings\.json' can't be read"):
        TrainingRun(tmp_path, VQGANTrainingSettings())

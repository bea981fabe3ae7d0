"""Ray Train for real: a worker killed in mid-training is started again, goes on from the checkpoint, and ends."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from infra.ray.finetuning import RayTraining
from infra.settings import InfraSettings
from renderers.training.finetune_job import FinetuneJob, finished
from tests.helpers.blueprints import write_blueprints


# Ray Train makes a DataContext, which warns of its own default settings: not ours to change.
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context")
@pytest.mark.minutes
def test_a_killed_worker_costs_the_steps_since_the_checkpoint(tmp_path: Path) -> None:
    job = FinetuneJob((write_blueprints(tmp_path / "pictures", 12),), tmp_path / "plans", steps=90)
    training = RayTraining(job, InfraSettings())
    try:
        training.start()
        deadline = time.monotonic() + 240
        while (now := training.progress() or {"step": 0})["step"] < 55:
            assert not training.wait(0.05), training.result()
            assert time.monotonic() < deadline
        os.kill(now["process"], signal.SIGKILL)
        training.result()
    finally:
        training.close()
    report = finished(job)
    assert report is not None
    assert report["steps"] == 90
    assert report["psnr_after"] > report["psnr_before"]
    later = json.loads(job.progress_file.read_text())
    assert later["process"] != now["process"]
    steps = [float(line.split(",")[0]) for line in (job.training / "curves.csv").read_text().splitlines()[1:]]
    assert steps == sorted(set(steps))

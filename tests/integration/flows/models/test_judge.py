"""A judge of another model, loaded beside the one that draws: its word is the likeness, in the frame and its report."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.storage.storage import Storage
from infra.workers.renderers import LoadedModels
from infra.workers.tasks import FrameReport, FrameTask, ModelLacking
from infra.workers.worker import Worker
from renderers.frame_plan.video_plan import VideoPlan
from renderers.registry import Registry
from tests.helpers.random_model import write_model
from tests.helpers.render_jobs import frame_objects, quick_row


def test_the_perceptors_of_another_model_judge_what_the_embedded_one_draws(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    registry = Registry(tmp_path / "models")
    registry.register(write_model(tmp_path / "made"), "flowers")
    output = Storage(str(tmp_path / "out"))
    worker = Worker(output, LoadedModels(registry, device="cpu"), registry=registry)

    def drawn(video_id: str, **review: str) -> FrameReport:
        plan = VideoPlan.of(quick_row(video_id, review=review), {}, entry=registry.entry("embedded"))
        return worker.render_frame(FrameTask(plan.row, {}, next(plan.walk())))

    plain, judged, again = drawn("plain"), drawn("judged", judge="flowers"), drawn("again", judge="flowers")
    assert (plain.likeness, plain.judge) == (None, None)
    assert plain.fit is not None
    assert (judged.fit, judged.judge) == (None, "flowers")
    assert judged.likeness == again.likeness is not None
    assert judged.likeness != plain.fit
    assert (judged.sharpness, judged.loss) == (plain.sharpness, plain.loss)
    keys = [key.rpartition("/")[2] for key in frame_objects(output)]
    assert len(set(keys)) == 1, "one digest, whoever judges"
    with pytest.raises(ModelLacking, match="model 'thistles' is not in the models folder"):
        drawn("lacking", judge="thistles")

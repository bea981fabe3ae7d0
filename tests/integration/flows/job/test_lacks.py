"""Workers on machines that lack a model, or have another one of its name: their frames go to those that have it."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from flows.job.dispatch import run_job
from flows.job.events import JobEvents
from flows.job.report_data import REPORT_PAGE, SUMMARY, OutputReport, publish_report
from flows.job.run_documents import RunIdentity, documenting
from infra.settings import InfraSettings
from infra.storage.storage import ReadingPolicy, Storage
from infra.workers.local_pool import LocalPool
from infra.workers.renderers import LoadedModels, RendererSource
from infra.workers.worker import Worker
from renderers.models.adding import add_model
from renderers.registry import Registry
from tests.helpers.depth_model import LOADER, install_depth, write_depth_weights
from tests.helpers.random_model import write_model
from tests.helpers.render_jobs import frame_objects, planned, quick_row, write_manifest


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Models folders of three machines: with the model, without it, and with another one of its name."""
    found = []
    for name in ("whole", "empty", "other"):
        (tmp_path / name / "made").mkdir(parents=True)
        found.append(tmp_path / name / "models")
        if name == "empty":
            found[-1].mkdir()
            continue
        entry = write_model(tmp_path / name / "made").model_dump(exclude_unset=True)
        if name == "other":
            entry["concepts"] = ("cat", "dog")
        Registry(found[-1]).register(entry, "mine")
    return found


def run(folders: list[Path], tmp_path: Path, models: list[str], **settings: Any) -> tuple[Any, list[str]]:
    """Render a row of each of `models`, three frames, with a worker on each of the machines; what was said of them."""
    rows = [quick_row(f"v{number}", frames=3, model=model, **settings) for number, model in enumerate(models)]
    output, numbers, said = str(tmp_path / "out"), count(), list[str]()
    # a chunk for each video: each free worker gets one
    settings = InfraSettings(models_folder=folders[0], chunk_seconds=0.01)
    job = planned(write_manifest(tmp_path / "m.parquet", rows), output, settings)

    def make(output: Storage, _: RendererSource, *, registry: Registry, reading: ReadingPolicy) -> Worker:
        number = next(numbers)
        own = Registry(folders[number])
        worker = Worker(output, LoadedModels(own, device="cpu"), registry=own, reading=reading)
        worker.host = f"host{number}"
        return worker

    pool = LocalPool(Storage(output), size=len(folders), reading=job.reading, make=make)
    with documenting(job, RunIdentity("render-manifest")) as documents:
        run_job(job, pool, events=JobEvents(lacking=said.append))
        documents.end("Completed")
    assert list(job.lacks) == said
    # whoever makes the report of the output later shows them, too, as the latest run has found them
    other = OutputReport(planned(write_manifest(tmp_path / "n.parquet", rows[:1]), output, settings))
    publish_report(Storage(output), OutputReport(job, documents).gather(actors=1, ended=("Completed", "")))
    assert json.loads(Storage(output).read(SUMMARY))["hosts"] == said
    page = Storage(output).read(REPORT_PAGE).decode()
    assert all(f"host &#39;host{host}&#39;" in page for host in range(len(folders)) if f"'host{host}'" in str(said))
    assert other.gather(actors=1).report.hosts == ()  # its own run is the latest now
    return job, said


def test_frames_go_to_machines_that_have_the_model(folders: list[Path], tmp_path: Path) -> None:
    job, said = run(folders, tmp_path, ["mine"] * 6)
    assert job.complete, [run.reason for run in job.runs.values()]
    assert len(frame_objects(str(tmp_path / "out"))) == 18
    assert not [info.key for info in Storage(str(tmp_path / "out")).list() if "/failures/" in info.key]
    # once for each host
    without, other = sorted(said)
    assert without.startswith("host 'host1' (worker ")
    assert "lacks model 'mine': model 'mine' is not in the models folder" in without
    assert other.startswith("host 'host2' (worker ")
    assert "has another model 'mine'" in other
    assert all("NIGHTREEL_MODELS_SOURCE" in it for it in said)
    # a model that all of them have
    job, said = run(folders, tmp_path, ["mine"] * 6 + ["embedded"] * 3)
    assert (job.complete, said) == (True, [])


def test_where_no_machine_has_the_model_each_says_so_once(folders: list[Path], tmp_path: Path) -> None:
    (folders[0] / "mine" / "vqgan.safetensors").unlink()
    job, said = run(folders[:1], tmp_path, ["mine"])
    assert job.frames_missing == (3, 3)
    (message,) = said
    assert "no worker of another host is left" in message
    assert "vqgan.safetensors" in message


def test_frames_that_ask_for_depth_go_to_machines_with_that_depth_model(
    folders: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_depth(monkeypatch, tmp_path / "site")
    for number, (folder, brightness) in enumerate(zip(folders, (4.0, 4.0, 2.0), strict=True)):
        files = write_depth_weights(tmp_path / f"brightness-{number}", brightness=brightness)
        add_model(Registry(folder), "deep", like="embedded", depth=LOADER, depth_files=files)
    (folders[1] / "deep" / "depth" / "sub" / "brightness.safetensors").unlink()
    moving = {"zoom": "1", "angle": "0", "dolly": "4", "depth": {"shape": "model"}}
    job, said = run(folders, tmp_path, ["deep"] * 4, **moving)
    assert job.complete, [run.reason for run in job.runs.values()]
    without, other = sorted(said)
    assert without.startswith("host 'host1' (worker ")
    assert "lacks model 'deep'" in without
    assert "brightness.safetensors" in without
    assert other.startswith("host 'host2' (worker ")
    assert "lacks the depth model of 'deep'" in other
    # they are other frames than before a plane: the first is the same
    (tmp_path / "plane").mkdir()
    plane, _ = run(folders[:1], tmp_path / "plane", ["deep"], **{**moving, "depth": {"shape": "plane"}})
    assert plane.complete
    deep, flat = frame_objects(str(tmp_path / "out")), frame_objects(str(tmp_path / "plane" / "out"))
    assert len({*deep} & {*flat}) == 1

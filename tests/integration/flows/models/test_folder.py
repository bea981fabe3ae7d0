"""Where the models are reaches those who render: workers, and jobs of a flow that no command line started."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from flows.job.job import RenderJob
from flows.job.parameters import RenderParameters
from infra.settings import InfraSettings
from infra.storage.storage import Storage
from infra.workers.renderers import LoadedModels
from infra.workers.tasks import ModelLacking
from infra.workers.worker import Worker
from manifests.schema import ManifestRow
from renderers.registry import Registry
from tests.helpers.random_model import write_model
from tests.helpers.render_jobs import write_manifest


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """A registry with a model `flowers`."""
    (tmp_path / "made").mkdir()
    registry = Registry(tmp_path / "models")
    registry.register(write_model(tmp_path / "made"), "flowers")
    return registry


def test_a_worker_finds_the_models_of_its_registry_and_notices_that_one_was_replaced(
    registry: Registry, tmp_path: Path
) -> None:
    output = Storage(str(tmp_path / "out"))
    with pytest.raises(ModelLacking, match="model 'flowers' is not in the models folder"):
        Worker(output).warm("flowers")
    models = LoadedModels(registry, device="cpu")
    worker = Worker(output, models, registry=registry)
    assert worker.warm("flowers") == worker.name
    first = models("flowers")
    assert models("flowers") is first
    changed = registry.entry("flowers").model_dump(exclude_unset=True) | {"concepts": ("rose", "tulip")}
    registry.register(changed, "flowers", replace=True)
    assert models("flowers") is not first


def test_a_job_finds_the_models_of_its_settings(registry: Registry, tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "m.parquet", [ManifestRow(video_id="a", prompt="x", model="flowers")])
    for folder, runs in ((registry.folder, ["a"]), (tmp_path / "nowhere", [])):
        job = RenderJob(RenderParameters(manifest, str(tmp_path / "out")), InfraSettings(models_folder=folder))
        job.read()
        assert list(job.runs) == runs


def test_a_registry_travels_by_value(registry: Registry) -> None:
    """As to a Ray actor: to a process that was started in another folder, or knows no settings."""
    arrived = pickle.loads(pickle.dumps(registry))
    assert arrived.entry("flowers") == registry.entry("flowers")
    assert len(pickle.dumps(registry)) < 1000


def test_the_folder_of_the_settings_is_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for given, meant in (("~/models", "models"), ("here/models", "here/models")):
        monkeypatch.setenv("NIGHTREEL_MODELS_FOLDER", given)
        assert InfraSettings().models_folder == tmp_path / meant
    monkeypatch.delenv("NIGHTREEL_MODELS_FOLDER")
    assert InfraSettings().models_folder.parts[-2:] == ("nightreel", "models")

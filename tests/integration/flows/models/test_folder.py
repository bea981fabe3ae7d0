"""Where the models are reaches those who render: workers, and jobs of a flow that no command line started."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.job.job import RenderJob
from flows.job.parameters import RenderParameters
from infra.settings import InfraSettings
from infra.storage.storage import Storage
from infra.workers.worker import Worker
from renderers.errors import UnknownModel
from renderers.registry import model_entry, models_folder, register, use_folder
from tests.helpers.random_model import write_model


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A models folder with a model `flowers`, of which this process has not been told."""
    before = models_folder()
    (tmp_path / "made").mkdir()
    register(write_model(tmp_path / "made"), tmp_path / "models", "flowers")
    use_folder(None)
    with pytest.raises(UnknownModel):
        model_entry("flowers")
    yield tmp_path / "models"
    use_folder(before)


def test_a_worker_is_told_and_notices_that_a_model_was_replaced(folder: Path, tmp_path: Path) -> None:
    worker = Worker(Storage(str(tmp_path / "out")), device="cpu", models_folder=folder)
    assert worker.warm("flowers") == worker.name
    first = worker._load("flowers")
    assert worker._load("flowers") is first
    changed = model_entry("flowers").model_dump(exclude_unset=True) | {"concepts": ("rose", "tulip")}
    register(changed, folder, "flowers", replace=True)
    assert worker._load("flowers") is not first


def test_a_job_is_told_by_its_settings(folder: Path, tmp_path: Path) -> None:
    settings = InfraSettings(models_folder=folder)
    RenderJob(RenderParameters("m.parquet", str(tmp_path / "out")), settings)
    assert model_entry("flowers").name == "flowers"


def test_the_folder_of_the_settings_is_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for given, meant in (("~/models", "models"), ("here/models", "here/models")):
        monkeypatch.setenv("NIGHTREEL_MODELS_FOLDER", given)
        assert InfraSettings().models_folder == tmp_path / meant
    monkeypatch.delenv("NIGHTREEL_MODELS_FOLDER")
    assert InfraSettings().models_folder.parts[-2:] == ("nightreel", "models")

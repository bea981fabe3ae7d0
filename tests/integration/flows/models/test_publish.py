"""`nightreel models publish`, and a job on another machine that fetches what was published."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from flows.cli.errors import BAD_INPUT, DONE, ENVIRONMENT
from flows.job.dispatch import run_job
from infra.settings import InfraSettings, load_settings
from infra.storage.storage import Storage
from infra.workers.local_pool import LocalPool
from renderers.registry import Registry
from tests.helpers.command_line import Said
from tests.helpers.render_jobs import planned, quick_row, write_manifest

Command = Callable[..., Said]


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("NIGHTREEL_MODELS_SOURCE", str(tmp_path / "shared"))
    load_settings.cache_clear()
    return str(tmp_path / "shared")


def test_what_was_fetched_once_is_published_for_all(
    entry_file: Path, source: str, nightreel: Command, tmp_path: Path
) -> None:
    early = nightreel("models", "publish", "reef")
    assert early.code == ENVIRONMENT
    assert "'reef' can't be published" in early.err
    assert nightreel("models", "fetch", "reef").code == DONE
    published = nightreel("models", "publish", "reef", "--json")
    assert published.code == DONE, published.err
    (model,) = published.json
    # the checkpoint stays here: it was converted
    assert [file["path"] for file in model["files"]] == [
        "reef/vqgan.yaml", "reef/vqgan.safetensors", "reef/vqgan.json", "reef.yaml",
    ]  # fmt: skip
    assert nightreel("models", "publish", "reef", "--json").json == published.json

    elsewhere = InfraSettings(models_folder=tmp_path / "elsewhere", models_source=source)
    output = str(tmp_path / "out")
    job = planned(write_manifest(tmp_path / "m.parquet", [quick_row("a", frames=2, model="reef")]), output, elsewhere)
    registry = Registry(elsewhere.models_folder)
    run_job(job, LocalPool(Storage(output), device="cpu", registry=registry, source=source, reading=job.reading))
    assert job.complete, [run.reason for run in job.runs.values()]
    assert registry.entry("reef").digest == model["digest"]


def test_what_can_not_be_published_is_said(nightreel: Command, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert nightreel("models", "publish").code == BAD_INPUT
    packaged = nightreel("models", "publish", "embedded")
    assert packaged.code == BAD_INPUT
    assert "comes with the package" in packaged.err
    monkeypatch.setenv("NIGHTREEL_MODELS_SOURCE", "")
    load_settings.cache_clear()
    unset = nightreel("models", "publish", "embedded")
    assert unset.code == BAD_INPUT
    assert "NIGHTREEL_MODELS_SOURCE is not set" in unset.err

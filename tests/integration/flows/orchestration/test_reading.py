"""Rows of a run that a server started read less than those of a command."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from flows.job.job import RenderJob
from flows.job.parameters import RenderParameters
from flows.orchestration.handover import begin, handing_over
from infra.settings import InfraSettings
from tests.helpers.render_jobs import quick_row, write_manifest


def test_only_a_run_of_a_deployment_is_confined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("night", "home"):
        (tmp_path / folder).mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "home/a.png")
    row = quick_row("home", init_image=str(tmp_path / "home/a.png"))
    manifest = write_manifest(tmp_path / "night/m.parquet", [row])
    parameters = RenderParameters(manifest, str(tmp_path / "out"))
    monkeypatch.setattr("flows.orchestration.handover.start_pool", lambda *_: None)
    job = begin(parameters, RenderJob)
    assert not job.refused
    assert job.reading.roots is None
    # as Prefect's own runtime reads it, where there is no server to say it
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "d2c4a7a2-0f5e-4f2b-9c6e-000000000000")
    job = begin(parameters, RenderJob)
    assert "lies outside of what a run of the server may read" in job.refused[0][1]
    assert job.reading.roots == (str(tmp_path / "night"), str(tmp_path / "out"))
    mine = RenderJob(parameters, InfraSettings())
    with handing_over(mine):
        assert begin(parameters, RenderJob) is mine

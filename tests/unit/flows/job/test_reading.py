"""What rows may read: anything of a person's own on the command line, little in a run that a server started."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from PIL import Image

from flows.job.job import RenderJob
from flows.job.parameters import RenderParameters
from flows.job.reruns import RerunParameters, rerun_job
from flows.runs.record import RunRecord
from flows.runs.stored import put_record
from infra.settings import InfraSettings
from infra.storage.storage import SourceReader, SourceRefused, Storage
from tests.helpers.render_jobs import quick_row, write_manifest


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """Folders with a picture each, and a manifest in `night` whose rows name them all."""
    for folder in ("night", "night/inside", "out", "studio", "elsewhere"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / folder / "a.png")
    (tmp_path / "night/link.png").symlink_to("../elsewhere/a.png")
    names = ("night/a.png", "night/inside/a.png", "night/link.png", "out/a.png", "studio/a.png", "elsewhere/a.png")
    rows = [quick_row(name.replace("/", "-"), init_image=str(tmp_path / name)) for name in names]
    rows += [quick_row("web", init_image="http://127.0.0.1:9/a.png"), quick_row("none")]
    write_manifest(tmp_path / "night/m.parquet", rows)
    return tmp_path


def job_in(places: Path, **settings: object) -> RenderJob:
    return RenderJob(RenderParameters(str(places / "night/m.parquet"), str(places / "out")), InfraSettings(**settings))


def test_a_command_reads_what_its_user_can(places: Path) -> None:
    job = job_in(places)
    job.read(write=False)
    assert [row.video_id for row, _ in job.refused] == ["web"]
    assert "private network" in job.refused[0][1]
    assert job.refused[0][1].endswith(f"(row 7, {places}/night/m.parquet)")


def test_a_run_of_a_server_reads_what_belongs_to_it(places: Path) -> None:
    job = job_in(places, read_roots=(str(places / "studio"),))
    job.confine()
    job.read(write=False)
    reasons = {row.video_id: reason for row, reason in job.refused}
    assert reasons.keys() == {"night-link.png", "elsewhere-a.png", "web"}
    for name in ("night-link.png", "elsewhere-a.png"):
        assert reasons[name].startswith("init_image '")
        assert "lies outside" in reasons[name]
        assert "NIGHTREEL_READ_ROOTS" in reasons[name]


def test_a_rerun_of_a_server_reads_beside_the_manifests_of_its_output(places: Path) -> None:
    output = Storage(str(places / "out"))
    record = RunRecord.model_validate(
        {"run": "20261128T000000000000", "began": "2026-11-28T00:00:00Z", "manifest": str(places / "night/m.parquet")}
    )
    put_record(output, record)
    parameters = RerunParameters.of(str(places / "out"), "night-a.png", "all", "re-render", None, False, 0)
    job = rerun_job(parameters, InfraSettings())
    job.confine()
    reader = SourceReader(job.reading)
    for name in ("night/a.png", "out/a.png"):
        assert reader.read(str(places / name))
    for name in ("elsewhere/a.png", "night/link.png"):
        with pytest.raises(SourceRefused, match="lies outside"):
            reader.read(str(places / name))


@pytest.mark.parametrize("name", ["manifest_devzero.parquet", "manifest_reference_uri.parquet"])
def test_cases_of_hostile_manifests_cost_one_row(cases: Path, tmp_path: Path, name: str) -> None:
    job = RenderJob(RenderParameters(str(cases / "hostile" / name), str(tmp_path / "out")), InfraSettings())
    began = time.monotonic()
    job.read(write=False)
    assert time.monotonic() - began < 10
    assert len(job.refused) == 1
    assert "(row " in job.refused[0][1]


@pytest.mark.parametrize(
    "uri",
    [
        "zip://a.png::{0}/a.zip", "tar://a.png::{0}/a.tar", "simplecache::file://{0}/a.png", "reference://", "hf://a/b/c",
        "jupyter://127.0.0.1:1/a.png", "data:image/png;base64,AAAA", "ftp://127.0.0.1/a.png", "github://a:b@c/d",
        "{0}/pipe.png", "{0}/socket", "{0}", "/dev/zero", "http://169.254.169.254/a.png", "http://127.0.0.1:1/a.png",
        "{0}/line.png", "{0}/text.png", "{0}/bomb.png", "{0}/empty.png", "{0}/" + "x" * 300, "https://[::1]/a.png",
        "s3://", "{0}/a\x00b.png",
    ],
)  # fmt: skip
def test_a_row_that_names_what_is_no_picture_costs_one_row(cases: Path, tmp_path: Path, uri: str) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "line.png").write_bytes((cases / "hostile/png_1x2000.png").read_bytes())
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty.png").touch()
    Image.new("1", (9_500, 9_400)).save(tmp_path / "bomb.png")
    rows = [quick_row("bad", init_image=uri.format(tmp_path)), quick_row("good"),
            quick_row("prompt", image_prompts=[{"image": uri.format(tmp_path)}]),
            quick_row("scene", prompt=None, frames=9, prompts=[
                {"prompts": [{"text": "a reef"}]}, {"at": 4, "images": [{"image": uri.format(tmp_path)}]},
            ])]  # fmt: skip
    manifest = write_manifest(tmp_path / "m.parquet", rows)
    job = RenderJob(RenderParameters(manifest, str(tmp_path / "out")), InfraSettings())
    job.read(write=False)
    assert list(job.runs) == ["good"]
    reasons = {row.video_id: reason for row, reason in job.refused} | {
        str(problem.video_id): str(problem) for problem in job.problems
    }
    assert reasons.keys() == {"bad", "prompt", "scene"}, reasons
    assert "init_image" in reasons["bad"]
    assert "image_prompts" in reasons["prompt"]
    assert "prompts (the scene at frame 4)" in reasons["scene"]
    assert all("row " in reason and len(reason) < 2_000 for reason in reasons.values())

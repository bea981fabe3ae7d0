"""Scores of frames on their way: from the frame to `frames.parquet`, the report and `status`; limits that are moved
afterwards render nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from flows.job.dispatch import run_job
from flows.job.job import RenderJob
from flows.job.outcome import outcome
from flows.job.output_videos import stored_status, stored_wants
from flows.job.report_data import FRAMES_TABLE, SUMMARY
from flows.job.report_keeper import ReportKeeper
from flows.job.reruns import RerunParameters, rerun_job
from flows.job.reviewed_again import review_again
from flows.job.run_documents import RunIdentity, documenting
from infra.settings import InfraSettings
from infra.storage.storage import Storage
from infra.workers.local_pool import LocalPool
from manifests.schema import ManifestRow
from renderers.registry import Registry
from tests.helpers.render_jobs import frame_objects, planned, quick_row, write_manifest

SCORES = ("fit", "flicker", "sharpness", "luma")
SHARP, ALL = {"review": {"sharpness_below": 1_000_000}}, 1_000_000


def run(job: RenderJob, flow: str = "render-manifest") -> int:
    """Run a planned job as a flow does; return how many frames it rendered."""
    with documenting(job, RunIdentity(flow)) as documents:
        keeper = ReportKeeper(job, documents)
        run_job(job, LocalPool(job.output) if job.needs_workers else None)
        end = outcome(job)
        keeper.conclude(end.name, end.message)
        documents.end(end.name, end.message)
    return end.counts.rendered


def rows_of(**reef: Any) -> list[ManifestRow]:
    return [
        quick_row("reef", "a fish", frames=4, steps=1, zoom="1.05", **reef),
        quick_row("gap", "a boat", frames=5, steps=1, handoff="keyframes", keyframe_every=2),
        quick_row("still", "a boat"),
    ]


def rendered(folder: Path, output: Path, settings: InfraSettings | None = None, **reef: Any) -> int:
    rows = rows_of(**reef)
    return run(planned(write_manifest(folder / "m.parquet", rows), str(output), settings))


def table(output: Path) -> list[dict[str, Any]]:
    return pq.read_table(output / FRAMES_TABLE).to_pylist()


def to_review(output: Path, **usual: float) -> dict[str, tuple[str, ...]]:
    storage = Storage(str(output))
    found = stored_status(storage, Registry(), stored_wants(storage), usual)
    return {it.video_id: it.review for it in found if it.review}


def reported(output: Path) -> list[str]:
    told = json.loads((output / SUMMARY).read_text())
    assert told["to_review"] == len(told["review"])
    return [it["video_id"] for it in told["review"]]


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scored")
    assert rendered(folder, folder / "out", **SHARP) == 10
    return folder / "out"


def test_every_frame_has_its_scores_in_the_table(output: Path) -> None:
    rows = table(output)
    assert len(rows) == 10
    for row in rows:
        assert -1 <= row["fit"] <= 1
        assert row["sharpness"] > 0
        assert 0 <= row["luma"] <= 255
        assert row["likeness"] is row["judge"] is None
        assert (row["flicker"] is None) == (row["frame"] == 0)
    for row in rows:  # before it is rounded, and after
        if row["frame"]:
            assert row["flicker"] == pytest.approx(row["change"], abs=0.5)


def test_the_report_shows_them_and_links_the_worst_frames(output: Path) -> None:
    page = (output / "report" / "index.html").read_text()
    assert "1 video to review" in page
    assert "Flicker (change along the camera, of 255) per frame" in page
    links = [part.split('"')[0] for part in page.split('href="')[1:] if part.startswith("../reef/frames/")]
    assert links
    assert all((output / "report" / link).is_file() for link in links)
    assert reported(output) == ["reef"]


def test_a_limit_that_is_moved_renders_nothing_and_is_heard_of(output: Path, tmp_path: Path) -> None:
    before = frame_objects(str(output))
    assert [it.split(" at ")[0].split()[0] for it in to_review(output)["reef"]] == ["sharpness"]
    assert rendered(tmp_path, output, review={"flicker_above": 255}) == 0
    assert to_review(output) == {}
    assert reported(output) == []
    assert to_review(output, sharpness_below=ALL, flicker_above=0).keys() == {"reef", "gap", "still"}
    (said,) = (it for it in to_review(output, flicker_above=0, sharpness_below=ALL)["reef"])
    assert said.startswith("sharpness"), "the row's own limit of flicker goes before the run's"

    settings = InfraSettings(review_sharpness_below=ALL)
    assert rendered(tmp_path, output, settings) == 0
    assert sorted(reported(output)) == ["gap", "reef", "still"]
    assert rendered(tmp_path, output, **SHARP) == 0
    assert to_review(output).keys() == {"reef"}
    assert frame_objects(str(output)) == before


def test_where_nothing_is_to_do_a_moved_limit_is_heard_of_and_then_nothing_is_put(output: Path, tmp_path: Path) -> None:
    def read(settings: InfraSettings | None = None, **reef: Any) -> RenderJob:
        return planned(write_manifest(tmp_path / "m.parquet", rows_of(**reef)), str(output), settings)

    assert rendered(tmp_path, output) == 0
    runs = len(list((output / "report" / "runs").iterdir()))
    assert review_again(read(), "render-manifest") is None, "nobody asks for a review"
    concluded = review_again(read(**SHARP), "render-manifest")
    assert concluded is not None
    assert [it.video_id for it in concluded.report.to_review] == ["reef"]
    assert to_review(output).keys() == {"reef"}
    assert review_again(read(**SHARP), "render-manifest") is None
    assert len(list((output / "report" / "runs").iterdir())) == runs + 1
    usual = InfraSettings(review_likeness_below=1)
    assert review_again(read(usual, **SHARP), "render-manifest") is not None
    assert sorted(reported(output)) == ["gap", "reef", "still"]
    assert review_again(read(usual, **SHARP), "render-manifest") is None
    assert review_again(read(), "render-manifest") is not None
    assert reported(output) == []


def test_a_rerun_scores_anew_and_says_nothing_of_limits(output: Path, tmp_path: Path) -> None:
    assert rendered(tmp_path, output, review={"likeness_below": 1}) == 0
    was = {row["frame"]: row for row in table(output) if row["video_id"] == "reef"}
    job = rerun_job(RerunParameters.of(str(output), "reef", "2", "keep", 7, False, 0), InfraSettings())
    job.read()
    assert run(job, "rerun-frames") == 1
    now = {row["frame"]: row for row in table(output) if row["video_id"] == "reef"}
    assert [now[1][name] for name in SCORES] == [was[1][name] for name in SCORES]
    assert now[2]["sharpness"] != was[2]["sharpness"]
    assert now[2]["flicker"] is not None
    assert to_review(output)["reef"][0].startswith("fit")


def test_frames_of_earlier_releases_have_none_and_nothing_stumbles(output: Path, tmp_path: Path) -> None:
    for record in output.glob("*/segments/*.json"):
        document = json.loads(record.read_text())
        for frame in document["frames"]:
            for name in ("fit", "flicker", "sharpness", "luma"):
                frame.pop(name, None)
        record.write_text(json.dumps(document))
    assert rendered(tmp_path, output, **SHARP) == 0
    assert all(row["fit"] is row["flicker"] is row["sharpness"] is None for row in table(output))
    assert to_review(output) == {}
    assert "to review" not in (output / "report" / "index.html").read_text().split("<script>")[0].split("</style>")[1]

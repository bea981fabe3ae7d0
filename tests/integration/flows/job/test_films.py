"""Films in whole jobs: prepared when a row is planned, drawn over, and rendered again without the film."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flows.job.job import RenderJob
from manifests.schema import ManifestRow
from tests.helpers.films import film
from tests.helpers.music import convert
from tests.helpers.render_jobs import frame_files, frame_objects, quick_row, render, rerun, write_manifest
from tests.helpers.root import ROOT

FRAMES = 6


def folder_of(folder: Path, count: int, *, start: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    for number, picture in enumerate(film(count, 64, 64, start=start)):
        Image.fromarray(picture).save(folder / f"shot{number}.png")
    return folder


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    folder_of(tmp_path / "shots", FRAMES)
    source = tmp_path / "shots" / "shot%d.png"
    return convert(source, tmp_path / "movie.mkv", "-c:v", "ffv1", inputs=["-framerate", "12"])


def over(video: Path, name: str = "reef", *, mode: str = "flow", **columns: Any) -> ManifestRow:
    return quick_row(name, source={"video": str(video), "mode": mode}, zoom="1", angle="0", **columns)


def rendered(tmp_path: Path, *rows: ManifestRow, out: str = "out", **parameters: Any) -> RenderJob:
    manifest = write_manifest(tmp_path / "night.parquet", rows)
    job = render(manifest, str(tmp_path / out), **parameters)
    assert job.complete, [*job.refused, *(run.reason for run in job.runs.values())]
    return job


def test_a_film_is_restyled_both_ways_and_once_more_without_it(tmp_path: Path, movie: Path) -> None:
    job = rendered(tmp_path, over(movie, "flow"), over(movie, "each", mode="each"))
    for run in job.runs.values():
        assert (run.work.plan.frames, run.work.plan.row.fps) == (FRAMES, 12)
    before = frame_objects(str(tmp_path / "out"))
    movie.unlink()
    again = rerun(str(tmp_path / "out"), "each", "2")
    assert again.complete
    assert sum(run.rendered for run in again.runs.values()) == 1  # no other hangs on it
    again = rerun(str(tmp_path / "out"), "flow", "4")
    assert again.complete
    assert frame_objects(str(tmp_path / "out")) == before  # the same pictures, to the last byte


def test_what_shares_a_frame_of_the_film_is_not_rendered_again(tmp_path: Path, movie: Path) -> None:
    rendered(tmp_path, over(movie))
    shorter = convert(movie, tmp_path / "shorter.mkv", "-c:v", "ffv1", "-frames:v", "4")
    job = rendered(tmp_path, over(shorter), force=True)
    assert sum(run.rendered for run in job.runs.values()) == 0  # other bytes, the same pixels
    assert len(frame_files(str(tmp_path / "out"), "reef")) == FRAMES


def test_frames_follow_the_films_own_pictures(tmp_path: Path, movie: Path) -> None:
    rendered(tmp_path, over(movie, mode="each", steps=1))
    for index, picture in enumerate(film(FRAMES, 64, 64)):
        with Image.open(frame_files(str(tmp_path / "out"), "reef")[index]) as image:
            shown = np.asarray(image.convert("RGB")).astype(float)
        small = np.asarray(Image.fromarray(picture).resize(image.size, Image.Resampling.LANCZOS)).astype(float)
        assert np.corrcoef(shown.ravel(), small.ravel())[0, 1] > 0.5


def test_into_a_bucket_as_into_a_folder(tmp_path: Path, movie: Path, s3_root: str) -> None:
    rows = [over(movie, "flow"), over(movie, "each", mode="each")]
    rendered(tmp_path, *rows)
    job = render(write_manifest(tmp_path / "night.parquet", rows), s3_root, workers=2)
    assert job.complete, [*job.refused, *(run.reason for run in job.runs.values())]
    assert frame_objects(s3_root) == frame_objects(str(tmp_path / "out"))  # whoever rendered which of them


KILLED = """
import sys
from pathlib import Path
from tests.helpers.render_jobs import planned
planned(sys.argv[1], sys.argv[2])
"""


def test_killed_while_the_film_is_prepared_it_goes_on(tmp_path: Path) -> None:
    shots = folder_of(tmp_path / "shots", 160)
    manifest = write_manifest(tmp_path / "night.parquet", [over(shots, mode="each", width=256, height=256, frames=160)])
    prepared = tmp_path / "out" / "reef" / "source"
    process = subprocess.Popen([sys.executable, "-c", KILLED, manifest, str(tmp_path / "out")], cwd=ROOT)
    try:
        deadline = time.monotonic() + 240
        while len(list(prepared.glob("*.png"))) < 5:
            assert process.poll() is None, "it ended before it was killed"
            assert time.monotonic() < deadline
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    there = {path: path.stat().st_mtime_ns for path in prepared.glob("*.png")}
    assert 5 <= len(there) < 160
    assert not list(prepared.glob("*.json"))
    from tests.helpers.render_jobs import planned

    job = planned(manifest, str(tmp_path / "out"))
    (run,) = job.runs.values()
    assert run.work.plan.frames == 160
    found = run.work.plan.row.source.found
    assert found is not None
    names = {f"{index:06d}-{found.hash_of(index)}.png" for index in range(160)}
    assert {path.name for path in prepared.glob("*.png")} == names
    assert {path: path.stat().st_mtime_ns for path in there} == there  # none was put again
    for path in prepared.glob("*.png"):
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            image.load()


def test_a_row_whose_film_is_none_costs_that_row(tmp_path: Path, movie: Path) -> None:
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(movie.read_bytes()[: movie.stat().st_size // 2])
    rows = [over(movie, "good"), over(cut, "bad"), over(movie, "long", frames=99)]
    job = render(write_manifest(tmp_path / "night.parquet", rows), str(tmp_path / "out"))
    assert job.runs["good"].done
    reasons = {row.video_id: reason for row, reason in job.refused}
    assert set(reasons) == {"bad", "long"}
    assert "source.video of video 'bad': " in reasons["bad"]
    assert f"has {FRAMES}" in reasons["long"]

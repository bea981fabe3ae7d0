"""An output that nightreel 0.1 left is gone on with: listed, kept, and rendered again only where asked or changed.

`output_of_0_1` was rendered by 0.1 (commit c0f3db5) with the embedded pair: `story`, a chain of two scenes, whole, with
frame 2 taken again with seed 7 and the frames after it kept; `keys`, a video with keyframes, killed after its
keyframes; and `still`. Its frames have the addresses of algorithm 4, and its plans and re-runs are written as 0.1 wrote
them.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from flows.job.job import RenderJob
from flows.job.output_videos import stored_status
from flows.job.parameters import RenderParameters
from flows.job.storage_state import list_video, read_plan, read_retakes
from infra.settings import InfraSettings
from infra.storage.storage import Storage
from manifests.schema import ManifestRow
from renderers.frame_plan.addressing import ALGORITHM
from renderers.frame_plan.addressing_v4 import ALGORITHM as FORMER
from renderers.registry import Registry
from tests.helpers.render_jobs import frame_objects, planned, render, rerun, write_manifest

STORED = Path(__file__).with_name("output_of_0_1")
VIDEOS = ("keys", "still", "story")


@pytest.fixture
def output(tmp_path: Path) -> str:
    folder = tmp_path / "out"
    shutil.copytree(STORED, folder)
    # git keeps no times: of two plans the later one is that of the video that was published
    published = json.loads((folder / "story" / "provenance.json").read_text())["content"]
    for plan in (folder / "story" / "plans").glob("*.json"):
        later = json.loads(plan.read_text())["content"] == published
        os.utime(plan, (1_000_000_000 + later,) * 2)
    return str(folder)


def rows(output: str, **edits: dict[str, object]) -> list[ManifestRow]:
    """The rows by which the output was rendered, with `edits` of videos."""
    documents = [json.loads(next(Path(output, video, "plans").glob("*.json")).read_text())["row"] for video in VIDEOS]
    return [ManifestRow.model_validate(row | edits.get(row["video_id"], {})) for row in documents]


def manifest(tmp_path: Path, output: str, **edits: dict[str, object]) -> str:
    return write_manifest(tmp_path / "m.parquet", rows(output, **edits))


def missing(job: RenderJob) -> dict[str, list[int]]:
    return {video: [index for piece in run.work.ranges for index in piece.missing] for video, run in job.runs.items()}


def algorithms(job: RenderJob) -> set[int]:
    return {run.work.plan.algorithm for run in job.runs.values()}


def test_the_status_says_what_0_1_said(output: str) -> None:
    found = {status.video_id: status for status in stored_status(Storage(output), Registry())}
    assert {video: (it.state, it.frames, it.missing) for video, it in found.items()} == {
        "keys": ("missing", 10, (1, 3, 5, 7)), "still": ("done", 1, ()), "story": ("done", 6, ()),
    }  # fmt: skip


def test_a_render_goes_on_with_what_is_missing_and_touches_nothing_else(tmp_path: Path, output: str) -> None:
    source, before = manifest(tmp_path, output), frame_objects(output)
    job = planned(source, output, range_frames=3)
    assert missing(job) == {"keys": [1, 3, 5, 7], "still": [], "story": []}
    assert [run.work.complete for run in job.runs.values()] == [False, True, True]
    assert algorithms(job) == {FORMER}
    published = Path(output, "story", "video.mp4").read_bytes()
    done = render(source, output, range_frames=3)
    assert done.complete
    assert {video: run.rendered for video, run in done.runs.items()} == {"keys": 4, "still": 0, "story": 0}
    after = frame_objects(output)
    assert {key: after[key] for key in before} == before
    assert len(after) == len(before) + 4
    assert Path(output, "story", "video.mp4").read_bytes() == published
    # from then on everything is there, for whoever asks
    again = planned(source, output, range_frames=3)
    assert again.complete
    assert {status.state for status in stored_status(Storage(output), Registry())} == {"done"}
    stored = read_plan(Storage(output), list_video(Storage(output), "keys"), "keys", Registry())
    assert stored is not None
    assert stored.plan.algorithm == FORMER


def test_the_names_that_0_1_gave_to_a_re_runs_decisions_are_read(output: str) -> None:
    storage = Storage(output)
    retakes = read_retakes(storage, list_video(storage, "story").objects, "story")
    assert [(it.frame, it.seed, bool(it.start_digest), it.target_digest) for it in retakes] == [
        (2, 7, False, None), (3, None, True, None),
    ]  # fmt: skip


def test_a_re_run_goes_on_from_those_of_0_1(tmp_path: Path, output: str) -> None:
    before = frame_objects(output)
    job = rerun(output, "story", "4", "keep", seed=9)
    assert job.complete
    assert job.runs["story"].rendered == 1
    after = frame_objects(output)
    assert {key: after[key] for key in before} == before
    # the row's own seed takes both back: all that is wanted was rendered before 0.1 was left
    back = rerun(output, "story", "2,4", "keep", seed=0)
    assert back.complete
    assert back.runs["story"].rendered == 0
    assert planned(manifest(tmp_path, output), output, range_frames=3).runs["story"].work.complete


def test_a_prompt_edited_at_a_later_scene_renders_from_there(tmp_path: Path, output: str) -> None:
    edited = manifest(tmp_path, output, story={"prompt": "0: a red apple | 4: a blue car"})
    job = planned(edited, output, range_frames=3, force=True)
    assert missing(job)["story"] == [4, 5]
    done = render(edited, output, range_frames=3, force=True)
    assert done.runs["story"].rendered == 2
    assert done.complete


def test_a_longer_video_keeps_its_frames(tmp_path: Path, output: str) -> None:
    job = planned(manifest(tmp_path, output, story={"frames": 8}), output, range_frames=3, force=True)
    assert missing(job)["story"] == [6, 7]


def test_what_changed_from_its_first_frame_on_and_what_is_new_is_addressed_as_today(
    tmp_path: Path, output: str
) -> None:
    edited = rows(output, story={"seed": 3})
    new = edited[-1].model_copy(update={"video_id": "new"})
    source = write_manifest(tmp_path / "m.parquet", [*edited, new])
    job = RenderJob(RenderParameters(source, output, force=True, range_frames=3), InfraSettings())
    job.read(write=False)
    assert missing(job)["story"] == missing(job)["new"] == list(range(6))
    found = {video: run.work.plan.algorithm for video, run in job.runs.items()}
    assert found == {"keys": FORMER, "still": FORMER, "story": ALGORITHM, "new": ALGORITHM}

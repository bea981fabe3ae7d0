"""Videos that go on from a frame of another one, rendered with the embedded pair: story lines that branch."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from flows.job.dispatch import run_job
from flows.job.job import RenderJob
from flows.job.output_videos import stored_status
from flows.job.reruns import RerunParameters, rerun_job
from flows.retention.pruning import look
from infra.settings import InfraSettings
from infra.storage.layout import frame_key
from infra.storage.storage import Storage
from infra.workers.local_pool import LocalPool
from infra.workers.worker import Worker
from renderers.errors import BadInput
from renderers.frame_rendering.frame_object import FrameObject
from renderers.frame_rendering.renderer import FrameRequest
from renderers.frame_rendering.warp import frame_change
from renderers.registry import Registry
from tests.helpers.failing import looking
from tests.helpers.render_jobs import frame_objects, planned, quick_row, render, rerun, write_manifest

REEF = quick_row("reef", frames=6)
#: Two branches of one beginning, and one of a branch: four generations would be no other.
NIGHT = quick_row("night", "a green frog", frames=4, continues="reef@3", handoff="keyframes", keyframe_every=2)
DAY = quick_row("day", "a blue car", frames=3, continues="reef@3")
LATER = quick_row("later", "a red apple", frames=2, continues="night")
ROWS = [LATER, NIGHT, DAY, REEF]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Every frame of a beginning and its branches, by key."""
    folder = tmp_path_factory.mktemp("story")
    job = render(write_manifest(folder / "m.parquet", ROWS), str(folder / "out"), workers=2)
    assert job.complete
    return frame_objects(job.output)


def key(job: RenderJob, video: str, index: int) -> str:
    return frame_key(video, index, job.runs[video].work.frames[index].digest)


def state(output: str, video: str) -> tuple[str, int, str]:
    found = {it.video_id: it for it in stored_status(Storage(output), Registry())}[video]
    return found.state, found.done, found.reason


def test_a_branch_begins_where_its_parent_was(tmp_path: Path, rendered: dict[str, bytes]) -> None:
    pictures = {name.rsplit("-", 1)[0]: FrameObject.from_bytes(data).picture for name, data in rendered.items()}
    reef = pictures["reef/frames/000003"]
    manifest = write_manifest(tmp_path / "m.parquet", [DAY, quick_row("cold", "a blue car", frames=1), REEF])
    job = render(manifest, str(tmp_path / "out"))
    motion = job.runs["day"].work.frames[0].motion
    cold = FrameObject.from_bytes(job.output.read(key(job, "cold", 0))).picture
    ways = [frame_change(reef, other, motion) for other in (pictures["day/frames/000000"], cold)]
    assert ways[0] < 0.5 * ways[1], ways


def test_the_frames_are_the_same_bytes_however_they_come_about(tmp_path: Path, rendered: dict[str, bytes]) -> None:
    output = str(tmp_path / "out")
    assert render(write_manifest(tmp_path / "reef.parquet", [REEF]), output).complete
    one_by_one = [write_manifest(tmp_path / f"{row.video_id}.parquet", [row]) for row in (NIGHT, LATER, DAY)]
    assert all(render(manifest, output).complete for manifest in one_by_one)
    assert frame_objects(output) == rendered
    again = render(write_manifest(tmp_path / "m.parquet", ROWS), output)
    assert (again.complete, again.progress().rendered) == (True, 0)


def test_one_that_was_broken_off_is_gone_on_with(tmp_path: Path, rendered: dict[str, bytes]) -> None:
    manifest, output = write_manifest(tmp_path / "m.parquet", ROWS), str(tmp_path / "out")
    job = render(manifest, output)
    for gone in (("reef", 5), ("night", 0), ("day", 1)):
        job.output.delete(key(job, *gone))
    again = render(manifest, output)
    assert again.complete
    assert frame_objects(output) == rendered


@pytest.mark.parametrize("after", ["re-render", "until-same"])
def test_another_take_of_the_beginning_renders_what_continues_it_anew(tmp_path: Path, after: str) -> None:
    manifest, output = write_manifest(tmp_path / "m.parquet", ROWS), str(tmp_path / "out")
    before = render(manifest, output)
    took = rerun(output, "reef", "3", after, seed=9)  # type: ignore[arg-type]
    assert took.complete
    assert set(took.runs) == {"reef", "night", "day", "later"}
    for name, run in took.runs.items():
        was = before.runs[name].work.frames
        changed = [a.digest != b.digest for a, b in zip(was, run.work.frames, strict=True)]
        assert changed[3 if name == "reef" else 0]
        assert changed[:3] == [False] * 3 or name != "reef"
        assert state(output, name)[0] == "done"
    again = render(manifest, output)
    assert (again.complete, again.progress().rendered) == (True, 0)
    # what comes after the frame from which they begin says nothing to them
    assert set(rerun(output, "reef", "4", "re-render", seed=5).runs) == {"reef"}


def test_a_rerun_that_keeps_what_follows_keeps_branches_too(tmp_path: Path) -> None:
    manifest, output = write_manifest(tmp_path / "m.parquet", ROWS), str(tmp_path / "out")
    before = render(manifest, output)
    took = rerun(output, "reef", "3", "keep", seed=9)
    assert (took.complete, set(took.runs), took.runs["reef"].rendered) == (True, {"reef"}, 1)
    again = render(manifest, output)
    assert (again.complete, again.progress().rendered) == (True, 0)
    assert again.runs["night"].work.plan.digests == before.runs["night"].work.plan.digests
    # that take is needed still: where the branch loses its first frame it is made of it
    now = datetime.now(UTC) + timedelta(seconds=1)
    time.sleep(0.01)
    frames = {it.key for it in look(again.output, Registry(), now, kinds=["frames"]).superfluous}
    assert key(before, "reef", 3) not in frames
    again.output.delete(key(again, "night", 0))
    assert render(manifest, output).complete


def test_what_continues_a_frame_that_failed_waits_and_says_for_what(tmp_path: Path) -> None:
    manifest, output = write_manifest(tmp_path / "m.parquet", ROWS), str(tmp_path / "out")

    def fails(request: FrameRequest) -> None:
        if (request.plan.video_id, request.frame.index) == ("reef", 2):
            raise BadInput("the test forbids it")

    job = render(manifest, output, make=looking(fails), workers=2)
    assert not job.complete
    assert state(output, "reef") == ("failed", 2, "the test forbids it")
    for name, parent in (("night", "3 of video 'reef'"), ("day", "3 of video 'reef'"), ("later", "3 of video 'night'")):
        found = state(output, name)
        assert found[:2] == ("failed", 0)
        assert found[2].startswith(f"it continues frame {parent}, which is not there")
    assert render(manifest, output).complete
    assert {state(output, row.video_id)[0] for row in ROWS} == {"done"}


def test_a_beginning_that_is_damaged_is_named_with_what_mends_it(tmp_path: Path) -> None:
    manifest, output = write_manifest(tmp_path / "m.parquet", ROWS), str(tmp_path / "out")
    job = render(write_manifest(tmp_path / "reef.parquet", [REEF]), output)
    job.output.put(key(job, "reef", 3), b"no picture", existing="replace")
    assert not render(manifest, output).complete
    status, done, reason = state(output, "day")
    assert (status, done) == ("failed", 0)
    assert "continues a frame that is damaged" in reason
    assert "--video reef --frames 3" in reason
    assert rerun(output, "reef", "3").complete
    assert render(manifest, output).complete
    assert np.asarray(FrameObject.from_bytes(job.output.read(key(job, "reef", 3))).picture).any()


def test_a_beginning_that_is_gone_is_named_with_what_puts_it_there(tmp_path: Path) -> None:
    output = str(tmp_path / "out")
    job = render(write_manifest(tmp_path / "m.parquet", [REEF, DAY]), output)
    job.output.delete(key(job, "reef", 3))
    assert not rerun(output, "day", "0", seed=5).complete
    status, _, reason = state(output, "day")
    assert status == "failed"
    assert "continues a frame that is not there" in reason
    assert "--video reef --frames 3" in reason
    assert rerun(output, "reef", "3").complete
    assert rerun(output, "day", "0", seed=5).complete


def decided(output: str, video: str, frames: str, seed: int) -> RenderJob:
    """A re-run as far as its plan: what it decided is in storage, and nothing else."""
    job = rerun_job(RerunParameters.of(output, video, frames, "re-render", seed, False, 0), InfraSettings())
    job.read()
    return job


def test_a_rerun_that_was_killed_is_gone_on_with_branches_and_all(tmp_path: Path) -> None:
    manifest, output = write_manifest(tmp_path / "m.parquet", ROWS), str(tmp_path / "out")
    assert render(manifest, output).complete
    decided(output, "reef", "3", 9)
    # one manifest after the other, too: what lies in the output is continued then
    parents = write_manifest(tmp_path / "parents.parquet", [REEF])
    branches = write_manifest(tmp_path / "branches.parquet", [LATER, NIGHT, DAY])
    assert render(parents, output).complete
    job = render(branches, output)
    assert not job.refused, job.refused
    assert job.complete
    assert {state(output, row.video_id)[0] for row in ROWS} == {"done"}
    # and where the branch itself was taken again since
    decided(output, "night", "1", 5)
    decided(output, "reef", "2", 4)
    assert render(manifest, output).complete


def test_another_row_of_the_beginning_still_asks(tmp_path: Path) -> None:
    manifest, output = write_manifest(tmp_path / "m.parquet", [REEF, DAY]), str(tmp_path / "out")
    assert render(manifest, output).complete
    decided(output, "reef", "3", 9)
    changed = REEF.model_copy(update={"seed": 5})
    other = write_manifest(tmp_path / "o.parquet", [changed, DAY])
    assert "give --force" in str(planned(other, output).refused)
    assert render(write_manifest(tmp_path / "r.parquet", [changed]), output, force=True).complete
    # nobody said of the branch that it may be replaced
    assert "give --force" in str(planned(write_manifest(tmp_path / "d.parquet", [DAY]), output).refused)


@pytest.mark.parametrize("order", ["parent first", "branch first", "branch waits"])
def test_re_runs_of_a_beginning_and_of_its_branch_at_once_leave_what_the_next_render_would(
    tmp_path: Path, order: str
) -> None:
    manifest, output = write_manifest(tmp_path / "m.parquet", [REEF, NIGHT, LATER]), str(tmp_path / "out")
    assert render(manifest, output).complete
    parent, branch = decided(output, "reef", "2", 9), decided(output, "night", "1", 5)
    ended = threading.Event()

    def waits(request: FrameRequest) -> None:
        assert order != "branch waits" or ended.wait(120)

    def run(job: RenderJob, make: Callable[..., Worker] = Worker) -> None:
        run_job(job, LocalPool(Storage(output), make=make))

    if order == "branch waits":  # with its plan in storage before the other's
        with ThreadPoolExecutor() as threads:
            both = threads.submit(run, branch, looking(waits))
            run(parent)
            ended.set()
            both.result()
    else:
        for job in (parent, branch) if order == "parent first" else (branch, parent):
            run(job)
    assert parent.complete
    assert branch.complete
    assert {state(output, name)[0] for name in ("reef", "night", "later")} == {"done"}
    again = planned(manifest, output)
    assert again.complete, "nothing is left to do"

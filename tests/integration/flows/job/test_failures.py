"""What goes wrong in one video stays there, is reported, and never stops the others."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from flows.job.dispatch import run_job
from flows.job.storage_state import list_video, read_failures
from infra.settings import InfraSettings
from infra.storage.storage import Storage
from infra.workers.local_pool import LocalPool
from infra.workers.pool import WorkerLost
from infra.workers.tasks import FrameReport, FrameTask, SegmentReport, SegmentTask
from infra.workers.worker import Worker
from manifests.results import ManifestError
from renderers.errors import NonFiniteLoss, OutOfMemory
from renderers.frame_rendering.frame_object import FrameObject
from renderers.frame_rendering.renderer import FrameRequest
from tests.helpers.failing import looking
from tests.helpers.render_jobs import frame_files, frame_objects, planned, quick_row, render, write_manifest

REEF = quick_row("reef", "a fish", frames=8)
APPLE = quick_row("apple")


def test_rows_that_cannot_be_rendered_are_reported_and_the_others_rendered(tmp_path: Path) -> None:
    picture = tmp_path / "start.png"
    Image.new("RGB", (50, 40), "teal").save(picture)
    (tmp_path / "text.png").write_text("no picture")
    cut_off = tmp_path / "cut-off.png"  # its head, which is all that a plan looks at, is whole
    Image.effect_noise((64, 64), 50).save(cut_off)
    cut_off.write_bytes(cut_off.read_bytes()[:-1000])
    rows = [
        quick_row("lost", init_image=str(tmp_path / "nowhere.png")),
        quick_row("odd", width=33),
        quick_row("strange", model="embeded"),
        quick_row("hasty", frames=2, format="gif", fps=60.0),
        quick_row("text", init_image=str(tmp_path / "text.png")),
        quick_row("cut-off", init_image=str(cut_off)),
        quick_row("start", init_image=str(picture)),
        APPLE,
    ]
    output = str(tmp_path / "out")

    job = render(write_manifest(tmp_path / "m.parquet", rows), output)
    job.record_refused()

    reasons = {row.video_id: reason for row, reason in job.refused}
    assert reasons.keys() == {"lost", "odd", "strange", "hasty", "text"}
    assert f"init_image '{tmp_path / 'nowhere.png'}' of video 'lost' does not exist" in reasons["lost"]
    assert "width 33 of video 'odd' is not a multiple of 4" in reasons["odd"]
    assert "did you mean 'embedded'" in reasons["strange"]
    assert "gif" in reasons["hasty"]
    assert "50 frames a second" in reasons["hasty"]
    assert {video for video, run in job.runs.items() if run.done} == {"start", "apple"}
    assert "text.png' is not a picture" in reasons["text"]
    assert "cut-off.png' is not a picture" in job.runs["cut-off"].reason
    assert len(job.runs["cut-off"].failures) == 1  # bad input is not tried again
    assert not job.complete
    assert job.frames_missing == (2 + 1 + 1 + 1 + 1 + 1, 9)
    storage = Storage(output)
    records = {video: read_failures(storage, list_video(storage, video), video) for video in (*reasons, "cut-off")}
    assert {video: [(r.kind, r.frame) for r in found] for video, found in records.items()} == {
        "lost": [("bad input", None)], "odd": [("bad input", None)], "strange": [("bad input", None)],
        "hasty": [("bad input", None)], "text": [("bad input", None)],
        "cut-off": [("bad input", 0)],
    }  # fmt: skip


def test_strict_renders_nothing_and_names_every_bad_row(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "m.parquet", [APPLE, quick_row("odd", width=33), quick_row("x", model="y")])
    with pytest.raises(ManifestError, match=r"width 33 of video 'odd'.*model 'y'"):
        planned(manifest, str(tmp_path / "out"), strict=True)


class _LostTwice(Worker):
    """A worker whose process is lost under two frames: once before the commit, once after it."""

    deaths = 0

    @classmethod
    def before(cls, request: FrameRequest) -> None:
        if request.frame.index == 2 and cls.deaths == 0:
            cls.deaths = 1
            raise WorkerLost("a worker was lost")

    def commit(self, task: FrameTask) -> FrameReport:
        report = super().commit(task)
        if task.frame.index == 4 and type(self).deaths == 1:
            type(self).deaths = 2
            raise WorkerLost(f"worker {self.name} was lost")
        return report


def test_a_lost_worker_costs_a_retry_and_no_frame(tmp_path: Path) -> None:
    output, manifest = str(tmp_path / "out"), write_manifest(tmp_path / "m.parquet", [REEF])
    _LostTwice.deaths = 0

    job = render(
        manifest, output, workers=2, make=looking(_LostTwice.before, _LostTwice), settings=InfraSettings(attempts=1)
    )

    run = job.runs["reef"]
    assert job.complete
    assert [(f.frame, f.attempt, f.kind) for f in run.failures] == [(2, 1, "infrastructure"), (4, 1, "infrastructure")]
    assert job.progress().failed == 0
    undisturbed = str(tmp_path / "undisturbed")
    render(manifest, undisturbed)
    assert frame_objects(output) == frame_objects(undisturbed)
    storage = Storage(output)
    assert read_failures(storage, list_video(storage, "reef"), "reef") == tuple(run.failures)


def test_a_worker_that_is_lost_for_ever_ends_the_job_all_the_same(tmp_path: Path) -> None:
    def lost(request: FrameRequest) -> None:
        raise WorkerLost("gone again")

    manifest = write_manifest(tmp_path / "m.parquet", [REEF])

    job = render(manifest, str(tmp_path / "out"), make=looking(lost), settings=InfraSettings(lost_worker_attempts=2))

    assert [(f.frame, f.attempt) for f in job.runs["reef"].failures] == [(0, 1), (0, 2)]
    assert (job.runs["reef"].reason, job.frames_missing) == ("gone again", (8, 8))


def test_a_frame_that_always_fails_leaves_those_behind_it_waiting_and_other_videos_done(tmp_path: Path) -> None:
    asked: list[tuple[str, int]] = []

    def third_fails(request: FrameRequest) -> None:
        asked.append((request.plan.video_id, request.frame.index))
        if asked[-1] == ("reef", 3):
            raise RuntimeError("frame 3 can not be")

    rows = [REEF, APPLE, quick_row("boat", "a boat", frames=5)]
    output, manifest = str(tmp_path / "out"), write_manifest(tmp_path / "m.parquet", rows)
    settings = InfraSettings(attempts=2, chunk_seconds=0.5)
    job = planned(manifest, output, settings, range_frames=3)
    pool = LocalPool(Storage(output), make=looking(third_fails))

    chunks = run_job(job, pool).chunks

    assert len(chunks) > 2  # the failure is met again by the chunks behind it
    run = job.runs["reef"]
    assert [(f.frame, f.attempt, f.kind) for f in run.failures] == [(3, 1, "application"), (3, 2, "application")]
    assert [frame for video, frame in asked if video == "reef"] == [0, 1, 2, 3, 3]
    assert run.available == {0, 1, 2}
    assert (run.reason, run.ready_to_stitch) == ("frame 3 can not be", False)
    assert {video for video, run in job.runs.items() if run.done} == {"apple", "boat"}
    assert (job.frames_missing, job.progress().failed, job.complete) == ((5, 14), 1, False)

    # and once it is repaired, only what is missing is rendered
    repaired = render(manifest, output, range_frames=3)
    assert (repaired.complete, sorted(repaired.runs["reef"].reports)) == (True, [3, 4, 5, 6, 7])


def delicate(request: FrameRequest) -> None:
    """Frame 1 needs another seed, frame 2 fits only two cutouts at a time."""
    if request.frame.index == 1 and not request.reseeded:
        raise NonFiniteLoss("the loss became nan")
    if request.frame.index == 2 and (request.cutouts_at_once or 9) > 2:
        raise OutOfMemory("9 cutouts do not fit")


def test_another_seed_after_nan_and_fewer_cutouts_after_memory_ran_out(tmp_path: Path) -> None:
    row = quick_row("reef", "a fish", frames=4, cutouts={"number": 9})
    outputs = [str(tmp_path / name) for name in ("one", "two")]
    jobs = [
        render(
            write_manifest(tmp_path / "m.parquet", [row]),
            output,
            make=looking(delicate),
            settings=InfraSettings(attempts=1),
        )
        for output in outputs
    ]

    (run,) = jobs[0].runs.values()
    assert jobs[0].complete
    assert [(f.frame, f.kind) for f in run.failures] == [(1, "non-finite"), (2, "out of memory"), (2, "out of memory")]
    assert frame_objects(outputs[0]) == frame_objects(outputs[1])  # the other seed is the same every time
    frames = [FrameObject.from_bytes(path.read_bytes()) for path in frame_files(outputs[0], "reef")]
    assert ["seed" in frame.provenance for frame in frames] == [False, True, False, False]


def test_a_worker_that_fails_what_another_can_do_gets_no_more_work(tmp_path: Path) -> None:
    rows = [quick_row(f"still-{n}") for n in range(8)]
    settings = InfraSettings(worker_strikes=3, attempts=2, chunk_seconds=0.01)

    def broken(request: FrameRequest) -> None:
        raise RuntimeError("this machine is broken")

    makers = iter([looking(broken), Worker])  # the first worker fails what the second can do
    manifest, output = write_manifest(tmp_path / "m.parquet", rows), str(tmp_path / "out")
    make = lambda *given, **further: next(makers)(*given, **further)  # noqa: E731
    job = render(manifest, output, workers=2, make=make, settings=settings)

    assert job.complete
    failures = [f for run in job.runs.values() for f in run.failures]
    # those that it failed wait for the other one, and two more may fail until three have been done by the other
    assert 3 <= len(failures) <= 5
    assert all(failure.worker.endswith("/0") for failure in failures)


def test_a_job_past_its_failure_budget_begins_no_more_frames(tmp_path: Path) -> None:
    rows = [quick_row(f"still-{n}") for n in range(40)]
    settings = InfraSettings(attempts=1, failure_share=0.1)

    def never(request: FrameRequest) -> None:
        raise RuntimeError("no")

    job = render(
        write_manifest(tmp_path / "m.parquet", rows), str(tmp_path / "out"), make=looking(never), settings=settings
    )

    assert sum(len(run.failures) for run in job.runs.values()) == 21
    assert job.gave_up == ("21 frames failed for good, more than the 20 that NIGHTREEL_FAILURE_SHARE=0.1 allows")
    assert job.frames_missing == (40, 40)


class _FailsToEncodeOnce(Worker):
    failed = False

    def encode_segment(self, task: SegmentTask) -> SegmentReport:
        if not type(self).failed:
            type(self).failed = True
            raise OSError("no space left on device")
        return super().encode_segment(task)


def test_a_segment_that_failed_once_is_encoded_again(tmp_path: Path) -> None:
    _FailsToEncodeOnce.failed = False

    job = render(write_manifest(tmp_path / "m.parquet", [APPLE]), str(tmp_path / "out"), make=_FailsToEncodeOnce)

    assert job.complete
    assert [(f.frame, f.message) for f in job.runs["apple"].failures] == [(None, "no space left on device")]
    assert job.progress().failed == 0


def test_a_video_whose_folder_cannot_be_written_fails_alone_in_its_bundle(tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "boat").write_text("a file where the folder should be")
    rows = [quick_row("boat", "a boat"), APPLE]
    settings = InfraSettings(lost_worker_attempts=2)
    job = planned(write_manifest(tmp_path / "m.parquet", rows), str(output), settings)

    (chunk,) = run_job(job, LocalPool(Storage(str(output)))).chunks

    assert {part.video for part in chunk.parts} == {"boat", "apple"}
    assert {video: run.done for video, run in job.runs.items()} == {"boat": False, "apple": True}
    assert "boat" in job.runs["boat"].reason
    assert job.frames_missing == (1, 2)


def test_stop_ends_within_a_frame_and_leaves_whole_frames_only(tmp_path: Path) -> None:
    slow = quick_row("reef", "a fish", frames=8, steps=3000)  # a frame of minutes: it must end between two steps
    output, manifest = str(tmp_path / "out"), write_manifest(tmp_path / "m.parquet", [slow, APPLE])
    job = planned(manifest, output, range_frames=4)
    thread = threading.Thread(target=run_job, args=(job, LocalPool(Storage(output))))
    thread.start()
    deadline = time.monotonic() + 60
    while not (job.progress().workers and job.progress().workers[0].frame == 1):
        assert time.monotonic() < deadline, "frame 1 did not begin"
        time.sleep(0.01)

    stopped = time.monotonic()
    job.stop()
    thread.join(30)

    assert not thread.is_alive()
    assert time.monotonic() - stopped < 10
    (first,) = frame_files(output, "reef")
    FrameObject.from_bytes(first.read_bytes(), job.runs["reef"].work.frames[0].digest)
    assert [run.failures for run in job.runs.values()] == [[], []]  # stopping is no failure
    assert (job.runs["reef"].available, job.complete) == ({0}, False)


class _TakenAway(Worker):
    """A worker that a stop takes away with everything else, as a closed Ray pool does."""

    began = threading.Event()
    taken = threading.Event()

    @classmethod
    def before(cls, request: FrameRequest) -> None:
        cls.began.set()
        assert cls.taken.wait(30)
        raise WorkerLost("the pool was closed")

    def stop(self) -> None:
        super().stop()
        type(self).taken.set()


def test_workers_that_a_stop_takes_away_are_no_failures_of_their_frames(tmp_path: Path) -> None:
    output = str(tmp_path / "out")
    job = planned(write_manifest(tmp_path / "m.parquet", [REEF, APPLE]), output)
    thread = threading.Thread(
        target=run_job, args=(job, LocalPool(Storage(output), make=looking(_TakenAway.before, _TakenAway)))
    )
    thread.start()
    assert _TakenAway.began.wait(30)

    job.stop()
    thread.join(30)

    assert not thread.is_alive()
    assert [run.failures for run in job.runs.values()] == [[], []]
    assert not [info.key for info in Storage(output).list() if "/failures/" in info.key]

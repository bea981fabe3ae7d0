"""Re-running frames of one video: a source of work that begins with what lies in storage instead of a manifest."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from flows.job.continuations import continuing
from flows.job.job import RenderJob
from flows.job.meanwhile import left_open
from flows.job.output_videos import LATEST_RUNS, no_such_video
from flows.job.parameters import RenderParameters
from flows.job.sounds import require_sound
from flows.job.source import Comparison, JobPlan
from flows.job.state import VideoRun
from flows.job.storage_state import StoredPlan, VideoListing, list_video, read_plan, save_retakes
from flows.planning.remaining import VideoWork, plan_video
from flows.planning.retakes import After, Retaking, choose_frames, describe, keep_from, retake
from flows.runs.stored import stored_runs
from infra.settings import InfraSettings
from infra.storage.layout import frame_key, frames_present
from infra.storage.storage import (
    ReadingPolicy,
    SourceReader,
    Storage,
    StorageError,
    absolute_uri,
    folder_of_manifest,
)
from infra.workers.tasks import FrameReport
from manifests.schema import may_be_video
from manifests.schema.texts import short
from renderers.errors import BadInput
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering.chunks import MOST_BYTES, open_frame
from renderers.pictures.errors import PICTURE_ERRORS
from renderers.registry import Registry

__all__ = ["RerunParameters", "RerunSource", "rerun_job"]

# Beyond it two frames of a video, played one after the other, can't be distinguished (visually lossless).
SAME_PSNR = 40.0

# How often a re-run goes on with what others have left open: they do the same.
MOST_ROUNDS = 3


@dataclass(frozen=True)
class RerunParameters(RenderParameters):
    """What a user asks for: frames of a video in `output`; see the command's help."""

    video: str = ""
    frames: str = "failed"
    after: After = "re-render"
    seed: int | None = None
    dry_run: bool = False

    @classmethod
    def of(
        cls, output: str, video: str, frames: str, after: After, seed: int | None, dry_run: bool, priority: int
    ) -> RerunParameters:
        """Return the parameters of a form or a command line."""
        # the user names the video and says what is to become of it: no other word is needed to replace it
        title = f"frames {frames} of {video}"
        return cls(title, absolute_uri(output), False, True, None, priority, video, frames, after, seed, dry_run)


def rerun_job(parameters: RerunParameters, settings: InfraSettings) -> RenderJob:
    """Return a job that renders chosen frames of one video again, and publishes the video again."""
    return RenderJob(parameters, settings, RerunSource(parameters, settings))


@dataclass(frozen=True)
class _Decided:
    """What a re-run was decided to be: the plan `before` it, and what becomes of its frames."""

    before: VideoPlan
    retaking: Retaking


class RerunSource:
    """Chosen frames of one video that lies in storage."""

    def __init__(self, parameters: RerunParameters, settings: InfraSettings) -> None:
        self._asked, self._settings = parameters, settings
        self._registry = Registry(settings.models_folder)
        self._decided: _Decided | None = None
        self._ended = False  # of `until-same`: it is known what has become of all frames
        self._rounds = 0  # that it was looked what others have left open
        self.comparison: Comparison | None = None

    def folders(self, output: Storage) -> tuple[str, ...]:
        """Return the folders of the manifests that were rendered into `output`, as its runs say."""
        manifests = {run.record.manifest for run in stored_runs(output, latest=LATEST_RUNS)}
        # the others are titles of re-runs, or relative to the folder in which some process was started
        places = {manifest for manifest in manifests if "://" in manifest or manifest.startswith("/")}
        return tuple(sorted(map(folder_of_manifest, places)))

    def read(self, output: Storage, *, write: bool, reading: ReadingPolicy) -> JobPlan:
        """Plan the re-run. `write` False, or a dry run, promises to leave no trace. Pictures have their digests in the
        stored plan, and are read by workers only; that its sound is there still is looked at, since the video can't be
        stitched without.

        Raises:
            BadInput: there is no such video, it has no such frames, or its sound is gone.
            StorageError: the output can't be used.
        """
        asked = self._asked
        write = write and not asked.dry_run
        output.check(write=write)
        if not may_be_video(asked.video):  # its name is no key of storage, perhaps
            raise BadInput(no_such_video(output, asked.video))
        listing = list_video(output, asked.video)
        stored = read_plan(output, listing, asked.video, self._registry)
        if stored is None:
            raise BadInput(no_such_video(output, asked.video))
        plan = stored.plan
        _ = plan.frame_plans  # a job renders by these: before all that asks for digests alone
        present = frames_present(listing.objects, plan.digests)
        missing = set(range(plan.frames)) - present
        chosen = choose_frames(
            asked.frames, plan.frames, missing=missing, failed=_failed_frames(listing, plan, asked.video)
        )
        retaking = retake(plan, chosen, present, after=asked.after, seed=asked.seed)
        work = self._work(stored, listing, retaking, waiting=retaking.renewed)
        if not work.complete:  # what the stitch would lack is said before anything is rendered, or kept of it
            require_sound(
                output, plan.row, plan.images, SourceReader(reading),
                remedy=f"put it back, or let `nightreel remaster` put another under video '{asked.video}' first",
            )  # fmt: skip
        if write and retaking.retakes:
            save_retakes(output, asked.video, retaking.retakes)
        self._decided = _Decided(plan, retaking)
        run = VideoRun(work, retaking.renewed, retaking.skipped)
        if asked.after == "until-same":
            self.comparison = UntilSame(output, plan, first=max(chosen, default=0))
            return JobPlan({work.video_id: run})  # it is not known yet which of its frames will be others
        return self._with_continuations(output, run, write=write)

    def plan_again(self, output: Storage, plan: JobPlan) -> JobPlan | None:
        """Once frames no longer differ: keep the others as they were, and go on to encode and stitch; and to videos
        that continue those that do. At last what other re-runs have left open meanwhile (`left_open`)."""
        if self._asked.after == "until-same" and not self._ended:
            more = self._until_same(output, plan)
            if more is not None:
                return more
        return self._left_open(output, plan)

    def _left_open(self, output: Storage, plan: JobPlan) -> JobPlan | None:
        if self._rounds >= MOST_ROUNDS:
            return None
        self._rounds += 1
        keep, seconds = self._asked.after == "keep", self._settings.chunk_seconds
        works = left_open(output, self._asked.video, plan.runs, self._registry, keep=keep, chunk_seconds=seconds)
        runs = {work.video_id: VideoRun(work) for work in works}
        for video, run in runs.items():
            if video in plan.runs:
                run.continue_from(plan.runs[video])
        return replace(plan, runs={**plan.runs, **runs}) if runs else None

    def _until_same(self, output: Storage, plan: JobPlan) -> JobPlan | None:
        assert self._decided is not None
        run, self._ended = plan.runs[self._asked.video], True
        first = run.converged_at
        if first is None or first >= run.work.plan.frames:
            more = self._with_continuations(output, run, write=True)
            return more if len(more.runs) > 1 else None
        before, retaking = self._decided.before, self._decided.retaking
        video, again = self._asked.video, retaking.plan
        listing = list_video(output, video)
        stored = read_plan(output, listing, video, self._registry)
        assert stored is not None
        if self._asked.seed is not None:
            pin = keep_from(again, before, first)
            save_retakes(output, video, [pin])
            again = replace(again, retakes=(*again.retakes, pin))
        renewed = frozenset(frame for frame in retaking.renewed if frame < first)
        retaking = replace(retaking, plan=again, renewed=renewed)
        self._decided = _Decided(before, retaking)
        continued = VideoRun(
            self._work(stored, listing, retaking, waiting=frozenset()), retaking.renewed, retaking.skipped
        )
        continued.continue_from(run)
        return self._with_continuations(output, continued, write=True)

    def summary(self, plan: JobPlan) -> str:
        """Return a sentence for people: what will be rendered."""
        assert self._decided is not None
        run = plan.runs[self._asked.video]
        missing = {frame for frame_range in run.work.ranges for frame in frame_range.missing}
        said = f"video '{self._asked.video}': {describe(self._decided.retaking, missing)}"
        others = [video for video in plan.runs if video != self._asked.video]
        return said + (f"; anew what continues it: {short(', '.join(others), 200)}" if others else "")

    def _with_continuations(self, output: Storage, run: VideoRun, *, write: bool) -> JobPlan:
        """Return what is to do for a video and for those that continue frames of it that are others now. Those whose
        plans can't be read stay as they are, and are told of."""
        keep = self._asked.after == "keep"
        found = continuing(
            output, run.work, self._registry, keep=keep, write=write, chunk_seconds=self._settings.chunk_seconds
        )
        others = {work.video_id: VideoRun(work) for work in found.works}
        return JobPlan({run.work.video_id: run, **others}, damaged=found.damaged)

    def _work(
        self, stored: StoredPlan, listing: VideoListing, retaking: Retaking, *, waiting: frozenset[int]
    ) -> VideoWork:
        """Plan the video; of its renewed frames those `waiting` to be rendered once more count as missing."""
        plan = retaking.plan
        _ = plan.frame_plans
        return plan_video(
            plan,
            frames_present(listing.objects, plan.digests) - waiting,
            listing.objects.keys(),
            published_content=listing.content,
            chunk_seconds=self._settings.chunk_seconds,
            range_frames=stored.range_frames,
            stale=retaking.renewed,
        )


class UntilSame:
    """Compares each frame that is rendered, from frame `first` on, with the one of plan `before`: once one no longer
    differs, those after it need not be rendered."""

    def __init__(self, output: Storage, before: VideoPlan, first: int) -> None:
        self._output, self._before, self._first = output, before, first

    def __call__(self, run: VideoRun, index: int, render: Callable[[], FrameReport | None]) -> FrameReport | None:
        """Render a frame by `render`; see `flows.job.source.Comparison`."""
        if index < self._first or run.work.video_id != self._before.video_id:
            return render()
        # read now: it may lie under the very key that is about to be written
        was = self._picture(frame_key(self._before.video_id, index, self._before.digests[index]))
        report = render()
        if was is not None and report is not None:
            now = self._picture(frame_key(run.work.video_id, index, run.work.frames[index].digest))
            if now is not None and _psnr(was, now) >= SAME_PSNR:
                run.converge(index + 1)
        return report

    def _picture(self, key: str) -> np.ndarray | None:
        """Return the picture of a frame object, as floats in [0, 255]; None if there is none."""
        try:
            with open_frame(self._output.read(key, most=MOST_BYTES)) as image:
                return np.asarray(image.convert("RGB"), dtype=np.float32)
        except (StorageError, *PICTURE_ERRORS):
            return None  # gone or damaged: nothing to compare with


def _failed_frames(listing: VideoListing, plan: VideoPlan, video_id: str) -> set[int]:
    """Return the frames that have a record of failure under the digests of `plan`."""
    name = re.compile(re.escape(f"{video_id}/failures/") + r"(\d{6,})-([0-9a-f]{16})-")
    found = (name.match(key) for key in listing.objects)
    digests = plan.digests
    return {
        int(match[1])
        for match in found
        if match and int(match[1]) < len(digests) and digests[int(match[1])].startswith(match[2])
    }


def _psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Return the peak signal-to-noise ratio in dB of two pictures in [0, 255]; infinite where they are equal, 0 where
    their sizes differ."""
    if a.shape != b.shape:
        return 0.0
    error = float(np.mean((a - b) ** 2))
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))

"""Re-running frames of one video: a render job that begins with what lies in storage instead of a manifest."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, replace
from difflib import get_close_matches

import numpy as np
from PIL import Image

from flows.failures.attempts import Attempts, Failed, WorkerLease
from flows.failures.policy import Budget
from flows.job.job import RenderJob
from flows.job.planned import RenderParameters
from flows.job.state import VideoRun
from flows.job.storage_state import StoredPlan, VideoListing, list_video, read_plan, save_retakes
from flows.planning.remaining import VideoWork, plan_video
from flows.planning.retakes import After, Retaking, choose_frames, keep_from, retake, told
from infra.settings import InfraSettings
from infra.storage.layout import frame_key, frames_present
from infra.storage.storage import StorageError
from infra.workers.tasks import FrameReport
from renderers.errors import BadInput
from renderers.picture_errors import PICTURE_ERRORS
from renderers.plan.video_plan import VideoPlan

__all__ = ["RerunJob", "RerunParameters"]

# Beyond it two frames of a video, played one after the other, can't be told apart (visually lossless).
SAME_PSNR = 40.0


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
        """The parameters of a form or a command line."""
        # the user names the video and says what is to become of it: no other word is needed to replace it
        title = f"frames {frames} of {video}"
        return cls(title, output, False, True, None, priority, video, frames, after, seed, dry_run)


class RerunJob(RenderJob):
    """Renders chosen frames of one video again, and publishes the video anew."""

    def __init__(self, parameters: RerunParameters, settings: InfraSettings) -> None:
        super().__init__(parameters, settings)
        self.asked = parameters
        self.overlaps = parameters.after != "until-same"  # each frame decides whether there is a next
        self._before: VideoPlan | None = None
        self._retaking: Retaking | None = None

    def read(self, *, write: bool = True) -> None:
        """Plan the re-run. `write` False, or a dry run, promises to leave no trace.

        Raises:
            BadInput: there is no such video, or it has no such frames.
            StorageError: the output can't be used.
        """
        write = write and not self.asked.dry_run
        self.output.check(write=write)
        video = self.asked.video
        listing = list_video(self.output, video)
        stored = read_plan(self.output, listing, video, self.registry)
        if stored is None:
            raise BadInput(self._no_such_video())
        plan = stored.plan
        present = frames_present(listing.objects, plan.digests)
        missing = set(range(plan.frames)) - present
        chosen = choose_frames(
            self.asked.frames, plan.frames, missing=missing, failed=_failed_frames(listing, plan, video)
        )
        self._before, self._retaking = plan, retake(plan, chosen, present, after=self.asked.after, seed=self.asked.seed)
        if write and self._retaking.retakes:
            save_retakes(self.output, video, self._retaking.retakes)
        self._admit(self._planned(stored, listing, self._retaking.plan, self._retaking.renewed))

    def _planned(
        self, stored: StoredPlan, listing: VideoListing, plan: VideoPlan, renewed: frozenset[int],
        again: frozenset[int] | None = None,
    ) -> VideoWork:  # fmt: skip
        """`renewed` frames count as missing unless only those of `again` still wait for it."""
        present = frames_present(listing.objects, plan.digests) - (renewed if again is None else again)
        return plan_video(
            plan,
            present,
            listing.objects.keys(),
            published_content=listing.content,
            chunk_seconds=self.settings.chunk_seconds,
            range_frames=stored.range_frames,
            stale=renewed,
        )

    def _admit(self, work: VideoWork) -> None:
        assert self._retaking is not None
        run = VideoRun.of(work, self._retaking.renewed)
        run.skipped = self._retaking.skipped
        self.runs[work.video_id] = run
        self.budget = Budget(self.frames_missing[1], self.settings.failure_share)

    @property
    def told(self) -> str:
        """A sentence for people: what will be rendered."""
        assert self._retaking is not None
        (run,) = self.runs.values()
        missing = {frame for piece in run.work.ranges for frame in piece.missing}
        return f"video '{self.asked.video}': {told(self._retaking, missing)}"

    # -- until they no longer differ -----------------------------------------------------------------------------

    def _render_frame(
        self, attempts: Attempts, lease: WorkerLease, run: VideoRun, index: int, *, replace: bool = False,
        failed: Failed | None = None,
    ) -> FrameReport | None:  # fmt: skip
        assert self._retaking is not None
        watched = self.asked.after == "until-same" and index >= max(self._retaking.chosen, default=0) and not replace
        was = self._picture(index) if watched else None
        report = super()._render_frame(attempts, lease, run, index, replace=replace, failed=failed)
        if was is not None and report is not None:
            now = self._read(frame_key(run.work.video_id, index, run.work.frames[index].digest))
            if now is not None and _psnr(was, now) >= SAME_PSNR:
                run.settled = index + 1
        return report

    def _picture(self, index: int) -> np.ndarray | None:
        """The picture of a frame as it was before this re-run; None if there is none."""
        assert self._before is not None
        return self._read(frame_key(self._before.video_id, index, self._before.digests[index]))

    def _read(self, key: str) -> np.ndarray | None:
        try:
            with Image.open(io.BytesIO(self.output.read(key))) as image:
                return np.asarray(image.convert("RGB"), dtype=np.float32)
        except (StorageError, *PICTURE_ERRORS):
            return None  # gone or damaged: nothing to compare with

    def plan_again(self) -> bool:
        """Once frames no longer differ: keep the others as they were, and go on to encode and stitch."""
        (run,) = self.runs.values()
        over = run.settled is None or run.settled >= run.work.plan.frames
        if self.asked.after != "until-same" or over or self._stopped.is_set():
            return False
        assert self._before is not None
        assert self._retaking is not None
        assert run.settled is not None
        video, first, before = self.asked.video, run.settled, run
        plan = self._retaking.plan
        listing = list_video(self.output, video)
        stored = read_plan(self.output, listing, video, self.registry)
        assert stored is not None
        if self.asked.seed is not None:
            pin = keep_from(plan, self._before, first)
            save_retakes(self.output, video, [pin])
            plan = replace(plan, retakes=(*plan.retakes, pin))
        renewed = frozenset(frame for frame in self._retaking.renewed if frame < first)
        self._retaking = replace(self._retaking, plan=plan, renewed=renewed)
        self._admit(self._planned(stored, listing, plan, renewed, again=frozenset()))
        run = self.runs[video]
        run.reports, run.failures, run.rendered = before.reports, before.failures, before.rendered
        return True

    def _no_such_video(self) -> str:
        known = sorted({info.key.split("/", 1)[0] for info in self.output.list("") if "/plans/" in info.key})
        video, output = self.asked.video, self.asked.output
        if not known:
            return f"nothing was ever rendered into '{output}', so no frames of video '{video}' can be rendered again"
        near = get_close_matches(video, known, 3) or known[:5]
        names = ", ".join(f"'{name}'" for name in near)
        return f"there is no video '{video}' in '{output}': it has {len(known)}, such as {names}"


def _failed_frames(listing: VideoListing, plan: VideoPlan, video_id: str) -> set[int]:
    """Frames that have a record of failure under the digests of `plan`."""
    name = re.compile(re.escape(f"{video_id}/failures/") + r"(\d{6,})-([0-9a-f]{16})-")
    found = (name.match(key) for key in listing.objects)
    digests = plan.digests
    return {
        int(match[1])
        for match in found
        if match and int(match[1]) < len(digests) and digests[int(match[1])].startswith(match[2])
    }


def _psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of two pictures in [0, 255] of one size; infinite where they are equal."""
    if a.shape != b.shape:
        return 0.0
    error = float(np.mean((a - b) ** 2))
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))

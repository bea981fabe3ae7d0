"""Making a video again from its stored frames: a source of work that draws nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from flows.job.job import RenderJob
from flows.job.output_videos import no_such_video
from flows.job.parameters import RenderParameters
from flows.job.row_warnings import warnings_of_sound
from flows.job.sounds import Sounds, require_sound
from flows.job.source import JobPlan
from flows.job.state import VideoRun
from flows.job.storage_state import StoredPlan, list_video, read_plan, save_plan
from flows.planning.remaining import plan_video
from infra.settings import InfraSettings
from infra.storage.layout import frames_present
from infra.storage.storage import ReadingPolicy, SourceReader, Storage, absolute_uri
from manifests.checking import drop_unset, nest
from manifests.schema import ManifestRow, may_be_video
from manifests.schema.describe import wrong_in
from manifests.schema.finish import FinishSettings
from manifests.schema.texts import did_you_mean, plural, short
from renderers.errors import BadInput
from renderers.frame_plan.video_plan import VideoPlan
from renderers.registry import Registry
from renderers.registry.upscalers import upscaler_digest, upscaler_key

__all__ = ["FINISH", "RemasterSource", "Wish", "remaster_job"]

FINISH = (
    "format", "codec", "quality", "fps", "upscale", "audio", "audio_start", "audio_gain",
    *(f"finish.{name}" for name in FinishSettings.model_fields),
)  # fmt: skip
"""Columns of what is done with finished frames."""


@dataclass(frozen=True)
class Wish:
    """A column of `FINISH`, and what it is to be; None takes it away."""

    column: str
    value: Any


def remaster_job(output: str, video: str, wishes: Iterable[Wish], settings: InfraSettings) -> RenderJob:
    """Return a job that makes `video` again as `wishes` say, from the frames that lie in `output`."""
    # the user names the video and says what is to become of it: no other word is needed to replace it
    parameters = RenderParameters(f"remaster of {video}", absolute_uri(output), force=True)
    return RenderJob(parameters, settings, RemasterSource(video, tuple(wishes), settings))


class RemasterSource:
    """One video that lies in storage, its frames as they are."""

    comparison = None

    def __init__(self, video: str, wishes: tuple[Wish, ...], settings: InfraSettings) -> None:
        self._video, self._wishes, self._settings = video, wishes, settings
        self._registry = Registry(settings.models_folder)

    def folders(self, output: Storage) -> tuple[str, ...]:
        """Return none: its rows lie in the output."""
        return ()

    def read(self, output: Storage, *, write: bool, reading: ReadingPolicy) -> JobPlan:
        """Plan what is to be encoded and stitched.

        Raises:
            BadInput: there is no such video, frames of it are missing, or would be others; a wish can't be had; or its
                sound is not there any more, or another one.
            StorageError: the output can't be used.
        """
        _check(self._wishes)
        output.check(write=write)
        listing = list_video(output, self._video) if may_be_video(self._video) else None
        stored = None if listing is None else read_plan(output, listing, self._video, self._registry)
        if stored is None or listing is None:
            raise BadInput(no_such_video(output, self._video))
        plan = self._planned(stored, reading)
        missing = plan.frames - len(frames_present(listing.objects, stored.plan.digests))
        if missing:
            raise BadInput(
                f"video '{self._video}': {missing:,} of its {plural(plan.frames, 'frame')} are not there: render it "
                "first"
            )
        others = sum(a != b for a, b in zip(plan.digests, stored.plan.digests, strict=True))
        if others:
            asked = ", ".join(wish.column for wish in self._wishes)
            raise BadInput(
                f"with this {asked} {others:,} of the {plural(plan.frames, 'frame')} of video '{self._video}' would be "
                "others, since its schedules count in seconds or beats: change the manifest, and render it"
            )
        work = plan_video(
            plan, range(plan.frames), listing.objects.keys(), published_content=listing.content,
            chunk_seconds=self._settings.chunk_seconds, range_frames=stored.range_frames,
        )  # fmt: skip
        moved = plan.row.audio != stored.plan.row.audio
        if moved or not work.complete:  # the plan is stored before the stitch: what that would lack is said before both
            require_sound(
                output, plan.row, plan.images, SourceReader(reading),
                remedy="put it back, or name what is to be heard by --set audio=FILE (audio=null for none)",
            )  # fmt: skip
        if moved and work.complete and write:  # the same sound elsewhere: re-runs look for it there from now on
            save_plan(output, work)
        return JobPlan({self._video: VideoRun(work)}, warnings=warnings_of_sound(plan.row))

    def plan_again(self, output: Storage, plan: JobPlan) -> JobPlan | None:
        """Return None: nothing is drawn that could change the plan."""
        return None

    def summary(self, plan: JobPlan) -> str:
        """Return a sentence for people: what will be done."""
        (run,) = plan.runs.values()
        return f"video '{self._video}' from its {plural(run.work.plan.frames, 'frame')}"

    def _planned(self, stored: StoredPlan, reading: ReadingPolicy) -> VideoPlan:
        """The stored plan with all wishes."""
        plan, wishes = stored.plan, {wish.column: wish.value for wish in self._wishes}
        # as many frames as there are, whatever their rate
        given = {name: it for name, it in plan.row.model_dump(exclude_unset=True).items() if name != "seconds"}
        values = given | {"frames": plan.frames}
        # a codec or a level of the former format says nothing of another
        if wishes.get("format", plan.row.format) != plan.row.format:
            values = {name: it for name, it in values.items() if name not in ("codec", "quality")}
        asked = {name: absolute_uri(it) if name == "audio" and it else it for name, it in wishes.items()}
        values = nest({**values, **asked})
        row = self._valid(drop_unset(values))
        images = dict(plan.images)
        if "audio" in wishes:  # be it of the same name: the file may be another one by now
            images.pop(plan.row.audio or "", None)
            if row.audio is not None:
                # what its schedules heard of the former one is in its frames, and stays
                sha256, seconds = Sounds(SourceReader(reading)).file(row)
                images[row.audio] = sha256
                signals = (given.get("heard") or {}).get("signals")
                row = self._valid(row.model_dump(exclude_unset=True) | {
                    "heard": {"seconds": seconds, **({"signals": signals} if signals is not None else {})}
                })  # fmt: skip
        if "finish.upscaler" in wishes:
            images = {name: it for name, it in images.items() if not name.startswith(upscaler_key(""))}
            if row.finish.upscaler is not None:
                images[upscaler_key(row.finish.upscaler)] = upscaler_digest(self._registry, row.finish.upscaler)
        return VideoPlan.of(
            row, images, plan.retakes, entry=plan.entry, algorithm=plan.algorithm, parent=plan.parent
        )  # fmt: skip

    def _valid(self, values: Mapping[str, Any]) -> ManifestRow:
        try:
            return ManifestRow.model_validate(values)
        except ValidationError as error:
            raise BadInput(f"video '{self._video}' can't be made again like this: {wrong_in(error)}") from error


def _check(wishes: Iterable[Wish]) -> None:
    for wish in wishes:
        if wish.column not in FINISH:
            hint = did_you_mean(wish.column, FINISH)
            raise BadInput(
                f"'{short(wish.column)}' is none of what is done with finished frames: {', '.join(FINISH)}"
                + (f"; {hint}" if hint else "")
            )
        if wish.column == "audio" and not isinstance(wish.value, str | None):
            raise BadInput(
                f"audio is {short(str(wish.value))}, which is no text: name a file or an address; a name that looks "
                "like a number or a list needs quotes of its own, such as --set 'audio=\"1\"'"
            )

"""The work of a job that a manifest describes: its rows, planned against storage."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace

from flows.job.load_work import load_work, sized
from flows.job.parameters import RenderParameters
from flows.job.row_warnings import RowWarnings
from flows.job.source import JobPlan
from flows.job.stitching import would_overwrite
from flows.job.storage_state import save_plan
from flows.job.stored_documents import DocumentDamaged
from flows.job.video_runs import VideoRuns
from flows.planning.parts import Cut, CutInOrder, cut, cut_in_order
from flows.planning.remaining import VideoWork
from flows.report.wording import first_of
from infra.settings import InfraSettings
from infra.storage.layout import PROVENANCE, plan_key
from infra.storage.storage import PlaceForbidden, ReadingPolicy, Storage, folder_of_manifest, manifest_files
from manifests.errors import ErrorKind, NightreelError
from manifests.problems import Listed
from manifests.reading import count_rows, read_rows
from manifests.results import GoodRow, ManifestError
from manifests.schema import ManifestRow
from manifests.schema.texts import plural
from renderers.errors import BadInput
from renderers.registry import Registry

__all__ = ["ManifestSource"]


class ManifestSource:
    """The rows of a manifest."""

    comparison = None

    def __init__(self, parameters: RenderParameters, settings: InfraSettings) -> None:
        self._parameters, self._settings = parameters, settings

    def folders(self, output: Storage) -> tuple[str, ...]:
        """Return the manifest's folder."""
        return (folder_of_manifest(self._parameters.manifest),)

    def read(self, output: Storage, *, write: bool, reading: ReadingPolicy) -> JobPlan:
        """Read the manifest and plan every good row against storage.

        Raises:
            ManifestError: no row can be trusted, or a row is bad and the job is `strict`.
            StorageError: manifest or output can't be used.
        """
        output.check(write=write)
        plan = self._plan(output, reading, write=write)
        if self._parameters.strict and (plan.problems or plan.refused):
            reasons = [*plan.problems.lines(), *first_of(reason for _, reason in plan.refused)]
            raise ManifestError("not rendered, since --strict: " + "; ".join(reasons))
        return self._restore_plans(output, plan) if write else plan

    def cut(self, most: int, reading: ReadingPolicy) -> Cut | CutInOrder:
        """Cut the manifest into parts of at most `most` videos (flows/planning/parts.py); into none where it has no
        more rows than that, which its files' footers say.

        Raises what `read` raises.
        """
        files = list(manifest_files(self._parameters.manifest, reading))
        if count_rows(files) <= most:
            return Cut()

        def videos() -> Iterator[tuple[str, str | None]]:
            for result in read_rows(files):
                if isinstance(result, GoodRow):
                    row = result.row
                    yield row.video_id, None if row.continues is None or row.parent is None else row.parent.video_id

        return cut_in_order(videos(), most) or cut(videos(), most)

    def _part(self, reading: ReadingPolicy) -> tuple[Callable[[str], bool], int]:
        """Return which videos are this job's, and how many parts there are; 0 where it renders the whole manifest.

        Raises:
            BadInput: it is to render a part that there is not; or the manifest is replaced while it is read.
        """
        part, most = self._parameters.part, self._parameters.videos_per_run
        if part is None:
            return lambda _: True, 0
        if most is None:
            raise BadInput(
                f"part {part} of '{self._parameters.manifest}' is no part without videos_per_run, by which a manifest "
                "is cut: give both, or leave part empty"
            )
        made = self.cut(most, reading)
        if part > made.many:
            raise BadInput(
                f"'{self._parameters.manifest}' has no part {part}: cut into parts of {plural(most, 'video')} it has "
                f"{made.many}. Was it written anew after its parts had been begun? Then Retry the run that began them"
            )

        number = made.numbering()

        def is_ours(video_id: str) -> bool:
            mine = number(video_id)
            if mine is None:
                raise BadInput(
                    f"'{self._parameters.manifest}' was replaced while it was read (video '{video_id}' is new): Retry "
                    "the run that began the parts"
                )
            return mine == part

        return is_ours, made.many

    def plan_again(self, output: Storage, plan: JobPlan) -> JobPlan | None:
        """Return None: what was rendered does not change the plan."""
        return None

    def summary(self, plan: JobPlan) -> str:
        """Return a sentence for people: what will be rendered."""
        pending = [work for work in plan.works if not work.complete]
        frames = sum(work.missing for work in pending)
        return f"{plural(frames, 'frame')} to render in {len(pending)} of {plural(len(plan.runs), 'video')}"

    def _restore_plans(self, output: Storage, plan: JobPlan) -> JobPlan:
        """Put the plans of finished videos that have none, or a damaged one: nothing else of this job would. Where that
        can't be, it is said: the videos are as good as before."""
        refused: list[str] = []
        for work in plan.works:
            if work.complete and not work.plan_stored:
                try:
                    save_plan(output, work)
                except PlaceForbidden as error:
                    refused.append(f"the plan of video '{work.video_id}' can't be put: {error}")
        return replace(plan, damaged=(*plan.damaged, *refused))

    def _plan(self, output: Storage, reading: ReadingPolicy, *, write: bool) -> JobPlan:
        works: list[VideoWork] = []
        problems, unread = Listed(), dict[str, str]()
        refused: list[tuple[ManifestRow, str]] = []
        errors: dict[str, Exception] = {}
        places: dict[str, tuple[int, str]] = {}
        damaged: list[str] = []
        warnings = RowWarnings(Registry(self._settings.models_folder))
        is_ours, parts = self._part(reading)

        def good_rows() -> Iterator[GoodRow]:
            for result in read_rows(manifest_files(self._parameters.manifest, reading)):
                if isinstance(result, GoodRow):
                    if not is_ours(result.row.video_id):
                        continue
                    places[result.row.video_id] = (result.number, result.file)
                    warnings.look(result)
                    yield result
                else:
                    problems.add(result)
                    if result.video_id:
                        unread[result.video_id] = f"{result.unit} {result.row}, {result.file}"

        def clash_of(work: VideoWork) -> NightreelError | None:
            return None if self._parameters.force else would_overwrite(work)

        (folder,) = self.folders(output)
        for result in load_work(
            output,
            good_rows(),
            Registry(self._settings.models_folder),
            chunk_seconds=self._settings.chunk_seconds,
            range_frames=self._parameters.range_frames,
            reading=reading,
            folder=folder,
            most_frames=self._settings.planned_frames,
            refuses=clash_of,
            unread=unread,
            write=write,
            say=logging.getLogger("nightreel").info,
            judge=self._settings.review_judge,
        ):
            if isinstance(result, tuple):
                row, error = result
                reason = "{} (row {}, {})".format(error, *places[row.video_id])
                refused.append((row, reason))
                damaged += [reason] * isinstance(error, DocumentDamaged)
                if isinstance(error, NightreelError) and error.kind is not ErrorKind.BAD_INPUT:
                    errors[row.video_id] = error
                continue
            rewritten = {plan_key(result.video_id, result.content), f"{result.video_id}/{PROVENANCE}"} if write else ()
            damaged += [why for key, why in result.damaged if key not in rewritten]
            if (clash := clash_of(result)) is not None:
                refused.append((sized(result.plan.row), str(clash)))
                continue
            place = places.pop(result.video_id)
            if result.settings.audio is not None:
                warnings.look_at_plan(result.plan.row, *place)
            works.append(result)
        return JobPlan(
            VideoRuns(works), problems.problems, tuple(refused), errors, tuple(damaged), warnings.found, parts
        )

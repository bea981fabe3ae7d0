"""A job of which everything is there already, and whose limits of scores were moved: the frames are looked at anew, and
the report says what came of it."""

from __future__ import annotations

from contextlib import suppress

from flows.job.job import RenderJob
from flows.job.outcome import outcome
from flows.job.output_videos import stored_status, stored_wants
from flows.job.report_data import SUMMARY
from flows.job.report_keeper import Concluded, reporting
from flows.job.reviewing import limits_in, usual_limits
from flows.job.run_documents import RunIdentity, documenting
from flows.job.stored_documents import DAMAGE, MOST_BYTES, parse
from infra.storage.storage import StorageError
from renderers.registry import Registry

__all__ = ["review_again"]


def review_again(job: RenderJob, flow: str) -> Concluded | None:
    """Put the report anew, and a run's record with the limits of the job's rows, where either says something else than
    what lies in the output; None where nothing has changed. Storage that can't be read, or takes none of it, says so as
    of any run."""
    if not _changed(job):
        return None
    with documenting(job, RunIdentity(flow)) as documents, reporting(job, documents) as keeper:
        end = outcome(job)
        concluded = keeper.conclude(end.name, end.message)
        documents.end(end.name, end.message)
    return concluded


def _changed(job: RenderJob) -> bool:
    wants, usual = stored_wants(job.output), usual_limits(job.settings)
    given = {work.video_id: limits_in(work.settings) for work in job.works}
    if any(limits != wants.reviews.get(video, {}) for video, limits in given.items()):
        return True
    said = _said(job)
    if not (usual or said or any(given.values())):
        return False  # nobody asks for a review: nothing is read
    registry = Registry(job.settings.models_folder)
    return said != {it.video_id: it.review for it in stored_status(job.output, registry, wants, usual) if it.review}


def _said(job: RenderJob) -> dict[str, tuple[str, ...]]:
    """The videos to review and the reasons, as the report has them."""
    with suppress(StorageError, *DAMAGE):
        told = parse(job.output.read(SUMMARY, most=MOST_BYTES)).get("review", ())
        return {it["video_id"]: tuple(it["reasons"]) for it in told}
    return {}

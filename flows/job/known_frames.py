"""What is known of a video's frames that lie in storage: from the run that rendered them, or from the records beside
the segments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

from flows.job.stored_documents import DAMAGE, MOST_BYTES, parse
from flows.planning.remaining import RangeWork, VideoWork
from flows.report.review import SCORES
from flows.report.series import Series
from infra.storage.storage import Storage, StorageError
from infra.workers.tasks import FrameReport

__all__ = ["known_frames", "series_of_scores"]

_NUMBERS = ("loss", "seconds", "total_seconds", "change", "luma", *SCORES)


def known_frames(
    output: Storage, work: VideoWork, reports: dict[int, FrameReport], threads: ThreadPoolExecutor
) -> list[FrameReport]:
    """Return what is known of a video's frames, in order: `reports` of this run, and for the others the records that
    lie beside the segments."""
    return sorted(_known_frames(output, work, reports, threads), key=lambda report: report.frame)


def series_of_scores(known: Iterable[FrameReport]) -> dict[str, Series]:
    """Return those scores that frames have, each as a series."""
    found = {name: Series((it.frame, getattr(it, name)) for it in known if getattr(it, name) is not None)
             for name in SCORES}  # fmt: skip
    return {name: series for name, series in found.items() if len(series)}


def _known_frames(
    output: Storage, work: VideoWork, reports: dict[int, FrameReport], threads: ThreadPoolExecutor
) -> Iterator[FrameReport]:
    known, after = dict(reports), dict[int, float | None]()
    others = [it for it in work.ranges if not all(index in reports for index in range(it.start, it.stop))]

    def read(frame_range: RangeWork) -> bytes | None:
        try:
            return output.read(frame_range.segment.removesuffix(".seg") + ".json", most=MOST_BYTES)
        except StorageError:
            return None  # the range was never finished; or storage does not answer: a report tells what it can

    for frame_range, data in zip(others, threads.map(read, others), strict=True):
        if data is None:
            continue
        with suppress(*DAMAGE):  # what a damaged record knew is not known
            record = parse(data)
            last = record.get("change_after")
            found = [_frame_report(frame) for frame in record["frames"]]
            after[frame_range.stop] = None if last is None else float(last)
            for one in found:
                known.setdefault(one.frame, one)
    for report in known.values():
        # a range that was encoded before the one before it could not know its first frame's change; that one does
        change = after.get(report.frame) if report.frame else after.get(work.plan.frames)
        if report.change is None and change is not None:
            report = replace(report, change=change)
        # a frame that is scored and starts from another than the one before it, as keyframes do
        if report.sharpness is not None and report.flicker is None and report.change is not None:
            report = replace(report, flicker=report.change)
        yield report


def _frame_report(document: Any) -> FrameReport:
    """What a segment's record says of a frame; raises any of DAMAGE."""
    report = FrameReport(**{**document, "losses": tuple(map(float, document["losses"]))})
    numbers = [getattr(report, name) for name in _NUMBERS]
    if not all(value is None or isinstance(value, int | float) for value in numbers):
        raise TypeError("a number that is none")
    if type(report.frame) is not int or not isinstance(report.worker, str) or not isinstance(report.judge, str | None):
        raise TypeError("a frame, a worker or a judge that is none")
    return report

"""Looking through an output for what nothing needs any more, and removing it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial

from flows.job.output_videos import current_failures, work_of
from flows.job.storage_state import VideoListing, list_video, read_plans_that_count
from flows.retention.superfluous import KINDS, Kind, Superfluous, superfluous_of_video, superfluous_runs
from flows.runs.stored import StoredRun, run_documents, stored_runs
from infra.storage.layout import continuations
from infra.storage.storage import PlaceForbidden, Storage, StorageError
from manifests.errors import NightreelError
from manifests.schema import may_be_video
from manifests.schema.texts import plural, short
from renderers.registry import Registry

__all__ = ["Found", "look", "remove"]

PARALLEL = 16  # requests wait on the network, not on the processor


@dataclass(frozen=True)
class Found:
    """What can go, and what was passed over: the name of a video or run, and why it was."""

    superfluous: tuple[Superfluous, ...]
    passed_over: tuple[tuple[str, str], ...]


def look(
    output: Storage, registry: Registry, before: datetime, *, kinds: Collection[Kind] = KINDS,
    now: datetime | None = None,
) -> Found:  # fmt: skip
    """Find what nothing needs any more and was put `before` (UTC). Nothing of a video at which a run is at work, or
    whose plan can't be read, and nothing that is not ours: no link, and nothing that lies behind one.

    Raises:
        StorageError: the output can't be listed or read.
    """
    now = now or datetime.now(UTC)
    damaged: list[str] = []
    runs = stored_runs(output, tell=damaged.append)
    at_work = {video.video_id for run in runs if run.alive(now) for video in run.record.videos}
    one = partial(_video, output, registry, before, at_work)
    found: list[Superfluous] = []
    passed_over = [("a run", reason) for reason in sorted(damaged)]
    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="prune") as threads:
        for video_id, objects, reason in threads.map(one, output.folders()):
            found += objects
            passed_over += [(video_id, reason)] if reason else []
    if "runs" in kinds:
        own, linked = _own(output, list(_runs(output, runs, before, now)))
        found += own
        passed_over += [("a run", linked)] if linked else []
    return Found(tuple(it for it in found if it.kind in kinds), tuple(passed_over))


def remove(output: Storage, superfluous: Sequence[Superfluous], removed: Callable[[Superfluous], None]) -> None:
    """Delete the objects; `removed` hears of each, in the caller's thread.

    Raises:
        StorageError: storage refuses. What was deleted before is gone; a second look finds the rest.
    """

    def one(it: Superfluous) -> Superfluous:
        output.delete(it.key, own=True)
        return it

    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="prune") as threads:
        for it in threads.map(one, superfluous):
            removed(it)


def _video(
    output: Storage, registry: Registry, before: datetime, at_work: Collection[str], video_id: str
) -> tuple[str, list[Superfluous], str]:
    """What can go of a folder, or why it was not looked at; neither where it is the folder of something else."""
    if video_id in at_work:
        return video_id, [], "a run is at work on it"
    try:
        if output.is_link(video_id):
            ours = may_be_video(video_id) and next(output.list(video_id, ours=True), None) is not None
            return video_id, [], "it is a link, and what lies behind it is not deleted from here" if ours else ""
        listing = list_video(output, video_id)
        plans = read_plans_that_count(output, listing, video_id, registry)
        works = {stored.content: work_of(stored, listing) for stored in plans}
        continued = set(_continued(output, registry, video_id, listing)) if works else set()
    except PlaceForbidden as error:
        return video_id, [], str(error) if may_be_video(video_id) else ""
    except StorageError:
        raise
    except NightreelError as error:  # damaged, or of a model that is not known here
        return video_id, [], str(error)
    if not works:
        return video_id, [], ""
    standing = set(current_failures(listing.objects, next(iter(works.values())).plan))
    superfluous = superfluous_of_video(video_id, listing.objects, works, standing, before, continued)
    return video_id, *_own(output, list(superfluous))


def _continued(output: Storage, registry: Registry, video_id: str, listing: VideoListing) -> Iterator[str]:
    """The digests of a video's frames from which the plans of others begin. Raises what reading them raises: frames
    that may be needed stay."""
    for child in continuations(listing.objects, video_id):
        folder = list_video(output, child)
        for stored in read_plans_that_count(output, folder, child, registry):
            parent, first = stored.plan.parent, next(stored.plan.as_placed())
            if parent is not None and parent.video_id == video_id:
                yield from {parent.digest, first.start_digest or parent.digest}


def _own(output: Storage, superfluous: list[Superfluous]) -> tuple[list[Superfluous], str]:
    """Those that lie in the output itself, and what to say of the others: links lead to what may be anybody's."""
    is_link = cache(output.is_link)
    links = {}
    for it in superfluous:
        folders = [it.key[: found.start()] for found in re.finditer("/", it.key)]
        if link := next(filter(is_link, [*folders, it.key]), None):
            links[it.key] = link
    if not links:
        return superfluous, ""
    shown = short(sorted(set(links.values()))[0])
    reason = f"links such as '{shown}' lead to {plural(len(links), 'object')}, which can't be deleted from here"
    return [it for it in superfluous if it.key not in links], reason


def _runs(output: Storage, runs: Sequence[StoredRun], before: datetime, now: datetime) -> Iterator[Superfluous]:
    return superfluous_runs(runs, {info.key: info for info in run_documents(output)}, before, now)

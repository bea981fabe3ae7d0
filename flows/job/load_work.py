"""Planning the rows of a manifest against storage."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import NamedTuple, TypeAlias

from flows.job.films import Films
from flows.job.parents import Parents, in_generations
from flows.job.picture_digests import PictureDigests
from flows.job.preset_files import PresetFiles
from flows.job.seen_folders import SeenFolders
from flows.job.sounds import Sounds
from flows.job.storage_state import damaged_documents, list_video, read_plan, read_retakes
from flows.planning.remaining import VideoWork, plan_video
from flows.planning.stills import StillKind, StillWork
from flows.planning.stored_addresses import as_stored
from infra.storage.layout import plan_key
from infra.storage.storage import (
    PlaceForbidden,
    ReadingPolicy,
    SourceReader,
    Storage,
    StorageError,
    StorageUnavailable,
    input_address,
)
from infra.video.errors import VideoError
from manifests.errors import NightreelError
from manifests.results import GoodRow
from manifests.schema import ManifestRow, addresses_of, with_addresses
from manifests.schema.alike import Alike
from manifests.schema.presets import is_file
from manifests.schema.texts import plural
from renderers.errors import BadInput, RenderError, UnknownModel
from renderers.frame_plan.picture_shapes import shaped
from renderers.frame_plan.resolution import resolve
from renderers.frame_plan.video_plan import VideoPlan
from renderers.registry import DigestsRemembered, ModelEntry, Registry, judges_of
from renderers.registry.upscalers import upscaler_digest, upscaler_key

__all__ = ["load_work", "sized"]

Planned: TypeAlias = VideoWork | tuple[ManifestRow, NightreelError]

# Listings wait on the network, not on the processor.
PARALLEL_LISTINGS = 16
MOST_KINDS = 1000  # of stills that are remembered
AT_ONCE = 64  # rows that are read ahead of the one whose listing is waited for


def load_work(
    output: Storage, rows: Iterable[ManifestRow | GoodRow], registry: Registry, *, chunk_seconds: float,
    range_frames: int | None, reading: ReadingPolicy | None = None, folder: str | None = None,
    most_frames: int | None = None, refuses: Callable[[VideoWork], NightreelError | None] = lambda _: None,
    unread: Mapping[str, str] | None = None, judge: str | None = None, write: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[Planned]:  # fmt: skip
    """Plan every row against storage, in order, those that continue others after these; what rows name is read as
    `reading` allows, from the manifest's `folder` where that is meant (`input_address`). A row that can't be planned
    (its picture is missing, its model unknown, its size odd, its rate beyond the format, its folder closed to this
    account, or it brings all rows together beyond `most_frames`) comes with its error instead; the storage's own
    failure is raised. Rows that continue others are refused where those `refuses` says something, or `unread` has them
    (see `Parents`). `judge` is the `review.judge` of rows that have none. Films that rows are drawn over are prepared
    in the output, but looked through only where nothing is to be left there (not `write`); `say` hears of each.

    Stills whose rows are known to be alike (a GoodRow says so) are resolved together, and those of which nothing lies
    in storage planned when somebody asks (flows/planning/stills.py)."""
    digests = DigestsRemembered()
    # one look at the registry, and at a model's files, for all rows
    entries = cache(lambda name: digests.of(registry.entry(name)))
    reader = SourceReader(reading)
    pictures, presets, sounds = PictureDigests(reader), PresetFiles(reader, folder), Sounds(reader)
    films = Films(reader, output, write=write, most_frames=most_frames, say=say)

    def stored(video_id: str) -> tuple[VideoPlan, Iterable[str]] | None:
        listing = list_video(output, video_id)
        found = read_plan(output, listing, video_id, registry)
        return None if found is None else (found.plan, listing.objects)

    parents = Parents(stored, refuses, unread)

    def one(row: ManifestRow, still: StillWork | None = None) -> Planned:
        if still is not None:
            return against_storage(row, lambda: still.plan)
        # absolute: a worker may run in another folder
        row = with_addresses(row, lambda address: input_address(address, folder, reading))
        try:
            row = presets.filled(row)
            images = dict(pictures.of(row))
            if row.size_from != "row":
                row = shaped(row, entries(row.model), pictures.size(row))
            if row.mask is not None or row.regions:
                entry = entries(row.model)
                pictures.check_masks(resolve(row, entry), entry.downsampling)
            if row.source.video is not None:
                row, digests = films.found(resolve(row, entries(row.model)))
                images |= digests
            if row.audio is not None:
                if row.length_of_audio:
                    raise BadInput(_of_unknown_length(row))
                row, digests = sounds.heard(resolve(row, entries(row.model)))
                images |= digests
            if (upscaler := row.finish.upscaler) is not None:
                images[upscaler_key(upscaler)] = upscaler_digest(registry, upscaler)
        except (
            RenderError,
            VideoError,
            StorageUnavailable,
        ) as error:  # of a file's server; the output's own ends the job
            return row, error

        def resolved() -> VideoPlan:
            plan = _judged(VideoPlan.of(row, images, entry=entries(row.model)), judge, entries)
            return replace(plan, parent=parents.of(plan))

        return against_storage(row, resolved)

    def against_storage(row: ManifestRow, resolved: Callable[[], VideoPlan]) -> Planned:
        try:
            plan = resolved()
            listing = list_video(output, row.video_id)
            plan = replace(plan, retakes=read_retakes(output, listing.objects, row.video_id))
            _ = plan.frame_plans  # a job renders by these: before all that asks for digests alone
            plan, present = as_stored(plan, listing.objects)
            work = plan_video(
                plan,
                present,
                listing.objects.keys(),
                published_content=listing.content,
                chunk_seconds=chunk_seconds,
                range_frames=range_frames,
            )
            if plan.parent is not None and work.published_content not in (None, work.content):
                work = replace(work, parent_takes=parents.takes(plan))
            damaged = damaged_documents(output, listing, row.video_id)
            key = plan_key(work.video_id, work.content)
            return replace(
                work, damaged=damaged, plan_stored=key in listing.objects and key not in {it for it, _ in damaged}
            )
        except PlaceForbidden as error:  # somewhere in the video's folder: another account may have rendered it
            return row, error
        except StorageError:
            raise
        except NightreelError as error:
            with suppress(NightreelError):  # what its model decides, its size say, is known of a refused row as well
                row = sized(resolve(row, entries(row.model)))
            return row, error

    def kind_of(row: ManifestRow) -> StillKind | None:
        """What stills alike to `row` have in common; None for what is none, and where each says itself what is wrong
        with it."""
        if row.frames != 1 or next(addresses_of(row), None) is not None or (row.preset and is_file(row.preset)):
            return None
        try:
            upscaler = row.finish.upscaler
            images = {} if upscaler is None else {upscaler_key(upscaler): upscaler_digest(registry, upscaler)}
            plan = _judged(VideoPlan.of(row, images, entry=entries(row.model)), judge, entries)
            return StillKind(plan, chunk_seconds=chunk_seconds, range_frames=range_frames)
        except (NightreelError, ValueError):
            return None

    kinds, folders = dict[Alike, StillKind | None](), SeenFolders(output)

    def still_of(good: GoodRow) -> StillWork | None:
        """The work of a still as if nothing of it lay in storage; None for those of no kind."""
        if good.alike is None:
            return None
        if good.alike not in kinds:
            if len(kinds) >= MOST_KINDS:
                kinds.clear()
            kinds[good.alike] = kind_of(good.alike.row)
        kind, row = kinds[good.alike], good.row
        if kind is None or row.prompt is None:
            return None
        # one that the row leaves open may be its model's
        seed = row.seed if "seed" in row.model_fields_set else kind.plan.row.seed
        return StillWork(kind, row.video_id, row.prompt, seed)

    later: list[ManifestRow] = []

    frames = 0

    def beginning() -> Iterator[_Asked | Planned]:
        nonlocal frames
        for given in rows:
            row = given.row if isinstance(given, GoodRow) else given
            if most_frames is not None and frames + row.frames > most_frames:
                yield row, BadInput(_too_many(row, frames, most_frames))
                continue
            frames += row.frames
            if row.continues is not None:
                later.append(row)
                continue
            still = still_of(given) if isinstance(given, GoodRow) else None
            yield _Asked(row, still) if still is None or folders.may_hold(row.video_id) else still

    def planned(these: Iterable[_Asked | Planned]) -> Iterator[Planned]:
        for result in _in_order(one, these, threads):
            parents.add(result)
            yield result

    with digests, ThreadPoolExecutor(PARALLEL_LISTINGS, thread_name_prefix="listing") as threads:
        try:
            yield from planned(beginning())
            for generation in in_generations(later):
                yield from planned(_Asked(it) if isinstance(it, ManifestRow) else it for it in generation)
        finally:
            films.close()  # whoever is interrupted does not wait for a film


class _Asked(NamedTuple):
    """A row that storage is asked for; of a still of a kind, its work but for that."""

    row: ManifestRow
    still: StillWork | None = None


def _in_order(
    one: Callable[[ManifestRow, StillWork | None], Planned],
    these: Iterable[_Asked | Planned],
    threads: ThreadPoolExecutor,
) -> Iterator[Planned]:
    """Yield what is made of each of `these`, rows by `one` in `threads`, in their order and reading few of them ahead:
    there may be millions."""
    waiting = deque[Planned | Future[Planned]]()

    def first() -> Planned:
        result = waiting.popleft()
        return result.result() if isinstance(result, Future) else result

    try:
        for it in these:
            waiting.append(threads.submit(one, *it) if isinstance(it, _Asked) else it)
            while waiting and (len(waiting) > AT_ONCE or not isinstance(waiting[0], Future)):
                yield first()
        while waiting:
            yield first()
    finally:
        for result in waiting:
            if isinstance(result, Future):
                result.cancel()


def _judged(plan: VideoPlan, usual: str | None, entries: Callable[[str], ModelEntry]) -> VideoPlan:
    """`plan` with the usual judge where its row has none.

    Raises:
        BadInput: its judge is no model, or can't judge its model.
    """
    review, video = plan.row.review, plan.video_id
    name = review.judge or usual
    if name is None:
        return plan
    if review.judge is None:
        plan = replace(plan, row=plan.row.model_copy(update={"review": review.model_copy(update={"judge": name})}))
        where = "NIGHTREEL_REVIEW_JUDGE, the review.judge"
    else:
        where = "review.judge"
    try:
        judges_of(entries(name), plan.entry)
    except (BadInput, UnknownModel) as error:
        raise BadInput(f"{where} of video '{video}': {error}") from error
    return plan


def _too_many(row: ManifestRow, frames: int, most: int) -> str:
    return (
        f"video '{row.video_id}' has {plural(row.frames, 'frame')}, and the rows before it {frames:,}: a job plans up "
        f"to {most:,} (NIGHTREEL_PLANNED_FRAMES), each of which takes up to a kilobyte of memory; put it into another "
        "manifest"
    )


def _of_unknown_length(row: ManifestRow) -> str:
    return (
        f"video '{row.video_id}' is as long as its audio, which `nightreel manifest build` hears: build the manifest "
        "by it, or give a number of seconds or frames"
    )


def sized(row: ManifestRow) -> ManifestRow:
    """`row`, resolved, as if its author had given its size: it is known, be it the model's or the schema's."""
    return row.model_copy(update={"width": row.width, "height": row.height})

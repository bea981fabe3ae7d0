"""What storage says: the listing of an output IS the state of the job."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from flows.job.stored_documents import DocumentDamaged, read_document
from flows.planning.remaining import VideoWork
from flows.planning.retakes import retake_document, retake_of
from flows.retry_and_quarantine.records import FailureRecord
from infra.storage.layout import PROVENANCE, continuation_key, plan_key, retake_key
from infra.storage.storage import (
    ObjectInfo,
    ObjectMissing,
    Storage,
)
from manifests.errors import ErrorKind
from manifests.schema import ManifestRow, may_be_video
from manifests.schema.alike import AlikeRows
from renderers.frame_plan.documents import plan_document
from renderers.frame_plan.frame_plan import ParentFrame, Retake
from renderers.frame_plan.video_plan import VideoPlan
from renderers.registry import Registry

__all__ = [
    "StoredPlan",
    "VideoListing",
    "damaged_documents",
    "list_video",
    "planned_after",
    "read_failures",
    "read_plan",
    "read_plans_that_count",
    "read_retakes",
    "save_plan",
    "save_retakes",
]

# Plans of that release do not say how their frames are addressed.
ALGORITHM_OF_0_1 = 4

# Listings wait on the network, not on the processor.
PARALLEL_LISTINGS = 16


# An output may hold the plans of a million stills of a few settings.
_ROWS = AlikeRows()


@dataclass(frozen=True)
class VideoListing:
    """One video's folder: every object by its key, and its provenance if it was published. `damage`: why the provenance
    that lies there is none, and what to do."""

    objects: dict[str, ObjectInfo]
    provenance: dict[str, Any] | None
    damage: str = ""

    @property
    def content(self) -> str | None:
        """Content digest of the published video."""
        return self.provenance.get("content") if self.provenance else None


def list_video(output: Storage, video_id: str) -> VideoListing:
    """List one video's folder and read its provenance. Raises what the storage raises."""
    objects = {info.key: info for info in output.list(f"{video_id}/", ours=True)}
    key = f"{video_id}/{PROVENANCE}"
    provenance, damage = None, ""
    if key in objects:
        # a provenance that can't be read, or without its video, promises nothing: the stitch puts a new one
        try:
            document = read_document(output, key, _provenance, "the provenance", "render again, which writes a new one")
            provenance = document if f"{video_id}/{document['video']}" in objects else None
        except DocumentDamaged as error:
            damage = str(error)
        except ObjectMissing:
            pass  # it went since it was listed
    return VideoListing(objects, provenance, damage)


def _provenance(document: Any) -> dict[str, Any]:
    if not isinstance(document["video"], str) or not isinstance(document["content"], str):
        raise TypeError("it does not say which video it is of")
    return dict(document)


def save_plan(output: Storage, work: VideoWork) -> None:
    """Keep the plan beside the frames, so that `status` knows what was wanted without the manifest."""
    document = {
        "video_id": work.video_id,
        **plan_document(work.plan),
        "algorithm": work.plan.algorithm,
        "content": work.content,
        "range_frames": work.ranges[0].stop - work.ranges[0].start,
        # not the object's time of change: a copy of the output has others
        "planned": datetime.now(UTC).isoformat(),
        **({"parent": asdict(work.plan.parent)} if work.plan.parent is not None else {}),
    }
    if work.plan.parent is not None:
        # before the plan, so that whatever was planned is found by a re-run of what it begins from
        note = continuation_key(work.plan.parent.video_id, work.video_id)
        output.put(note, json.dumps({"frame": work.plan.parent.frame}).encode(), existing="replace")
    key = plan_key(work.video_id, work.content)
    output.put(key, json.dumps(document, sort_keys=True).encode(), existing="replace")


def read_failures(
    output: Storage, listing: VideoListing, video_id: str, *, keys: Iterable[str] | None = None
) -> tuple[FailureRecord, ...]:
    """The records of failed attempts, oldest first; those under `keys` where they are given."""
    keys = sorted(key for key in listing.objects if key.startswith(f"{video_id}/failures/")) if keys is None else keys
    return tuple(sorted((_failure(output, key, video_id) for key in keys), key=lambda record: str(record.when)))


def _failure(output: Storage, key: str, video_id: str) -> FailureRecord:
    """A record of failure; where it is damaged, one that says so: something has failed there."""
    try:
        return read_document(output, key, FailureRecord.of_document, "the record of a failure", "delete it")
    except DocumentDamaged as error:
        named = re.search(r"/failures/(\d{6,9})-", key)
        frame = int(named[1]) if named else None
        return FailureRecord(video_id, frame, 0, "", ErrorKind.CORRUPT, str(error), 0.0, "")


def read_retakes(output: Storage, keys: Iterable[str], video_id: str) -> tuple[Retake, ...]:
    """The decisions of all re-runs of a video whose folder holds `keys`, oldest first.

    Raises:
        BadInput: one is damaged.
    """
    documents = sorted(key for key in keys if key.startswith(f"{video_id}/retakes/"))
    return tuple(retake for key in documents for retake in _retakes_in(output, key))


def _retakes_in(output: Storage, key: str) -> list[Retake]:
    def retakes(document: Any) -> list[Retake]:
        return [retake_of(entry) for entry in document["retakes"]]

    return read_document(output, key, retakes, "what a re-run decided", "restore it, or delete it to render without it")


def save_retakes(output: Storage, video_id: str, retakes: Sequence[Retake]) -> None:
    """Keep what a re-run has decided, after all that was decided before."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    document = {"video_id": video_id, "retakes": [retake_document(retake) for retake in retakes]}
    output.put(retake_key(video_id, stamp), json.dumps(document, sort_keys=True).encode(), existing="replace")


@dataclass(frozen=True)
class StoredPlan:
    """The latest plan of a video as it lies in storage: with what it was cut by, and the digest of its content."""

    plan: VideoPlan
    range_frames: int
    content: str


def read_plan(output: Storage, listing: VideoListing, video_id: str, registry: Registry) -> StoredPlan | None:
    """The latest plan of a video, with the decisions of its re-runs; None if there is none.

    Raises:
        DocumentDamaged: one of the plans, or of these decisions, can't be read; of several plans any might be the
            latest.
        RenderError: it names a model that this installation does not know, or was made by a newer one.
    """
    found = _latest_plan(_plan_documents(output, listing, video_id), listing)
    if found is None:
        return None
    return _stored_plan(found, read_retakes(output, listing.objects, video_id), registry)


def read_plans_that_count(
    output: Storage, listing: VideoListing, video_id: str, registry: Registry
) -> tuple[StoredPlan, ...]:
    """The latest plan of a video, and after it the one that was published, if that is another; none if it has no plan.

    Raises:
        DocumentDamaged, RenderError: as `read_plan`.
    """
    documents = _plan_documents(output, listing, video_id)
    latest = _latest_plan(documents, listing)
    if latest is None:
        return ()
    published = [it for _, it in documents if it.content == listing.content != latest.content]
    retakes = read_retakes(output, listing.objects, video_id)
    return tuple(_stored_plan(it, retakes, registry) for it in (latest, *published))


def planned_after(output: Storage, listing: VideoListing, video_id: str) -> frozenset[str]:
    """The digests of the frames of another video after which a video was planned, by all its plans that lie there.

    Raises:
        DocumentDamaged: one of them can't be read.
    """
    plans = _plan_documents(output, listing, video_id)
    return frozenset(plan.parent.digest for _, plan in plans if plan.parent is not None)


def _stored_plan(found: _PlanDocument, retakes: tuple[Retake, ...], registry: Registry) -> StoredPlan:
    plan = VideoPlan.of(
        found.row,
        found.images,
        retakes,
        entry=registry.entry(found.row.model),
        algorithm=found.algorithm,
        parent=found.parent,
    )
    return StoredPlan(plan, found.range_frames, found.content)


@dataclass(frozen=True)
class _PlanDocument:
    """A plan as its object says it."""

    row: ManifestRow
    images: dict[str, str]
    algorithm: int
    content: str
    range_frames: int
    planned: str
    parent: ParentFrame | None = None

    @classmethod
    def of(cls, document: Any) -> _PlanDocument:
        """Read what `save_plan` put, in this version or in an earlier one; raises any of DAMAGE."""
        images, frames = document["images"], document["range_frames"]
        algorithm = document.get("algorithm", ALGORITHM_OF_0_1)
        if not all(isinstance(text, str) for pair in images.items() for text in pair):
            raise TypeError("its pictures are no texts")
        if type(frames) is not int or frames < 1 or type(algorithm) is not int or not 0 <= algorithm < 2**31:
            raise TypeError("its ranges or its algorithm are no numbers")
        row = _ROWS.row(document["row"])
        parent = None if row.parent is None else _parent(document["parent"])
        planned = str(document.get("planned", ""))
        return cls(row, images, algorithm, str(document["content"]), frames, planned, parent)


def _parent(document: Any) -> ParentFrame:
    parent = ParentFrame(document["video_id"], document["frame"], document["digest"])
    if not (
        may_be_video(parent.video_id) and type(parent.frame) is int and re.fullmatch("[0-9a-f]{64}", parent.digest)
    ):
        raise TypeError("it does not say which frame the video continues")
    return parent


def damaged_documents(output: Storage, listing: VideoListing, video_id: str) -> tuple[tuple[str, str], ...]:
    """Return the keys of a video's plans, and of its provenance, that can't be read, each with what is wrong and what
    to do. With one of them a video is not done, whoever looks: `status` and `plan` go by this."""
    found = [(key, str(plan)) for key, plan in _plans(output, listing, video_id) if isinstance(plan, DocumentDamaged)]
    return (*found, *([(f"{video_id}/{PROVENANCE}", listing.damage)] if listing.damage else []))


def _plans(
    output: Storage, listing: VideoListing, video_id: str
) -> Iterator[tuple[str, _PlanDocument | DocumentDamaged]]:
    """The plans of a video by their keys; of one that can't be read the reason."""
    remedy = "restore it, or delete it: the next render plans again"
    for key in sorted(key for key in listing.objects if key.startswith(f"{video_id}/plans/")):
        try:
            yield key, read_document(output, key, _PlanDocument.of, "a plan", remedy)
        except DocumentDamaged as error:
            yield key, error
        except ObjectMissing:
            pass  # it went since it was listed


def _plan_documents(output: Storage, listing: VideoListing, video_id: str) -> list[tuple[ObjectInfo, _PlanDocument]]:
    """The plans of a video as they lie there. Raises DocumentDamaged."""
    documents = []
    for key, document in _plans(output, listing, video_id):
        if isinstance(document, DocumentDamaged):
            raise document
        documents.append((listing.objects[key], document))
    return documents


def _latest_plan(documents: Sequence[tuple[ObjectInfo, _PlanDocument]], listing: VideoListing) -> _PlanDocument | None:
    """Of several plans the one that says of itself that it was made last. Those of 0.2 and before do not say when: they
    are older than all that do, and of two of them the published one is taken, then the one that was put last."""

    def order(plan: tuple[ObjectInfo, _PlanDocument]) -> tuple[str, bool, datetime]:
        info, document = plan
        return document.planned, not document.planned and document.content == listing.content, info.modified

    return max(documents, key=order)[1] if documents else None

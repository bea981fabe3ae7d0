"""Stitching: segments become one checked video, with a contact sheet and its provenance, each put at once.

The order of the puts is the promise: video, contact sheet, and the provenance last, so that a provenance in storage
means that the video is there and whole.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from flows.job.sounds import sound_bytes
from flows.job.stored_documents import MOST_BYTES
from flows.planning.remaining import VideoWork
from flows.planning.segment_tasks import segment_task
from infra.storage.layout import CONTACT_SHEET, PROVENANCE, video_key
from infra.storage.storage import ObjectConflict, SourceReader, Storage
from infra.video.contact_sheet import contact_sheet
from infra.video.encoding import Encoding
from infra.video.errors import VideoDefect
from infra.video.ffmpeg import decode, ffmpeg_version
from infra.video.finishing import Finishing
from infra.video.seal import read_seal
from infra.video.segments import join_segments
from infra.video.sound import Sound
from infra.workers.row_pictures import read_picture
from infra.workers.segments import put_segment
from renderers.errors import BadInput
from renderers.frame_plan.documents import plan_document
from renderers.registry import Registry

__all__ = ["Published", "VideoDiffers", "encode_damaged", "stitch", "would_overwrite"]

SHEET_CELLS = 24


class VideoDiffers(BadInput):
    """The output holds another video under this id; it is not overwritten without `--force`."""


@dataclass(frozen=True)
class Published:
    """A video in storage: its key and size, and whether its bytes were `new` or the very same lay there already."""

    key: str
    bytes: int
    sha256: str
    new: bool
    seconds: float


def would_overwrite(work: VideoWork) -> VideoDiffers | None:
    """The error that publishing `work` would end with, known before rendering starts."""
    if work.published_content is None or work.published or work.rerun_since:
        return None
    parent = work.plan.parent
    take = (
        f", or from another take of frame {parent.frame} of '{parent.video_id}', which it continues" if parent else ""
    )
    return VideoDiffers(
        f"the output holds another video '{work.video_id}', rendered from other settings{take}: "
        "give --force to replace it (its frames stay), another --output, or another video_id"
    )


def stitch(output: Storage, work: VideoWork, *, force: bool = False, sources: SourceReader | None = None) -> Published:
    """Join the segments of `work`, put its sound under it, which `sources` reads, check the result, and publish it.

    Raises:
        BadInput: its sound is not there any more, or another one than was heard.
        VideoDiffers: another video lies there and `force` is not given.
        ObjectMissing: a segment is not in storage.
        VideoError: a segment is damaged, or the result is not what it should be.
    """
    began = time.perf_counter()
    row = work.plan.row
    encoding = Encoding.of(row)
    suffix = encoding.file_type(row.frames).extension
    with tempfile.TemporaryDirectory(prefix="nightreel-stitch-") as folder:
        segments = []
        for frame_range in work.ranges:
            local = output.local_path(frame_range.segment)
            if local is None:
                local = Path(folder) / Path(frame_range.segment).name
                local.write_bytes(output.read(frame_range.segment))
            segments.append(local)
        target = Path(folder) / f"video.{suffix}"
        sound = _sound(output, work, Path(folder), sources or SourceReader())
        shown = Finishing.of(row).shown_of(0, row.frames)
        info = join_segments(segments, encoding, frames=len(shown), target=target, sound=sound)
        with target.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        size = target.stat().st_size
        sheet = _sheet(target, work)
        key = video_key(work.video_id, suffix)
        provenance = {
            "video": f"video.{suffix}",
            "content": work.content,
            "sha256": sha256,
            "bytes": size,
            "frames": info.frames,
            "duration_seconds": info.duration,
            "width": info.width,
            "height": info.height,
            "codec": info.codec,
            **({"sound_seconds": round(info.sound, 3)} if info.sound is not None else {}),
            "last_frame": work.frames[-1].digest,
            "segments": [frame_range.segment for frame_range in work.ranges],
            **plan_document(work.plan, heard=False),
            "model": {"name": work.plan.entry.name, "digest": work.plan.entry.digest},
            "software": {"nightreel": version("nightreel"), "ffmpeg": ffmpeg_version()},
        }
        try:
            outcome = output.put_file(key, target, existing="same")
        except ObjectConflict as error:
            if not (force or work.rerun_since):
                raise VideoDiffers(_why_differs(output, work, error)) from error
            # the old one must not vouch for the new video if this process dies before the last put
            output.delete(f"{work.video_id}/{PROVENANCE}")
            outcome = output.put_file(key, target, existing="replace")
    # derived from the video, so they follow it
    output.put(f"{work.video_id}/{CONTACT_SHEET}", sheet, existing="replace")
    document = json.dumps(provenance, indent=1, sort_keys=True).encode()
    output.put(f"{work.video_id}/{PROVENANCE}", document, existing="replace")
    return Published(key, size, sha256, outcome == "written", time.perf_counter() - began)


def _sound(output: Storage, work: VideoWork, folder: Path, sources: SourceReader) -> Sound | None:
    """The sound of a video as a file in `folder`; None if it has none."""
    row = work.plan.row
    if row.audio is None:
        return None
    heard = row.heard.seconds if row.heard is not None else 0.0
    path = folder / "sound"
    path.write_bytes(sound_bytes(output, row, work.plan.images, sources))
    return Sound(path, row.audio_start, row.audio_gain, heard)


def encode_damaged(output: Storage, work: VideoWork, registry: Registry, sources: SourceReader) -> None:
    """Encode again, in this process, the segments that are not what their seals say. Their frames are in storage;
    `sources` reads what is pasted into them.

    Raises:
        FrameCorrupt, ObjectMissing: a frame can't be read back.
    """
    for number, frame_range in enumerate(work.ranges):
        with tempfile.TemporaryDirectory(prefix="nightreel-stitch-") as folder:
            local = Path(folder) / Path(frame_range.segment).name
            local.write_bytes(output.read(frame_range.segment))
            try:
                read_seal(local)
            except VideoDefect:
                task = segment_task(work, number)

                def image(uri: str, digests: Mapping[str, str] = task.pasted) -> bytes:
                    return read_picture(output, work.video_id, uri, digests[uri], sources)

                put_segment(output, work.plan, task, {}, registry, image)


def _why_differs(output: Storage, work: VideoWork, error: Exception) -> str:
    """The output's video has other bytes although its frames are meant to be the same: say what differs."""
    try:
        before = json.loads(output.read(f"{work.video_id}/{PROVENANCE}", most=MOST_BYTES))
        before.get("software", {}).get("ffmpeg")
    except Exception:  # there may be none, or a broken one: the conflict itself is the news
        return f"'{work.video_id}' holds another video, without readable provenance ({error}): --force replaces it"
    reasons = []
    if before.get("content") != work.content:
        reasons.append("its settings or frames are others")
    if before.get("segments") != [frame_range.segment for frame_range in work.ranges]:
        reasons.append("it was cut into other segments (another --range-frames or NIGHTREEL_CHUNK_SECONDS)")
    encoder = before.get("software", {}).get("ffmpeg")
    if encoder != ffmpeg_version():
        reasons.append(f"it was encoded by ffmpeg {encoder}, here is {ffmpeg_version()}")
    why = "; ".join(reasons) or "the frames were rendered with other bits (another machine or version of torch)"
    return f"video '{work.video_id}' in the output has other bytes: {why}. Give --force to replace it"


def _sheet(video: Path, work: VideoWork) -> bytes:
    """Return a sheet of up to 24 frames evenly spread over the video, first and last among them."""
    count, finishing = work.plan.frames, Finishing.of(work.plan.row)
    cells = min(SHEET_CELLS, count)
    wanted = sorted({round(i * (count - 1) / max(1, cells - 1)) for i in range(cells)})
    # what is shown first while a drawn frame is
    drawn = {finishing.shown_of(index, index + 1).start: index for index in wanted}
    pictures, labels = [], []
    for shown, picture in enumerate(decode(video)):
        if shown in drawn:
            pictures.append(picture)
            labels.append(str(drawn[shown]))
    return contact_sheet(pictures, labels)

"""A finished video for the page's player: piece by piece, as a browser asks for it, straight from storage."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import HTTPException, Response
from fastapi.responses import StreamingResponse

from infra.storage.layout import PROVENANCE
from infra.storage.storage import Storage
from infra.video.encoding import FORMATS

__all__ = ["PIECE", "film"]

PIECE = 4 << 20
"""bytes that are in memory, and answered to who asks for more: a player asks again"""
_MOST = 64 << 20  # of a provenance
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_KINDS = {kind.extension: kind.mime_type for it in FORMATS.values() for kind in (it.file, it.sequence) if kind}


@dataclass(frozen=True)
class _Film:
    key: str
    size: int
    kind: str
    tag: str


def film(output: Storage, video_id: str, asked: str | None) -> Response:
    """Answer with a finished video, or the part of it that the header Range `asked` for.

    Raises:
        StorageError: there is none, or it can't be read.
    """
    found = _found(output, video_id)
    # a middleware that compresses what it can leaves alone what has an encoding: bytes of a range must be those
    headers = {
        "Content-Encoding": "identity",
        "Accept-Ranges": "bytes",
        "ETag": f'"{found.tag}"',
        "Cache-Control": "private, no-cache",
    }
    span = None if asked is None else _span(asked, found.size)
    if span is None:
        headers |= {"Content-Length": str(found.size)}
        return StreamingResponse(_pieces(output, found), media_type=found.kind, headers=headers)
    if not span:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{found.size}"})
    data = output.read_part(found.key, span.start, span.stop)
    headers |= {"Content-Range": f"bytes {span.start}-{span.start + len(data) - 1}/{found.size}"}
    return Response(data, 206, headers, found.kind)


def _found(output: Storage, video_id: str) -> _Film:
    said = output.read(f"{video_id}/{PROVENANCE}", most=_MOST)
    try:
        document = json.loads(said)
        name, size, sha256 = str(document["video"]), int(document["bytes"]), str(document["sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise HTTPException(404, "the video's provenance can't be read") from error
    kind = _KINDS.get(name.removeprefix("video."))
    if kind is None or size <= 0 or not re.fullmatch("[0-9a-f]{64}", sha256):
        raise HTTPException(404, "the video's provenance can't be read")
    return _Film(f"{video_id}/{name}", size, kind, sha256[:24])


def _span(asked: str, size: int) -> range | None:
    """The bytes that a header Range means, `PIECE` at most; empty where there are none such, None where the header says
    nothing that a server must heed (RFC 9110, 14.2)."""
    match = _RANGE.fullmatch(asked.strip()) if len(asked) < 100 else None
    if match is None or match[1] == match[2] == "":
        return None
    if match[1] == "":
        start, stop = max(0, size - int(match[2])), size
    else:
        start, stop = int(match[1]), min(size, int(match[2]) + 1) if match[2] else size
    return range(start, min(stop, start + PIECE))


def _pieces(output: Storage, found: _Film) -> Iterator[bytes]:
    for start in range(0, found.size, PIECE):
        yield output.read_part(found.key, start, min(start + PIECE, found.size))

"""What a picture's file is made of: pieces that cost time and memory however few pixels the picture has.

Pillow makes an object of every chunk, comment and segment, its libraries go over the whole picture for every scan and
ask for the memory of a whole tile. So the pieces are counted before Pillow sees the file, without decoding any. What is
damaged ends the counting: Pillow says so in its own words.
"""

from __future__ import annotations

import os
import re
import struct
from typing import IO

__all__ = ["MOST_PIECES", "MOST_SCANS", "check_pieces"]

#: Chunks of a PNG, segments of a JPEG, blocks of a GIF before its picture; real ones have some hundreds.
MOST_PIECES = 50_000
#: Of a JPEG: a progressive one has 10. Each takes 25 ms at 64 million pixels.
MOST_SCANS = 100
#: Offsets of strips or tiles: 64 million pixels in tiles of 16 x 16 have half of that.
MOST_NUMBERS = 500_000
#: Of one tile of a TIFF, all of which is unpacked for the least part of it.
MOST_TILE_PIXELS = 1 << 24

_PNG = b"\x89PNG\r\n\x1a\n"
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # in a scan: what is neither a byte 0xff of it nor a restart
_SECTION = 1 << 20
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_LONE = {0x01, *range(0xD0, 0xD8)}  # markers without a segment
_BYTES = (1, 2, 6, 7)  # types of TIFF of which no numbers are made
_TILE_WIDTH, _TILE_LENGTH = 322, 323


def check_pieces(file: IO[bytes]) -> int:
    """Count the pieces of the picture in `file`, which is left at its beginning.

    Returns: the scans of a JPEG that are counted until all colours have been in one; 1 for other kinds.

    Raises:
        ValueError: they are more, or larger, than those of any real picture.
    """
    file.seek(0)
    head = file.read(len(_PNG))
    scans = 1
    try:
        if head == _PNG:
            _chunks(file)
        elif head.startswith(b"GIF8"):
            _blocks(file)
        elif head.startswith(b"\xff\xd8"):
            scans = _scans(file)
        elif head[:2] in (b"II", b"MM"):
            _tags(file, head)
    except (struct.error, IndexError):
        pass  # it ends too early
    file.seek(0)
    return scans


def _count(count: int, what: str, most: int = MOST_PIECES) -> int:
    if count > most:
        raise ValueError(f"it has more than {most:,} {what}")
    return count


def _chunks(file: IO[bytes]) -> None:
    count = 0
    while len(head := file.read(8)) == 8 and head[4:] != b"IEND":
        count = _count(count + 1, "chunks")
        file.seek(int.from_bytes(head[:4], "big") + 4, os.SEEK_CUR)


def _blocks(file: IO[bytes]) -> None:
    """Go through the extensions of a GIF that come before its first picture."""
    file.seek(6)
    flags = file.read(7)[4]
    if flags & 0x80:
        file.seek(3 << (flags & 7) + 1, os.SEEK_CUR)
    count = 0
    while file.read(1) == b"!":
        file.seek(1, os.SEEK_CUR)
        while size := file.read(1)[0]:
            count = _count(count + 1, "blocks before its picture")
            file.seek(size, os.SEEK_CUR)
        count = _count(count + 1, "blocks before its picture")


def _scans(file: IO[bytes]) -> int:
    file.seek(2)
    count = scans = channels = 0
    progressive = False
    while (marker := _marker(file)) not in (None, _END):
        count = _count(count + 1, "segments", MOST_PIECES)
        if marker in _LONE or marker == _START:
            continue
        (length,) = struct.unpack(">H", file.read(2))
        segment = file.read(min(length - 2, 6)) if length > 2 else b""
        file.seek(max(0, length - 2 - len(segment)), os.SEEK_CUR)
        if marker in _FRAMES:
            channels, progressive = segment[5], marker in _PROGRESSIVE
        elif marker == _SCAN:
            scans = _count(scans + 1, "scans", MOST_SCANS)
            if not progressive and segment[0] >= channels:
                break  # nothing is read behind it
            _skip_scan(file)
    return scans


def _marker(file: IO[bytes]) -> int | None:
    if file.read(1) != b"\xff":
        return None
    for _ in range(MOST_PIECES):  # any number of them may stand before the code
        if (code := file.read(1)) != b"\xff":
            return code[0] if code else None
    return None


def _skip_scan(file: IO[bytes]) -> None:
    """Go on to the next marker."""
    before = b""
    while section := file.read(_SECTION):
        if found := _MARKER.search(before + section):
            file.seek(found.start() - len(before) - len(section), os.SEEK_CUR)
            return
        before = section[-1:]


def _tags(file: IO[bytes], head: bytes) -> None:
    """Look at the first directory of a TIFF (of a BigTIFF as well)."""
    order = "<" if head[:2] == b"II" else ">"
    big = head[2:4] in (b"+\0", b"\0+")
    file.seek(8 if big else 4)
    (place,) = struct.unpack(order + ("Q" if big else "I"), file.read(8 if big else 4))
    file.seek(place)
    (entries,) = struct.unpack(order + ("Q" if big else "H"), file.read(8 if big else 2))
    entry = struct.Struct(order + ("HHQ8s" if big else "HHI4s"))
    sides = {_TILE_WIDTH: 1, _TILE_LENGTH: 1}
    for _ in range(_count(entries, "tags", 1 << 16)):
        tag, kind, count, value = entry.unpack(file.read(entry.size))
        if kind not in _BYTES:
            _count(count, "numbers in a tag", MOST_NUMBERS)
        if tag in sides:
            (sides[tag],) = struct.unpack_from(order + ("H" if kind == 3 else "I"), value)
    if sides[_TILE_WIDTH] * sides[_TILE_LENGTH] > MOST_TILE_PIXELS:
        raise ValueError(f"it has tiles of {sides[_TILE_WIDTH]:,} x {sides[_TILE_LENGTH]:,} pixels")

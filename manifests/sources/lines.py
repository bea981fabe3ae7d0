"""The lines of a source, as UTF-8 with or without a byte order mark; none is held that is longer than a row may be."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO, TextIO

from manifests.bounds import CHARACTERS_OF_YAML, ROW_SIZE
from manifests.results import ManifestError

__all__ = ["LongLine", "lines_of", "text_of"]

_PIECE = 1 << 20


class LongLine(str):
    """The beginning of a line that is longer than a row may be; `size` is the length of all of it."""

    size = 0


def lines_of(source: str | TextIO | BinaryIO, name: str) -> Iterator[str]:
    """Yield the lines of a text or of an open file.

    Bytes that are no UTF-8 become halves of characters, which cost the row that holds them (checking.py).

    Raises:
        ManifestError: it is UTF-16 or UTF-32.
    """
    file = io.StringIO(source, newline="") if isinstance(source, str) else source
    first = True
    while piece := file.readline(ROW_SIZE + 1):
        line, whole = _text(piece, name, first=first), len(piece)
        while len(piece) > ROW_SIZE and not _ended(piece):
            piece = file.readline(ROW_SIZE + 1)
            whole += len(piece)
        first = False
        if whole > ROW_SIZE + 2:  # with its end
            line = LongLine(line[:200])
            line.size = whole
        yield line


def text_of(source: str | TextIO | BinaryIO, name: str) -> str:
    """Return the whole text of a source that is read at once.

    Raises:
        ManifestError: it is too long for that, or UTF-16 or UTF-32.
    """
    most = CHARACTERS_OF_YAML
    if isinstance(source, str):
        text, size = source, len(source)
    else:
        pieces = []
        size = 0
        while size <= most and (piece := source.read(_PIECE)):
            pieces.append(piece)
            size += len(piece)
        whole = b"".join(pieces) if pieces and isinstance(pieces[0], bytes) else "".join(map(str, pieces))  # type: ignore[arg-type]
        text = _text(whole, name, first=True) if size <= most else ""
    if size > most:
        raise ManifestError(
            f"{name}: it is longer than {most:,} bytes, the most that is read of YAML; split it, or write "
            "JSONL or CSV, which are read line by line"
        )
    return text.removeprefix("\ufeff")


def _text(piece: str | bytes, name: str, *, first: bool) -> str:
    if not first or not piece:
        return piece.decode("utf-8", "surrogateescape") if isinstance(piece, bytes) else piece
    if isinstance(piece, bytes) and (kind := _other_unicode(piece)):
        raise ManifestError(f"{name}: line 1 is not UTF-8 text, but {kind}; save the file as UTF-8")
    return _text(piece, name, first=False).removeprefix("\ufeff")


def _other_unicode(piece: bytes) -> str:
    """Which of Unicode's wider forms a file's first line is in, '' if in none: by its mark, or by the zeros that each
    of its first letters has."""
    if piece.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")) or (
        len(piece) > 8 and piece[0] and piece[1:4] == b"\0\0\0"
    ):
        return "UTF-32"
    if piece.startswith(b"\0\0\0") and len(piece) > 8 and piece[3]:
        return "UTF-32"
    if piece.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16"
    head = piece[:40]
    return "UTF-16" if len(head) > 7 and {head[0::2].count(0), head[1::2].count(0)} >= {0, len(head) // 2} else ""


def _ended(piece: str | bytes) -> bool:
    return piece.endswith((b"\n", b"\r")) if isinstance(piece, bytes) else piece.endswith(("\n", "\r"))

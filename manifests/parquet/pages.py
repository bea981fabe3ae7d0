"""The pages of a Parquet file, as their headers declare them: what decoding would cost, known before anything is done.

The footer's own sizes are not enough: they may lie, and Arrow goes by the pages. Headers are small records of Thrift's
compact protocol in front of each page (parquet.thrift: PageHeader). The levels that part a list's items into rows are
decoded here too, as pyarrow shows them to nobody; runs of equal levels are never written out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from manifests.errors import ErrorKind, NightreelError
from manifests.parquet.thrift_compact import BadThrift, read_struct, read_varint

__all__ = [
    "DELTA_BYTE_ARRAY",
    "BadPages",
    "Chunk",
    "Page",
    "RowGroup",
    "RowLengths",
    "longest_text",
    "pages_of",
    "row_groups",
]

DELTA_BYTE_ARRAY = 7  # the encoding in which a text repeats the head of the one before it
_RLE = 3
_CODECS = {1: "snappy", 2: "gzip", 4: "brotli", 5: "lz4_raw", 6: "zstd", 7: "lz4_raw"}  # CompressionCodec
_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_MOST_HEADER = 1 << 24  # bytes, as Arrow has it
_UNCOUNTED = 1000  # bytes: old writers leave the dictionary's header out of a column's size
_MOST_RUNS = 4_000_000  # of levels, of one column of a row group: some seconds
_SLICE = 1 << 16  # bytes of packed levels that are looked at together


class BadPages(NightreelError, ValueError):
    """Pages that can't be read, or whose headers alone would take too long."""

    kind = ErrorKind.BAD_INPUT


@dataclass(frozen=True, slots=True)
class Chunk:
    """What the footer says of a column within a row group: where its pages lie, how many bytes they take, how many
    values they hold, and the `codec` that packs them, by Parquet's number."""

    place: int
    packed: int
    values: int
    codec: int


@dataclass(frozen=True, slots=True)
class RowGroup:
    """A row group, as the footer declares it."""

    rows: int
    chunks: tuple[Chunk, ...]


def row_groups(stream: BinaryIO) -> list[RowGroup]:
    """Return the row groups of a file, by its footer (parquet.thrift: FileMetaData).

    Raises:
        BadPages: it can't be read, or a column is encrypted.
    """
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - 8))
    length = int.from_bytes(stream.read(8)[:4], "little")
    stream.seek(max(0, size - 8 - length))
    try:
        groups = read_struct(stream.read(length), 0)[0].get(4)
        return [RowGroup(int(group[3]), tuple(map(_chunk, group[1]))) for group in groups or ()]
    except (BadThrift, IndexError, KeyError, TypeError, AttributeError) as error:
        raise BadPages("its footer can't be taken apart") from error


def _chunk(column: dict[int, Any]) -> Chunk:
    found = column[3]
    starts = [place for place in (found[9], found.get(11)) if place]  # a dictionary lies in front, if there is one
    place, packed, values, codec = min(starts, default=0), found[7], found[5], found[4]
    if not all(type(it) is int and it >= 0 for it in (place, packed, values, codec)):
        raise TypeError
    return Chunk(place, packed, values, codec)


@dataclass(frozen=True, slots=True)
class Page:
    """One page: `values` counts nulls and the items of lists; `size` is its bytes once unpacked."""

    is_dictionary: bool
    values: int
    size: int
    encoding: int
    place: int  # of its bytes, behind the header
    packed: int  # bytes in the file
    levels: int | None  # bytes of the levels of repetition in front of version 2's pages, never packed
    level_encoding: int = _RLE


def pages_of(stream: BinaryIO, chunk: Chunk) -> Iterator[Page]:
    """Yield the pages of a column's chunk, by their headers alone.

    Raises:
        BadPages: there is no header where one must be.
    """
    place = chunk.place
    end, seen = place + chunk.packed, 0
    while place < end and seen < chunk.values:
        fields, length = _header(stream, place)
        page = _page(fields, place + length)
        place = page.place + page.packed
        if place > end + _UNCOUNTED:
            raise BadPages("a page beyond the end of its column")
        seen += 0 if page.is_dictionary else page.values
        yield page


def longest_text(stream: BinaryIO, chunk: Chunk, page: Page) -> int:
    """Return the bytes of the longest text in a page that is a dictionary."""
    stream.seek(page.place)
    data = stream.read(page.packed)
    if (codec := _codec(chunk.codec)) is not None:
        data = codec.decompress(data, decompressed_size=page.size, asbytes=True)
    place = longest = 0
    read = int.from_bytes
    while place < len(data):
        length = read(data[place : place + 4], "little")
        place += 4 + length
        if length > longest:
            longest = length
    return min(longest, page.size)


class RowLengths:
    """Counts the values of each row of a list's column, page after page. `longest` is the most of one row, `row` that
    row's number within its row group, from 0."""

    def __init__(self, chunk: Chunk, deepest: int) -> None:
        self._codec = _codec(chunk.codec)
        self._width = deepest.bit_length()
        self._runs = self._here = 0
        self._rows = -1
        self.longest, self.row = 0, 0

    def add(self, stream: BinaryIO, page: Page) -> None:
        """Take a page's levels.

        Raises:
            BadPages: they can't be read.
        """
        stream.seek(page.place)
        data = stream.read(page.packed if page.levels is None else page.levels)
        if page.levels is None:
            if page.level_encoding != _RLE:
                raise BadPages("levels in a packing that nobody writes any more")
            if self._codec is not None:
                data = self._codec.decompress(data, decompressed_size=page.size, asbytes=True)
            length = int.from_bytes(data[:4], "little")
            data = data[4 : 4 + length]
        self._take(data, page.values)
        self._note()

    def _take(self, data: bytes, left: int) -> None:
        """Parquet's hybrid of runs and packed bits."""
        place = 0
        while left > 0:
            self._runs += 1
            if self._runs > _MOST_RUNS:
                raise BadPages(f"lists in more than {_MOST_RUNS:,} runs of levels")
            try:
                head, place = read_varint(data, place)
                if head & 1:
                    count = min((head >> 1) * 8, left)
                    size = (head >> 1) * self._width
                    self._packed(data[place : place + size], count)
                    if place + size > len(data):
                        raise IndexError
                    place += size
                else:
                    count = min(head >> 1, left)
                    self._run(data[place], count)
                    place += 1
            except IndexError:
                raise BadPages("levels that end too early") from None
            if not count:
                raise BadPages("an empty run of levels")
            left -= count

    def _run(self, level: int, count: int) -> None:
        if level:
            self._here += count
            return
        self._note()
        self._rows += count
        self._here = 1

    def _packed(self, data: bytes, count: int) -> None:
        step = _SLICE * self._width
        for start in range(0, len(data), step):
            bits = np.unpackbits(np.frombuffer(data[start : start + step], np.uint8), bitorder="little")
            levels = bits[: len(bits) // self._width * self._width].reshape(-1, self._width).max(axis=1)
            self._levels(levels[:count])
            count -= len(levels)
            if count <= 0:
                return

    def _levels(self, inner: np.ndarray[Any, Any]) -> None:
        starts = np.flatnonzero(inner == 0)
        if not len(starts):
            self._here += len(inner)
            return
        self._here += int(starts[0])
        self._note()
        lengths = np.diff(starts)
        if len(lengths) and lengths.max() > self.longest:
            self.longest, self.row = int(lengths.max()), self._rows + 1 + int(lengths.argmax())
        self._rows += len(starts)
        self._here = len(inner) - int(starts[-1])

    def _note(self) -> None:
        if self._here > self.longest:
            self.longest, self.row = self._here, max(self._rows, 0)


def _codec(number: int) -> pa.Codec | None:
    if number == 0:
        return None
    name = _CODECS.get(number, "")
    try:
        return pa.Codec(name)  # type: ignore[arg-type]
    except (ValueError, pa.ArrowException) as error:
        raise BadPages(f"pages packed as {name or number}") from error


def _page(fields: dict[int, Any], place: int) -> Page:
    kind, size, packed = (fields.get(number) for number in (1, 2, 3))
    header = {_DATA: 5, _DICTIONARY: 7, _DATA_V2: 8}.get(kind, 0) if isinstance(kind, int) else 0
    inner = fields.get(header, {})
    inner = inner if isinstance(inner, dict) else {}
    values, encoding = inner.get(1, 0), inner.get(4 if kind == _DATA_V2 else 2, 0)
    levels, level_encoding = inner.get(6, 0) if kind == _DATA_V2 else None, inner.get(4, _RLE)
    numbers = [size, packed, values, encoding, levels or 0, level_encoding]
    if not all(type(it) is int and it >= 0 for it in numbers):
        raise BadPages("a page's header without its sizes")
    is_v1 = kind == _DATA
    return Page(
        kind == _DICTIONARY, values, size or 0, encoding, place, packed or 0, levels, level_encoding if is_v1 else _RLE
    )


def _header(stream: BinaryIO, place: int) -> tuple[dict[int, Any], int]:
    """The fields of the record at `place`, by their numbers, and its length in bytes."""
    size = 256
    while True:
        stream.seek(place)
        data = stream.read(size)
        try:
            return read_struct(data, 0)
        except IndexError:
            if len(data) < size or size >= _MOST_HEADER:
                raise BadPages("no header of a page where one must be") from None
            size *= 8
        except BadThrift as error:
            raise BadPages(f"a page's header is {error}") from error

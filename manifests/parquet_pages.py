"""The pages of a Parquet file, as their headers declare them: what decoding would cost, known before anything is done.

The footer's own sizes are not enough: they may lie, and Arrow goes by the pages. Headers are small records of Thrift's
compact protocol in front of each page (parquet.thrift: PageHeader). The levels that part a list's items into rows are
decoded here too, as pyarrow shows them to nobody; runs of equal levels are never written out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

__all__ = ["DELTA_BYTE_ARRAY", "BadPages", "Page", "RowLengths", "longest_text", "pages_of"]

DELTA_BYTE_ARRAY = 7  # the encoding in which a text repeats the head of the one before it
_RLE = 3
_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_MOST_HEADER = 1 << 24  # bytes, as Arrow has it
_UNCOUNTED = 1000  # bytes: old writers leave the dictionary's header out of a column's size
_MOST_RUNS = 4_000_000  # of levels, of one column of a row group: some seconds
_SLICE = 1 << 16  # bytes of packed levels that are looked at together


class BadPages(ValueError):
    """Pages that can't be read, or whose headers alone would take too long."""


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


def pages_of(stream: BinaryIO, chunk: Any) -> Iterator[Page]:
    """Yield the pages of a column's chunk (pyarrow's ColumnChunkMetaData), by their headers alone.

    Raises:
        BadPages: there is no header where one must be.
    """
    place = chunk.data_page_offset
    if chunk.has_dictionary_page and chunk.dictionary_page_offset is not None:
        place = min(place, chunk.dictionary_page_offset or place)
    end, seen = place + chunk.total_compressed_size, 0
    if place < 0:
        raise BadPages("pages before the beginning of the file")
    while place < end and seen < chunk.num_values:
        fields, length = _header(stream, place)
        page = _page(fields, place + length)
        place = page.place + page.packed
        if place > end + _UNCOUNTED:
            raise BadPages("a page beyond the end of its column")
        seen += 0 if page.is_dictionary else page.values
        yield page


def longest_text(stream: BinaryIO, chunk: Any, page: Page) -> int:
    """Return the bytes of the longest text in a page that is a dictionary."""
    stream.seek(page.place)
    data = stream.read(page.packed)
    if (codec := _codec(chunk.compression)) is not None:
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

    def __init__(self, chunk: Any, deepest: int) -> None:
        self._codec = _codec(chunk.compression)
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
                head, place = _varint(data, place)
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


def _codec(name: str) -> pa.Codec | None:
    if name == "UNCOMPRESSED":
        return None
    try:
        return pa.Codec("lz4_raw" if name == "LZ4" else name.lower())  # type: ignore[arg-type]
    except (ValueError, pa.ArrowException) as error:
        raise BadPages(f"pages packed as {name}") from error


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


# ---- Thrift's compact protocol


def _header(stream: BinaryIO, place: int) -> tuple[dict[int, Any], int]:
    """The fields of the record at `place`, by their numbers, and its length in bytes."""
    size = 256
    while True:
        stream.seek(place)
        data = stream.read(size)
        try:
            return _struct(data, 0, 0)
        except IndexError:
            if len(data) < size or size >= _MOST_HEADER:
                raise BadPages("no header of a page where one must be") from None
            size *= 8


def _struct(data: bytes, place: int, depth: int) -> tuple[dict[int, Any], int]:
    if depth > 4:
        raise BadPages("a page's header nested too deeply")
    fields: dict[int, Any] = {}
    number = 0
    while kind := data[place]:
        place += 1
        if kind >> 4:
            number += kind >> 4
        else:
            number, place = _zigzag(data, place)
        fields[number], place = _value(data, place, kind & 15, depth)
    return fields, place + 1


def _value(data: bytes, place: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind in (1, 2):  # true and false, in their kinds
        return kind == 1, place
    if kind == 3:
        return data[place], place + 1
    if kind in (4, 5, 6):
        return _zigzag(data, place)
    if kind == 7:
        return None, place + 8
    if kind == 8:  # bytes: the smallest and largest value of the page, which nobody needs here
        length, place = _varint(data, place)
        if place + length > len(data):
            raise IndexError
        return None, place + length
    if kind == 12:
        return _struct(data, place, depth + 1)
    raise BadPages("a page's header of another form than Parquet's")


def _zigzag(data: bytes, place: int) -> tuple[int, int]:
    value, place = _varint(data, place)
    return (value >> 1) ^ -(value & 1), place


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
        shift += 7
        if shift > 63:
            raise BadPages("a page's header with a number without end")

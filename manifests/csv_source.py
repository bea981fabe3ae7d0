"""A manifest's source in CSV, as spreadsheets write it.

A quote that is not closed takes all lines up to the next quote into its cell. It is named where it opens, and the lines
behind it are read once more, as rows of their own.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from itertools import dropwhile
from typing import Any

from manifests.bounds import ROW_SIZE
from manifests.checking import VideoIds, check_columns, check_row, drop_unset, nest, not_unicode
from manifests.jsonl_source import read_json
from manifests.lines import LongLine
from manifests.results import ManifestError, RowProblem, RowResult
from manifests.schema.describe import nested_columns
from manifests.schema.row import VIDEO_ID_PATTERN
from manifests.schema.texts import short

__all__ = ["rows_of_csv"]

_QUOTES = 'quotes around a whole cell, each within doubled: "a ""red"" apple"'


def rows_of_csv(lines: Iterator[str], name: str, ids: VideoIds) -> Iterator[RowResult]:
    """Validate the rows of a CSV; numbers are those of the lines in which they begin, the header's is 1.

    Raises ManifestError if it as a whole can't be read: an unknown column, a broken header.
    """
    kept = _Lines(lines)
    head = kept.peek()
    # Spreadsheets of half of Europe write semicolons; a header holds no prompt, so its most frequent sign is the one.
    delimiter = kept.delimiter = max(",;\t", key=head.count)
    reader = csv.reader(kept, delimiter=delimiter, strict=True)
    header = kept.header = _header(reader, name)
    while True:
        kept.begin()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:  # the reader goes on with the next line
            yield _no_csv(error, kept, name)
            continue
        if (opened := kept.swallowed()) is not None:
            yield from _swallowed(kept, opened, name)
            continue
        if any(cell.strip() for cell in cells):
            yield from _row(header, cells, name, kept.first, ids)


class _Lines(Iterator[str]):
    """Lines that remember those of the row that is being read, and give them again."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines, self._again = lines, deque[tuple[int, str]]()
        self._read = 0
        self._row: list[str] = []
        self._size = 0
        self.number, self.first = 0, 1
        self.delimiter, self.header = ",", list[str]()

    def peek(self) -> str:
        """The line that comes next; empty if there is none."""
        line = next(self._lines, "")
        if line:
            self._read = 1
            self._again.append((1, line))
        return line

    def begin(self) -> None:
        """Note that a row begins with the next line."""
        self._row, self._size = [], 0
        self.first = self._again[0][0] if self._again else self._read + 1

    def __next__(self) -> str:
        if self._again:
            self.number, line = self._again.popleft()
        else:
            line = next(self._lines)
            self._read += 1
            self.number = self._read
        self._row.append(line)
        self._size += len(line)
        if isinstance(line, LongLine):
            raise csv.Error(f"it is {line.size:,} characters long, at most {ROW_SIZE:,} are allowed")
        if self._size > ROW_SIZE:
            raise csv.Error(f"a row of more than {ROW_SIZE:,} characters")
        return line

    def opened(self) -> int:
        """The line of the present row in which the last of its quotes opens."""
        inside, found = False, self.first
        for number, line in enumerate(self._row, start=self.first):
            for quotes in re.finditer('"+', line):
                if len(quotes[0]) % 2:
                    inside = not inside
                    found = number if inside else found
        return found

    def swallowed(self) -> int | None:
        """The line whose quote took in lines that look like rows. One line of a narrow table says nothing: a text in
        two lines may look like that."""
        rest = self._row[1:]
        fewest = 1 if len(self.header) > 2 else 2
        return self.first if len(rest) >= fewest and all(self._is_row(line, cut=True) for line in rest) else None

    def back_to(self, line: int, *, whole: bool = True) -> None:
        """Give again what came behind a line of the present row, from the first that looks like a row; `whole` with the
        last of them."""
        rest = list(enumerate(self._row, start=self.first))[line - self.first + 1 : None if whole else -1]
        self._again.extendleft(reversed(list(dropwhile(lambda it: not self._is_row(it[1]), rest))))

    def _is_row(self, line: str, *, cut: bool = False) -> bool:
        """Whether a line has the cells of a row and the name of a video; `cut`: whatever its quotes say."""
        if "video_id" not in self.header or isinstance(line, LongLine):
            return False
        cells = line.split(self.delimiter)
        with suppress(csv.Error):  # it opens a quote itself
            cells = cells if cut else next(csv.reader([line], delimiter=self.delimiter, strict=True), [])
        at = self.header.index("video_id")
        fewest = len(self.header) if cut else 2
        if not fewest <= len(cells) <= len(self.header) or at >= len(cells):
            return False
        return re.match(VIDEO_ID_PATTERN, cells[at].strip().strip('"')) is not None


def _header(reader: Iterator[list[str]], name: str) -> list[str]:
    try:
        header = [column.strip() for column in next(reader, [])]
    except csv.Error as error:
        raise ManifestError(f"{name}: line 1 can't be read as CSV ({error}); check its quotes") from error
    if not any(header):
        raise ManifestError(f"{name}: the first line is empty; it must name the columns, at least video_id and prompt")
    if any(not_unicode(column) for column in header):
        raise ManifestError(f"{name}: line 1 is not UTF-8 text; save the file as UTF-8")
    check_columns(header, name)
    return header


def _no_csv(error: csv.Error, lines: _Lines, name: str) -> RowProblem:
    """What is wrong with the row that was being read; the lines that its quote took in are given again."""
    first, last = lines.first, lines.number
    endless = "unexpected end" in str(error) or (
        last > first and ("field limit" in str(error) or "a row of" in str(error))
    )
    line = lines.opened() if endless else first
    if endless:
        message = f"line {line} opens a quote that is never closed"
        message += "" if "unexpected end" in str(error) else f": {error} up to line {last}"
    elif last > first:
        message = f"lines {first} to {last}, one row by their quotes, can't be read as CSV ({error})"
    else:
        message = f"line {first} can't be read as CSV ({error})"
    lines.back_to(line)
    return RowProblem(name, line, None, "", "", _QUOTES, message, "line")


def _swallowed(lines: _Lines, opened: int, name: str) -> Iterator[RowProblem]:
    """What is wrong with the two lines that have one quote each; those between are given again."""
    closed = lines.number
    lines.back_to(opened, whole=False)
    for line in (opened, closed):
        message = f"line {opened} opens a quote that line {closed} closes, and the lines in it look like rows"
        remedy = f"{message}; write {_QUOTES}, or the text in one line if no quote is missing"
        yield RowProblem(name, line, None, "", "", _QUOTES, remedy, "line")


def _row(header: list[str], cells: list[str], name: str, line: int, ids: VideoIds) -> list[RowResult]:
    given = {column: cell for column, cell in zip(header, cells, strict=False) if cell.strip()}
    video_id = short(given["video_id"], 128) if "video_id" in given else None
    if len(cells) > len(header):
        extra = cells[len(header)]
        message = f"{len(cells)} cells under {len(header)} columns, the first one too many is '{short(extra)}'"
        allowed = 'a text that holds the separator must stand in quotes: "red, ripe apple"'
        return [RowProblem(name, line, video_id, header[-1], short(extra), allowed, message, "line")]
    values: dict[str, Any] = {}
    for column, cell in given.items():
        nested = column in nested_columns() and cell.lstrip()[:1] in ("[", "{")
        try:
            values[column] = drop_unset(read_json(cell)) if nested else cell.strip()
        except (ValueError, RecursionError) as error:
            message = f"{column} is not valid JSON ({error})"
            return [RowProblem(name, line, video_id, column, short(cell), "JSON", message, "line")]
    return check_row(nest(values), file=name, number=line, ids=ids, unit="line")

"""A manifest's source in CSV, as spreadsheets write it.

A quote that is not closed takes all lines up to the next quote into its cell. It is named where it opens, and the lines
behind it are read once more, as rows of their own.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import dropwhile
from typing import Any

from manifests.bounds import ROW_SIZE
from manifests.checking import VideoIds, check_columns, check_row, drop_unset, nest, not_unicode
from manifests.results import ManifestError, RowProblem, RowResult
from manifests.schema.describe import nested_columns
from manifests.schema.row import VIDEO_ID_PATTERN
from manifests.schema.texts import short
from manifests.sources.beside import Beside
from manifests.sources.drawing import WILDCARDS, drawn
from manifests.sources.jsonl_source import read_json
from manifests.sources.lines import LongLine
from manifests.sources.wildcards import Lists

__all__ = ["records_of_csv", "rows_of_csv"]

_SEPARATOR = re.compile(r"\"?sep=(\\t|[^\w\s\"]|\t)\"?[,;\t]*\s*\Z", re.IGNORECASE)
_QUOTES = 'quotes around a whole cell, each within doubled: "a ""red"" apple"'


def rows_of_csv(lines: Iterator[str], name: str, ids: VideoIds, beside: Beside | None = None) -> Iterator[RowResult]:
    """Validate the rows of a CSV; numbers are those of the lines in which they begin, the header's is 1. `beside` reads
    lists that it names.

    Raises ManifestError if it as a whole can't be read: an unknown column, a broken header.
    """
    lists = Lists(beside)

    def check(header: list[str]) -> None:
        check_columns([it for it in header if it != WILDCARDS or header.count(it) > 1], name)

    for record in records_of_csv(lines, name, check):
        if isinstance(record, RowProblem):
            yield record
        else:
            yield from _row(*record, name, ids, lists)


def records_of_csv(
    lines: Iterator[str], name: str, check: Callable[[list[str]], object]
) -> Iterator[RowProblem | tuple[int, dict[str, str]]]:
    """The rows of a CSV as cells by column, those that are empty left out, behind the numbers of the lines in which
    they begin; or what is wrong with one. `check` is given the header.

    Raises ManifestError for a header that can't be read, or that `check` refuses.
    """
    kept = _Lines(lines)
    if told := _SEPARATOR.match(kept.peek()):  # Excel's own first line
        kept.drop()
        delimiter = told[1] if told[1] != "\\t" else "\t"
    else:
        # Spreadsheets of half of Europe write semicolons; a header holds no prompt, so its most frequent sign is it.
        delimiter = max(",;\t", key=kept.peek().count)
    kept.delimiter = delimiter
    reader = csv.reader(kept, delimiter=delimiter, strict=True)
    header = kept.header = _header(reader, name)
    check(header)
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
            yield _record(header, cells, name, kept.first)


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
        if not self._again and (line := next(self._lines, "")):
            self._read += 1
            self._again.append((self._read, line))
        return self._again[0][1] if self._again else ""

    def drop(self) -> None:
        """Leave out the line that was looked at."""
        self._again.popleft()

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
            while not self._row and line in ("\n", "\r\n"):  # between rows; there may be millions
                line = next(self._lines)
                self._read += 1
            self.number = self._read
        if not self._row:
            self.first = self.number
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
        """Whether a line has the cells of a row and the name of a video; `cut`: whatever its quotes say. In a table of
        no videos, which has no names, a row has all cells."""
        named = "video_id" in self.header
        if isinstance(line, LongLine) or not (named or len(self.header) > 1):
            return False
        cells = line.split(self.delimiter)
        with suppress(csv.Error):  # it opens a quote itself
            cells = cells if cut else next(csv.reader([line], delimiter=self.delimiter, strict=True), [])
        while len(cells) > len(self.header) and not cells[-1].strip():  # as `_row` leaves them out
            cells.pop()
        at = self.header.index("video_id") if named else 0
        fewest = len(self.header) if cut or not named else 2
        if not fewest <= len(cells) <= len(self.header) or at >= len(cells):
            return False
        return not named or re.match(VIDEO_ID_PATTERN, cells[at].strip().strip('"')) is not None


def _header(reader: Iterator[list[str]], name: str) -> list[str]:
    try:
        header = [column.strip() for column in next(reader, [])]
    except csv.Error as error:
        raise ManifestError(f"{name}: line 1 can't be read as CSV ({error}); check its quotes") from error
    while header and not header[-1]:  # spreadsheets write separators up to their widest row
        header.pop()
    if not header:
        raise ManifestError(
            f"{name}: the first line is empty; it must name the columns, a manifest's at least video_id and prompt"
        )
    if any(not_unicode(column) for column in header):
        raise ManifestError(f"{name}: line 1 is not UTF-8 text; save the file as UTF-8")
    if "" in header:
        raise ManifestError(
            f"{name}: column {header.index('') + 1} of {len(header)} has no name; name it, or remove it (pandas writes "
            "its row numbers so: index=False)"
        )
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


def _record(header: list[str], cells: list[str], name: str, line: int) -> RowProblem | tuple[int, dict[str, str]]:
    given = {column: cell for column, cell in zip(header, cells, strict=False) if cell.strip()}
    while len(cells) > len(header) and not cells[-1].strip():
        cells.pop()
    if len(cells) > len(header):
        video_id = short(given["video_id"], 128) if "video_id" in given else None
        extra = cells[len(header)]
        message = f"{len(cells)} cells under {len(header)} columns, the first one too many is '{short(extra)}'"
        allowed = 'a text that holds the separator must stand in quotes: "red, ripe apple"'
        return RowProblem(name, line, video_id, header[-1], short(extra), allowed, message, "line")
    return line, given


def _row(line: int, given: dict[str, str], name: str, ids: VideoIds, lists: Lists) -> list[RowResult]:
    video_id = short(given["video_id"], 128) if "video_id" in given else None
    values: dict[str, Any] = {}
    for column, cell in given.items():
        nested = column in nested_columns() and cell.lstrip()[:1] in ("[", "{")
        try:
            values[column] = drop_unset(read_json(cell)) if nested else cell.strip()
        except (ValueError, RecursionError) as error:
            message = f"{column} is not valid JSON ({error})"
            return [RowProblem(name, line, video_id, column, short(cell), "JSON", message, "line")]
    made = drawn(nest(values), lists, name, line, "line")
    return [made] if isinstance(made, RowProblem) else check_row(made, file=name, number=line, ids=ids, unit="line")

"""Thrift's compact protocol, as far as Parquet's footers and pages' headers are written in it.

pyarrow shows footers too, but ends the whole process over some that are damaged (26.0: whatever ColumnChunk throws).
"""

from __future__ import annotations

from typing import Any

from manifests.errors import ErrorKind, NightreelError

__all__ = ["BadThrift", "read_struct", "read_varint"]

_DEEPEST = 12
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_INTEGERS = (4, 5, 6)


class BadThrift(NightreelError, ValueError):
    """Bytes that are no record of this protocol. One that ends too early is an IndexError."""

    kind = ErrorKind.BAD_INPUT


def read_struct(data: bytes, place: int, depth: int = 0) -> tuple[dict[int, Any], int]:
    """Return the fields of the record at `place`, by their numbers, and the place behind it. Texts are left out: None.

    Raises:
        BadThrift: it is none, or nested too deeply.
        IndexError: it does not end.
    """
    if depth > _DEEPEST:
        raise BadThrift("a record nested too deeply")
    fields: dict[int, Any] = {}
    number = 0
    while kind := data[place]:
        place += 1
        if kind >> 4:
            number += kind >> 4
        else:
            number, place = _zigzag(data, place)
        kind &= 15
        if kind in (_TRUE, _FALSE):  # in their kinds
            fields[number] = kind == _TRUE
        else:
            fields[number], place = _value(data, place, kind, depth)
    return fields, place + 1


def read_varint(data: bytes, place: int) -> tuple[int, int]:
    """Return the unsigned number at `place`, and the place behind it. Raises as `read_struct`."""
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
        shift += 7
        if shift > 63:
            raise BadThrift("a number without end")


def _value(data: bytes, place: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind in _INTEGERS:
        return _zigzag(data, place)
    if kind == _BINARY:
        length, place = read_varint(data, place)
        return None, _within(data, place + length)
    if kind == _STRUCT:
        return read_struct(data, place, depth + 1)
    if kind in (_LIST, _SET):
        return _list(data, place, depth)
    if kind in (_TRUE, _FALSE, _BYTE):  # in a list, the first two have a byte each
        return data[place], place + 1
    if kind == _DOUBLE:
        return None, _within(data, place + 8)
    raise BadThrift("a record of another form than Parquet's")


def _list(data: bytes, place: int, depth: int) -> tuple[list[Any], int]:
    if depth > _DEEPEST:
        raise BadThrift("a record nested too deeply")
    count, kind = data[place] >> 4, data[place] & 15
    place += 1
    if count == 15:
        count, place = read_varint(data, place)
    if count > len(data) - place:  # each takes a byte at least
        raise IndexError
    items = []
    for _ in range(count):
        item, place = _value(data, place, kind, depth + 1)
        items.append(item)
    return items, place


def _within(data: bytes, place: int) -> int:
    if place > len(data):
        raise IndexError
    return place


def _zigzag(data: bytes, place: int) -> tuple[int, int]:
    value, place = read_varint(data, place)
    return (value >> 1) ^ -(value & 1), place

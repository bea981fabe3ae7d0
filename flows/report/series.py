"""Numbers of frames, packed: the report of an output holds a pair for each of a million frames, for hours."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator

__all__ = ["Series"]


class Series:
    """(frame number, value) pairs, in 12 bytes each."""

    __slots__ = ("_frames", "_values")

    def __init__(self, pairs: Iterable[tuple[int, float]] = ()) -> None:
        self._frames, self._values = array("i"), array("d")
        for frame, value in pairs:
            self._frames.append(frame)
            self._values.append(value)

    def __iter__(self) -> Iterator[tuple[int, float]]:
        return zip(self._frames, self._values, strict=True)

    def __len__(self) -> int:
        return len(self._frames)

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, Series | tuple | list) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"Series({list(self)!r})"

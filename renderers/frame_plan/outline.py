"""What of all frames of a video is known at little cost: its digests, 32 bytes each, where a frame's whole plan takes
half a kilobyte. Whoever looks what lies in storage needs no more."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

from renderers.frame_plan.frame_plan import FramePlan

__all__ = ["Digests", "Outline"]

_BYTES = 32
# Digests that are written out at a time while all are gone through.
_AT_ONCE = 4096


class Digests(Sequence[str]):
    """A SHA-256 for each frame, by its number: 64 hexadecimal digits to whoever asks, kept as bytes."""

    def __init__(self, frames: int) -> None:
        self._packed = bytearray(_BYTES * frames)

    def put(self, index: int, digest: str) -> None:
        """Set the digest of frame `index`."""
        self._packed[_BYTES * index : _BYTES * (index + 1)] = bytes.fromhex(digest)

    def __len__(self) -> int:
        return len(self._packed) // _BYTES

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        if isinstance(index, slice):
            return tuple(self[each] for each in range(*index.indices(len(self))))
        at = range(len(self))[index] * _BYTES
        return self._packed[at : at + _BYTES].hex()

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self._packed), _BYTES * _AT_ONCE):
            text = self._packed[start : start + _BYTES * _AT_ONCE].hex()
            for at in range(0, len(text), 2 * _BYTES):
                yield text[at : at + 2 * _BYTES]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Digests):
            return self._packed == other._packed
        return tuple(self) == other if isinstance(other, tuple) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # as a list's

    def __repr__(self) -> str:
        return f"Digests({', '.join(self[:3])}{', ...' if len(self) > 3 else ''})"


@dataclass(frozen=True)
class Outline:
    """All frames of a video in outline: their `digests`, the number of `steps` of each, and the numbers of those that
    are `kept`: that go on from another take than the one shown."""

    digests: Digests
    steps: Sequence[int]
    kept: tuple[int, ...]

    @classmethod
    def of(cls, frames: int, plans: Iterable[FramePlan]) -> Outline:
        """The outline of so many `frames`, from the `plans` of all, in any order."""
        digests, steps, kept = Digests(frames), array("q", bytes(8 * frames)), []
        for frame in plans:
            digests.put(frame.index, frame.digest)
            steps[frame.index] = frame.steps
            if frame.kept:
                kept.append(frame.index)
        return cls(digests, steps, tuple(sorted(kept)))

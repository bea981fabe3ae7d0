"""Cutting a manifest into parts that are runs of their own. Every part reads the whole manifest and makes the same cut;
so a part is a number, and nobody writes manifests for it."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

__all__ = ["Cut", "CutInOrder", "cut", "cut_in_order"]


@dataclass(frozen=True)
class Cut:
    """Into how `many` parts a manifest is cut, and in which (from 1) each video is."""

    many: int = 0
    part: Mapping[str, int] = field(default_factory=dict)

    def numbering(self) -> Callable[[str], int | None]:
        """Return what gives a video's part; None for one that was not there."""
        return self.part.get


@dataclass(frozen=True)
class CutInOrder:
    """A manifest that is cut after each `most` videos, none of which continues another: what is kept of each is eight
    bytes, by which this process knows it again."""

    most: int
    names: array[int] = field(repr=False)

    @property
    def many(self) -> int:
        """How many parts there are."""
        return -(-len(self.names) // self.most)

    def numbering(self) -> Callable[[str], int | None]:
        """Return what gives a video's part when it is asked for each in their order; None for one that was not there,
        or in another place."""
        place = -1

        def number(video: str) -> int | None:
            nonlocal place
            place += 1
            known = place < len(self.names) and self.names[place] == hash(video)
            return place // self.most + 1 if known else None

        return number


def cut_in_order(videos: Iterable[tuple[str, str | None]], most: int) -> CutInOrder | None:
    """As `cut`, in little memory; None where one of the videos continues another."""
    names = array("q")
    for video, parent in videos:
        if parent is not None:
            return None
        names.append(hash(video))
    return CutInOrder(most, names)


def cut(videos: Iterable[tuple[str, str | None]], most: int) -> Cut:
    """Cut videos, given as (its id, the id of the one that it continues) in the manifest's order, into parts of at most
    `most`.

    Those that continue each other stay together, since nothing can be planned from a video that another run is still to
    render: such a family that has more than `most` is a part by itself. The parts follow the order in which the first
    of each family stands. A video that continues none of these (but one in storage) is a family of its own, and so are
    those of a circle.
    """
    parents = dict(videos)
    roots: dict[str, str] = {}
    for video in parents:
        _note_root(video, parents, roots)
    sizes: dict[str, int] = {}
    for video in parents:
        sizes[roots[video]] = sizes.get(roots[video], 0) + 1
    number, room = 0, 0
    of_family: dict[str, int] = {}
    for root, size in sizes.items():
        if size > room:
            number, room = number + 1, most
        of_family[root] = number
        room -= size
    return Cut(number, {video: of_family[root] for video, root in roots.items()})


def _note_root(video: str, parents: Mapping[str, str | None], roots: dict[str, str]) -> None:
    """Note in `roots` where the family of `video` begins, for all on the way there."""
    way, seen = list[str](), set[str]()
    at = video
    while at not in roots and at not in seen:
        way.append(at)
        seen.add(at)
        parent = parents[at]
        if parent is None or parent not in parents:
            break
        at = parent
    root = roots.get(at, at)
    for member in way:
        roots[member] = root

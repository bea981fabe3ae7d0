"""Some of all combinations, drawn by chance: none twice, the same on every machine, the first ones the same whatever
their number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from itertools import product
from math import prod
from typing import TypeAlias

from manifests.sources.chance import Chance
from manifests.sources.choices import Node

__all__ = ["Drawn", "all_of", "some_of"]

#: The value of each axis, by its number, and the text.
Drawn: TypeAlias = tuple[tuple[int, ...], str]
_REPEATS = 100  # draws in a row of what was drawn before, after which the rest is drawn without weights
_LISTED = 2_000_000  # combinations that are listed to find the rest


def all_of(sizes: Sequence[int], node: Node, texts: Callable[[Sequence[int]], dict[str, str]]) -> Iterator[Drawn]:
    """Every combination, the last axis and the choices varying fastest. `sizes` are those of the axes, `texts` gives
    what stands for their names."""
    for chosen in product(*map(range, sizes)):
        values = texts(chosen)
        for place in range(node.count):
            yield chosen, node.at(place, values)


def some_of(
    sizes: Sequence[int], node: Node, texts: Callable[[Sequence[int]], dict[str, str]], count: int, chance: Chance
) -> Iterator[Drawn]:
    """Draw `count` combinations; fewer where not so many differ."""
    seen: set[bytes] = set()
    axes, total = prod(sizes), prod(sizes) * node.count

    def is_new(drawn: Drawn) -> bool:
        known = len(seen)
        seen.add(blake2b(repr(drawn).encode("utf-8", "replace"), digest_size=16).digest())
        return len(seen) > known

    def weighted() -> Drawn:
        chosen = _chosen(chance.below(axes), sizes)
        return chosen, node.draw(chance, texts(chosen))

    def numbered(index: int) -> Drawn:
        chosen = _chosen(index // node.count, sizes)
        return chosen, node.at(index % node.count, texts(chosen))

    repeats = 0
    while len(seen) < count and repeats < _REPEATS:
        drawn = weighted()
        if is_new(drawn):
            repeats = 0
            yield drawn
        else:
            repeats += 1
    if len(seen) == count:
        return
    for index in _shuffled(total, chance) if total <= _LISTED else _any(total, chance):
        if len(seen) == count:
            return
        if is_new(drawn := numbered(index)):
            yield drawn


def _chosen(index: int, sizes: Sequence[int]) -> tuple[int, ...]:
    places = []
    for size in reversed(sizes):
        index, place = divmod(index, size)
        places.append(place)
    return tuple(reversed(places))


def _shuffled(total: int, chance: Chance) -> Iterator[int]:
    """All numbers below `total` in a random order (Fisher and Yates)."""
    moved: dict[int, int] = {}
    for left in range(total, 0, -1):
        place = chance.below(left)
        yield moved.get(place, place)
        moved[place] = moved.pop(left - 1, left - 1)


def _any(total: int, chance: Chance) -> Iterator[int]:
    """Random numbers below `total`, of which some may come again; so many that more would be in vain."""
    for _ in range(20 * _LISTED):
        yield chance.below(total)

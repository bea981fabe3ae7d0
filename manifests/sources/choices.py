"""What a text with names and choices is made of, once it is read: `{a red|a green} apple, {subject}`.

A node stands for `count` texts. All of them can be had by number, one can be drawn by chance, and what the longest
costs is known without making any.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, chain
from typing import Protocol

from manifests.sources.chance import Chance

__all__ = ["Choice", "Name", "Node", "Parts", "Several", "Text"]

_REPEATS = 50  # draws of what was drawn before, until one looks for what is left


class Node(Protocol):
    """A part of a text. `longest` counts the characters of its longest text, without those of names, `uses` how often
    names stand in it at the most. `width` is `longest`, and one for each part that is looked at; `work` is what it
    takes to find a text by its number."""

    count: int
    longest: int
    width: int
    work: int
    uses: Mapping[str, int]

    def at(self, index: int, values: Mapping[str, str]) -> str:
        """The text of the number `index`, with `values` by name."""
        ...

    def draw(self, chance: Chance, values: Mapping[str, str]) -> str:
        """A text by chance."""
        ...


class Text:
    """A text as it stands there."""

    __slots__ = ("longest", "text", "width")
    count, work = 1, 1
    uses: Mapping[str, int] = {}

    def __init__(self, text: str) -> None:
        self.text, self.longest, self.width = text, len(text), len(text) + 1

    def at(self, index: int, values: Mapping[str, str]) -> str:
        return self.text

    def draw(self, chance: Chance, values: Mapping[str, str]) -> str:
        return self.text


class Name:
    """What is filled in."""

    __slots__ = ("name", "uses")
    count, longest, width, work = 1, 0, 1, 1

    def __init__(self, name: str) -> None:
        self.name = name
        self.uses: Mapping[str, int] = {name: 1}

    def at(self, index: int, values: Mapping[str, str]) -> str:
        return values[self.name]

    def draw(self, chance: Chance, values: Mapping[str, str]) -> str:
        return values[self.name]


class Parts:
    """Parts behind each other; the last one varies fastest."""

    __slots__ = ("count", "longest", "nodes", "uses", "width", "work")

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = tuple(nodes)
        self.count = math.prod(node.count for node in nodes)
        self.longest = sum(node.longest for node in nodes)
        self.width = 1 + sum(node.width for node in nodes)
        self.work = 1 + sum(node.work for node in nodes)
        self.uses: Mapping[str, int] = {name: sum(node.uses.get(name, 0) for node in nodes) for name in _names(nodes)}

    def at(self, index: int, values: Mapping[str, str]) -> str:
        if self.count == 1:
            return "".join([node.at(0, values) for node in self.nodes])
        texts = []
        for node in reversed(self.nodes):
            index, place = divmod(index, node.count)
            texts.append(node.at(place, values))
        return "".join(reversed(texts))

    def draw(self, chance: Chance, values: Mapping[str, str]) -> str:
        return "".join([node.draw(chance, values) for node in self.nodes])


class Choice:
    """One of several; by chance as often as its weight says."""

    __slots__ = ("_counts", "_weights", "count", "longest", "nodes", "uses", "weights", "width", "work")

    def __init__(self, nodes: Sequence[Node], weights: Sequence[float]) -> None:
        self.nodes, self.weights = tuple(nodes), tuple(weights)
        self._counts, self._weights = list(accumulate(node.count for node in nodes)), list(accumulate(weights))
        self.count = self._counts[-1]
        self.longest = max(node.longest for node in nodes)
        self.width = 1 + max(node.width for node in nodes)
        self.work = 1 + max(node.work for node in nodes)
        self.uses: Mapping[str, int] = {name: max(node.uses.get(name, 0) for node in nodes) for name in _names(nodes)}

    def at(self, index: int, values: Mapping[str, str]) -> str:
        place = bisect_right(self._counts, index)
        return self.nodes[place].at(index - (self._counts[place - 1] if place else 0), values)

    def draw(self, chance: Chance, values: Mapping[str, str]) -> str:
        return self.nodes[self.place(chance)].draw(chance, values)

    def place(self, chance: Chance) -> int:
        """The number of one of the nodes, by chance."""
        return min(bisect_right(self._weights, chance.unit() * self._weights[-1]), len(self.nodes) - 1)


class Several:
    """From `low` to `high` different ones of a choice, in the order in which they stand there."""

    __slots__ = ("_choice", "_high", "_low", "_ways", "count", "longest", "separator", "uses", "width", "work")

    def __init__(self, choice: Choice, low: int, high: int, separator: str) -> None:
        self._choice, self._low, self._high, self.separator = choice, low, high, separator
        nodes = choice.nodes
        self._ways: list[list[int]] | None = None
        if all(node.count == 1 for node in nodes):
            self.count = sum(math.comb(len(nodes), number) for number in range(low, high + 1))
        else:
            self.count = sum(self._tails()[0][low : high + 1])
        joints = len(separator) * max(0, high - 1)
        self.longest = joints + sum(_largest((node.longest for node in nodes), high))
        self.width = 1 + joints + sum(_largest((node.width for node in nodes), high))
        self.work = len(nodes) + sum(_largest((node.work for node in nodes), high))
        self.uses: Mapping[str, int] = {
            name: sum(_largest((node.uses.get(name, 0) for node in nodes), high)) for name in _names(nodes)
        }

    def at(self, index: int, values: Mapping[str, str]) -> str:
        left = self._low
        while index >= (ways := self._after(0, left)):
            index -= ways
            left += 1
        texts = []
        for place, node in enumerate(self._choice.nodes):
            if not left:
                break
            behind = self._after(place + 1, left - 1)
            if index < node.count * behind:
                mine, index = divmod(index, behind)
                texts.append(node.at(mine, values))
                left -= 1
            else:
                index -= node.count * behind
        return self.separator.join(texts)

    def draw(self, chance: Chance, values: Mapping[str, str]) -> str:
        number = self._low + chance.below(self._high - self._low + 1)
        taken: set[int] = set()
        again = 0
        while len(taken) < number:
            place = self._choice.place(chance)
            again = again + 1 if place in taken else 0
            if again > _REPEATS:  # one weight outdoes all others
                place = max(set(range(len(self._choice.nodes))) - taken, key=lambda it: (self._choice.weights[it], -it))
            taken.add(place)
        return self.separator.join(self._choice.nodes[place].draw(chance, values) for place in sorted(taken))

    def _after(self, place: int, number: int) -> int:
        """How many texts there are of `number` of the nodes from `place` on."""
        if self._ways is None:
            return math.comb(len(self._choice.nodes) - place, number)
        return self._ways[place][number]

    def _tails(self) -> list[list[int]]:
        """`_after` for all places and numbers, where nodes stand for several texts."""
        ways = [[1] + [0] * self._high]
        for node in reversed(self._choice.nodes):
            last = ways[-1]
            ways.append([1] + [last[number] + node.count * last[number - 1] for number in range(1, self._high + 1)])
        self._ways = ways[::-1]
        return self._ways


def _largest(numbers: Iterable[int], most: int) -> list[int]:
    return sorted(numbers, reverse=True)[:most]


def _names(nodes: Iterable[Node]) -> set[str]:
    return set(chain.from_iterable(node.uses for node in nodes))

"""The problems of a manifest of any length: the first hundred whole, all of them in counts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from manifests.results import RowProblem, bad_rows
from manifests.schema.texts import plural

__all__ = ["LISTED", "Listed", "Problems"]

#: Problems that are kept and shown whole.
LISTED = 100
# A stranger's settings may have any number of wrong names.
_KINDS = 100
_OTHERS = "other problems"


class Problems(tuple[RowProblem, ...]):
    """The first problems of a manifest's rows. `rows` counts the bad rows, `kinds` all problems by what is wrong."""

    rows: int
    kinds: dict[str, int]

    def __new__(
        cls, first: Iterable[RowProblem] = (), rows: int | None = None, kinds: Mapping[str, int] | None = None
    ) -> Problems:
        """`rows` and `kinds` are those of `first` where they are not given."""
        made = super().__new__(cls, first)
        made.rows = bad_rows(made) if rows is None else rows
        made.kinds = dict(Counter(map(kind_of_problem, made)) if kinds is None else kinds)
        return made

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(self.kinds.values())

    @property
    def unlisted(self) -> int:
        """How many there are besides those that are kept."""
        return max(0, self.total - len(self))

    def lines(self) -> Iterator[str]:
        """Yield a sentence for each of the first, and one that counts all where there are more."""
        yield from map(str, self)
        if self.unlisted:
            yield self.counts

    @property
    def counts(self) -> str:
        """`and 900 more problems, 1,000 in 500 rows: 500 times 'prompt is missing', ...`."""
        kinds = sorted(self.kinds.items(), key=lambda it: -it[1])
        listed = ", ".join(f"{count:,} times '{kind}'" for kind, count in kinds[:20])
        listed += f", and {plural(len(kinds) - 20, 'more kind')}" if len(kinds) > 20 else ""
        more, rows = plural(self.unlisted, "more problem"), plural(self.rows, "row")
        return f"and {more}, {self.total:,} in {rows}: {listed}"

    def joined(self, other: Iterable[RowProblem]) -> Problems:
        """Return these and others."""
        second = other if isinstance(other, Problems) else Problems(other)
        both = Counter(self.kinds)
        both.update(second.kinds)
        return Problems((*self, *second)[:LISTED], self.rows + second.rows, both)

    def without(self, left_out: Iterable[RowProblem]) -> Problems:
        """Return these without some of those that are listed."""
        gone = Problems(left_out)
        kinds = {kind: rest for kind, count in self.kinds.items() if (rest := count - gone.kinds.get(kind, 0)) > 0}
        drop = set(gone)
        return Problems((it for it in self if it not in drop), max(0, self.rows - gone.rows), kinds)


class Listed:
    """Takes problems one by one, those of a row one after the other, in bounded memory."""

    def __init__(self) -> None:
        self._first: list[RowProblem] = []
        self._kinds: Counter[str] = Counter()
        self._rows, self._last = 0, ("", 0)

    def add(self, problem: RowProblem) -> bool:
        """Take one; returns whether it is among the first."""
        kind = kind_of_problem(problem)
        self._kinds[kind if kind in self._kinds or len(self._kinds) < _KINDS else _OTHERS] += 1
        place = (problem.file, problem.row)
        self._rows += place != self._last
        self._last = place
        if len(self._first) < LISTED:
            self._first.append(problem)
            return True
        return False

    @property
    def problems(self) -> Problems:
        """All so far."""
        return Problems(self._first, self._rows, self._kinds)


def kind_of_problem(problem: RowProblem) -> str:
    """What is wrong, whatever the row and its value: `prompt is missing`, `width is not allowed`."""
    column = re.sub(r"\[\d+\]", "", problem.column) or problem.unit
    for ending in ("is missing", "was used before", "is unknown", "holds half of a character", "was given up"):
        if ending in problem.message[len(problem.column) : len(problem.column) + 200]:
            return f"{column} {ending}"
    return f"{column} is not allowed"

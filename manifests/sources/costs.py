"""What `expand` blocks cost, alone and all of a source together: counted before a row is made of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from manifests.bounds import ROW_SIZE
from manifests.results import ManifestError
from manifests.schema.texts import short
from manifests.sources.choices import Node
from manifests.sources.templates import names_in
from manifests.sources.wildcards import many

if TYPE_CHECKING:
    from manifests.sources.blocks import Axis, Block

__all__ = ["MAX_ROWS", "Budget", "check_length", "check_size", "too_many"]

MAX_ROWS = 1_000_000  # of a block, and of all of a source
_MOST_CHARACTERS = 500_000_000  # of the texts and ids, of a block and of all: a million of usual length
_MOST_WORK = 2_000_000_000  # options that are looked at: a minute or two


@dataclass
class Budget:
    """What the blocks of a source stand for so far."""

    rows: int = 0
    characters: int = 0
    work: int = 0

    def spend(self, rows: int, characters: int, work: int) -> None:
        """Note what another block stands for.

        Raises:
            ManifestError: that is more than all blocks may together.
        """
        self.rows, self.characters, self.work = self.rows + rows, self.characters + characters, self.work + work
        for count, most, what in (
            (self.rows, MAX_ROWS, "rows"), (self.characters, _MOST_CHARACTERS, "characters"),
            (self.work, _MOST_WORK, "options to look at"),
        ):  # fmt: skip
            if count > most:
                raise ManifestError(
                    f"the blocks of expand up to this one make {count:,} {what}; at most {most:,} are allowed in one "
                    "source: split it"
                )


def check_size(made: Block) -> None:
    """Raise ManifestError for more rows than a block may have, before one of them is made."""
    table, rows = made.table.rows if made.table is not None else 1, made.combinations
    if made.draw is not None and made.draw > rows:
        raise ManifestError(f"expand draws {made.draw:,} of {rows:,} combinations; allowed are 1 to {rows:,}")
    if made.rows > MAX_ROWS:
        each = rows if made.draw is None else made.draw
        raise ManifestError(too_many(made.axes, made.template, each, table, drawn=made.draw is not None))


def too_many(axes: list[Axis], template: Node | None, each: int, table: int, *, drawn: bool = False) -> str:
    """Say how many rows a block would make, `each` for each row of its `table`, and what they come of."""
    counts = [] if drawn else [f"{len(axis.values):,} of '{short(axis.name, 30)}'" for axis in axes[:8]]
    counts += ["others"] if len(axes) > 8 and not drawn else []
    counts += [f"{many(template.count)} texts"] if template is not None and template.count > 1 and not drawn else []
    counts += [f"{each:,} drawn for each row"] if drawn else []
    counts += [f"{table:,} rows of the table"] if table > 1 else []
    instead = "" if drawn else "; 'mode: sample' with 'count' draws some of them"
    return (
        f"expand makes {many(each * table)} rows ({' times '.join(counts)}); at most {MAX_ROWS:,} are allowed in one "
        f"block{instead}"
    )


def check_length(made: Block, budget: Budget) -> None:
    """Raise ManifestError where a short block, or all so far together, would stand for more text than anybody reads,
    or take longer to make than anybody waits."""
    longest = {axis.name: max(map(len, axis.texts)) for axis in made.axes}
    cells = made.table.characters if made.table is not None else Counter[str]()
    uses = Counter(made.id.uses) + Counter(made.template.uses if made.template is not None else ())
    each = made.id.longest + (made.template.longest if made.template is not None else 0)
    if not made.plain:
        uses += Counter(names_in(made.common, {*longest, *cells}))
        each += sum(longest[axis.name] for axis in made.axes if axis.column is not None)
    each += sum(count * longest[name] for name, count in uses.items() if name in longest)
    rows = made.rows
    # of a table each text is known: one that is long is long once, and comes twice as long out of a prompt's signs
    total = each * rows + sum(
        2 * count * cells[name] * rows // made.table.rows for name, count in uses.items() if made.table
    )
    if total > _MOST_CHARACTERS or each > ROW_SIZE:
        longest_row = each if made.table is None else total // rows
        raise ManifestError(
            f"expand makes {rows:,} rows of up to {longest_row:,} characters; at most "
            f"{_MOST_CHARACTERS:,} characters are allowed in one block, and {ROW_SIZE:,} in a row"
        )
    work = rows * made.template.work if made.draw is None and made.template is not None else 0
    if work > _MOST_WORK:
        assert made.template is not None
        raise ManifestError(
            f"expand makes {rows:,} rows, each of which is one of {made.template.work:,} options: too many together; "
            "'mode: sample' with 'count' draws some of them"
        )
    budget.spend(rows, total, work)

"""Combinations: one short block of a YAML source that stands for many rows.

expand:
  axes:                                  # any names, and any columns: each value of one with each of the others
    subject: [a red apple, a lighthouse]
    style: [watercolour, oil painting]
    optimiser.lr: [0.05, 0.1]            # a column, which each row is given
  template: "{subject}, {ink|oil}"       # the prompt; the choices in it (wildcards.py) are combined, too
  id: "{subject}-{style}-{optimiser.lr}" # the video_id; each part is slugified
  set: {frames: 48, zoom: 1.02}          # any other column, the same for all; `{style}` in its texts, too
  mode: sample                           # some of all combinations, by chance
  count: 100
  seed: 7

expand:
  table: people.csv                      # one video a row; its columns are names
  template: "a birthday cake for {name}"
  id: "{customer}"
  set: {seed: "{customer}"}

`subjects`, `styles` and `seeds` are axes that were there first: {subject}, {style}, and the column `seed`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slugify import slugify

from manifests.results import RowProblem
from manifests.schema.texts import short
from manifests.sources.beside import Beside
from manifests.sources.blocks import Block, read_block, slug
from manifests.sources.chance import Chance
from manifests.sources.choices import Text
from manifests.sources.costs import Budget
from manifests.sources.sampling import Drawn, all_of, some_of
from manifests.sources.tables import Record, Tables, prompt_text, text_of_value
from manifests.sources.templates import fill, names_in
from manifests.sources.wildcards import Lists

__all__ = ["Expanded", "expand", "expanded", "read_blocks"]

_LONGEST_TEXT = 100_000  # characters that a row of a table brings to a text
_LONGEST_VALUE = 200  # characters of a value that the report shows
_NOTHING = Text("")


@dataclass(frozen=True, slots=True)
class Expanded:
    """The values of a row, and the place of the table's row that it comes from."""

    values: dict[str, Any]
    place: str = ""


def expand(
    block: Any, place: str, beside: Beside | None = None, lists: Lists | None = None
) -> Iterator[Expanded | RowProblem]:
    """The rows of one `expand` block alone, as `expanded` makes them; `place` is for messages."""
    return expanded(read_block(block, place, Tables(beside), lists or Lists(beside), Budget()), place)


def read_blocks(blocks: Sequence[Any], name: str, beside: Beside | None, lists: Lists) -> list[tuple[str, Block]]:
    """All `expand` blocks of a source called `name`, each behind its place for messages, counted before a row is made
    of any. `beside` reads the tables that they name, `lists` are the source's.

    Raises:
        ManifestError: one can't be read, or they stand for more than a source may hold.
    """
    tables, budget = Tables(beside), Budget()
    places = (f"{name}, expand block {index}" for index in range(1, len(blocks) + 1))
    return [(place, read_block(it, place, tables, lists, budget)) for it, place in zip(blocks, places, strict=False)]


def expanded(read: Block, place: str) -> Iterator[Expanded | RowProblem]:
    """The rows of one block, the first axis varying slowest. Equal ids (two subjects that differ in punctuation only)
    are distinguished by `-2`, `-3`.
    """
    used: dict[str, int] = {}
    if read.table is None:
        for number, drawn in enumerate(_combined(read, {}, Chance(read.seed)), start=1):
            yield Expanded(_row(read, drawn, number, used, {}, {}))
        return
    needs, unset = _needs(read), dict.fromkeys(read.table.columns)
    for record in read.table.read():
        if isinstance(record, RowProblem):
            yield record
            continue
        texts = {name: text_of_value(value) for name, value in record.values.items()}
        if (problem := _lacking(record, needs, texts)) is not None:
            yield problem
            continue
        # by what the row holds, not by its number: others may come before it tomorrow
        chance = Chance(read.seed, repr(sorted(texts.items())))
        for drawn in _combined(read, {name: prompt_text(text) for name, text in texts.items()}, chance):
            yield Expanded(_row(read, drawn, record.number, used, unset | record.values, texts), record.place)


def _combined(block: Block, fixed: Mapping[str, str], chance: Chance) -> Iterator[Drawn]:
    """What each row is: the value of each axis by its number, and the prompt; `fixed` are names that stay."""
    sizes = [len(axis.values) for axis in block.axes]
    template = block.template if block.template is not None else _NOTHING

    def texts(chosen: Sequence[int]) -> dict[str, str]:
        return {**fixed, **{axis.name: axis.texts[at] for axis, at in zip(block.axes, chosen, strict=True)}}

    if block.draw is None:
        return all_of(sizes, template, texts)
    return some_of(sizes, template, texts, block.draw, chance)


def _row(
    block: Block, drawn: Drawn, number: int, used: dict[str, int], cells: Mapping[str, Any], texts: Mapping[str, str]
) -> dict[str, Any]:
    """The row of one combination, the `number`th of all, or of the row of the table whose `cells` and `texts` they
    are."""
    chosen, prompt = drawn
    places = list(zip(block.axes, chosen, strict=True))
    slugs = {
        axis.name: axis.slugs[at] or f"{slugify(axis.name)}{number if block.plain else at + 1}" for axis, at in places
    }
    if texts:
        slugs |= {name: slug(texts[name]) or f"{slugify(name)}{number}" for name in block.id.uses if name in texts}
    row: dict[str, Any] = {"video_id": _unused(block.id.at(0, slugs), used)}
    if block.template is not None:
        row["prompt"] = prompt
    if block.plain:
        row |= block.common
    else:
        values = {**cells, **{axis.name: axis.values[at] for axis, at in places}}
        words = {**texts, **{axis.name: axis.texts[at] for axis, at in places}}
        row |= {key: fill(value, words, values) for key, value in block.common.items() if key != "prompt"}
        if places:
            row["axes"] = [
                {"name": axis.name, "value": axis.texts[at][:_LONGEST_VALUE], "number": at} for axis, at in places
            ]
    return row | {axis.column: axis.values[at] for axis, at in places if axis.column is not None}


def _needs(block: Block) -> dict[str, dict[str, int]]:
    """What a row of the table must have: where a name stands in a text, and how often; without it the text would say
    something else."""
    columns = block.table.columns if block.table is not None else {}
    in_set = Counter(names_in(block.common, columns, whole=False))
    found = {
        "'id'": block.id.uses,
        "the prompt": block.template.uses if block.template is not None else {},
        "'set'": in_set,
    }
    return {key: {name: count for name, count in uses.items() if name in columns} for key, uses in found.items()}


def _lacking(record: Record, needs: Mapping[str, Mapping[str, int]], texts: Mapping[str, str]) -> RowProblem | None:
    """What is wrong with a row of a table, before anything is made of it."""
    for key, uses in needs.items():
        for name in uses:
            if name not in texts:
                return record.problem(
                    short(name), None, "a value", f"{short(name)} is empty, and {key} of expand holds it"
                )
        size = sum(count * len(texts[name]) for name, count in uses.items())
        if size > _LONGEST_TEXT:
            name = max(uses, key=lambda it: len(texts[it]))
            message = f"{short(name)} brings {key} of expand to more than {_LONGEST_TEXT:,} characters"
            return record.problem(short(name), texts[name], f"at most {_LONGEST_TEXT:,} characters together", message)
    return None


def _unused(wanted: str, used: dict[str, int]) -> str:
    """`wanted`, or the first `wanted-2`, `wanted-3` that is free; each search goes on where the last one ended."""
    name, number = wanted, used.get(wanted, 0)
    while name in used:
        number += 1
        name = f"{wanted}-{number}"
    used[wanted] = max(number, 1)
    used.setdefault(name, 1)
    return name

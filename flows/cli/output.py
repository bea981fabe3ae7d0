"""What commands print: results on stdout (text or JSON), progress and problems on stderr.

The one way to a terminal: texts of strangers (prompts, ids, addresses, messages of servers) lose their secrets and
control characters here, so that what is shown does nothing but show.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.padding import Padding
from rich.progress import Task, TextColumn
from rich.table import Table
from rich.text import Text

from flows.report.wording import REORDERING, first_of, visible
from manifests.masking import values_without_secrets, without_secrets
from renderers.canonical import json_safe

if TYPE_CHECKING:
    from flows.job.job import RenderJob

__all__ = ["Words", "damage_lines", "duration", "fit", "out", "print_json", "print_table", "problems", "row_lines",
           "say", "stderr", "waiting"]  # fmt: skip

#: Columns of a terminal below which a table of more than two columns can't be read.
NARROW = 72

#: Characters of a word, such as a path, and of a line, that a problem may have.
LONGEST_WORD, LONGEST_LINE = 600, 4_000
_LONG_WORD = re.compile(rf"\S{{{LONGEST_WORD + 1},}}")
#: Characters of a table's cell, and of one in the last column, which pads no other.
LONGEST_CELL, LONGEST_LAST = 250, 1_000

# Of Rich's markup and signs (`[bold]`, `:cake:`) nothing may come of a stranger's text: it is shown as it is.
stderr = Console(stderr=True, highlight=False, markup=False, emoji=False)
out = Console(highlight=False, markup=False, emoji=False)


# What JSON lets stand in a text, and a terminal obeys.
_COMMANDS = re.compile(f"[\x7f-\x9f\u2028\u2029{REORDERING}\ud800-\udfff]")


def fit(text: object) -> str:
    """`text` for a terminal: without secrets, and with a sign for each control character but line feed and tab."""
    return visible(without_secrets(str(text)))


def say(text: object) -> None:
    """A line on stdout."""
    print(fit(text))


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    text = json.dumps(values_without_secrets(json_safe(value)), indent=1, ensure_ascii=False, default=str)
    sys.stdout.write(_COMMANDS.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")


class Words(TextColumn):
    """A column of a progress bar. What it says may hold a stranger's words: fit for a terminal, and never markup."""

    def __init__(self, text_format: str) -> None:
        super().__init__(text_format, markup=False)

    def render(self, task: Task) -> Text:
        """Return what stands there."""
        return Text(fit(super().render(task).plain))


@contextmanager
def waiting(words: str) -> Iterator[Callable[[str], None]]:
    """A spinner on stderr with `words` behind it until the block ends; call what is given with others for others."""
    with stderr.status(Text(fit(words)), spinner="dots") as status:
        yield lambda others: status.update(Text(fit(others)))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> None:
    """A table on stdout; cells are text, never markup, and lose their middle where they are longer than a person reads
    (`--json` has all). Too wide for a narrow terminal, it becomes a list."""
    last = len(columns) - 1
    rows = [[_cut(fit(cell), LONGEST_LAST if at == last else LONGEST_CELL) for at, cell in enumerate(row)]
            for row in rows]  # fmt: skip
    # a pipe has no width: whoever greps for an id finds it on one line with all that belongs to it
    console = out if out.is_terminal else Console(highlight=False, markup=False, emoji=False, width=10_000)
    if console.width < NARROW and len(columns) > 2:
        console.print(_stacked(columns, rows, title), end="")
        return
    heading = None if title is None else Text(fit(title))
    table = Table(title=heading, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for name in columns:
        table.add_column(Text(name), overflow="fold")  # an id or a reason that is cut off helps nobody
    for row in rows:
        table.add_row(*map(Text, row))
    if console is out:
        console.print(table)
        return
    with console.capture() as printed:
        console.print(table)
    # one long cell in the last column would pad every row
    print("\n".join(line.rstrip() for line in printed.get().removesuffix("\n").split("\n")))


def _stacked(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str | None) -> Group:
    """Each row as a heading, its first cell, and a line for every other cell that holds something."""
    parts: list[Text | Padding] = [Text(fit(title))] if title else []
    width = max(map(len, columns[1:])) + 2
    for first, *others in rows:
        parts.append(Text(first, style="bold"))
        for name, cell in zip(columns[1:], others, strict=True):
            if cell:
                pair = Table.grid(padding=0)
                pair.add_column(width=width, style="dim")
                pair.add_column(overflow="fold")
                pair.add_row(Text(name), Text(cell))
                parts.append(Padding(pair, (0, 0, 0, 2)))
    return Group(*parts)


def problems(lines: Iterable[str]) -> None:
    """Problems, one per line, on stderr: a terminal's width must not cut the remedy off, but of a value of any length
    no more than a person reads is repeated."""
    for line in lines:
        print(f"nightreel: {_readable(fit(line))}", file=sys.stderr)


def _readable(text: str) -> str:
    """`text` whose words, and then lines, have no more characters than a person reads. Secrets must be gone: of what is
    cut they are not known any more."""
    text = _LONG_WORD.sub(lambda found: _cut(found[0], LONGEST_WORD), text)
    return "\n".join(_cut(line, LONGEST_LINE) for line in text.split("\n"))


def _cut(text: str, most: int) -> str:
    """`text`, without its middle where it has more than `most` characters: the remedy stands at the end."""
    return text if len(text) <= most else f"{text[: most * 3 // 4]}…{text[-(most // 4) + 1 :]}"


def row_lines(job: RenderJob, *, problems: bool = True) -> list[str]:
    """A sentence for each problem of the manifest's rows, if these `problems` are to be told, and each row that could
    not be planned, its video named; the first hundred of each, and how many more there are."""
    refused = (
        reason if f"'{row.video_id}'" in reason else f"video '{row.video_id}': {reason}" for row, reason in job.refused
    )
    return [*(job.problems.lines() if problems else ()), *first_of(refused)]


def damage_lines(job: RenderJob) -> list[str]:
    """A sentence for each document in the output that can't be read, but those that `row_lines` names; the first
    hundred, and how many more there are."""
    named = {reason for _, reason in job.refused}
    return list(first_of(it for it in job.damaged if it not in named))


def duration(seconds: float) -> str:
    """Seconds for people: 42 s, 3 min 10 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s" if whole >= 10 else f"{seconds:.1f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"

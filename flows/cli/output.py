"""What commands print: results on stdout (text or JSON), progress and problems on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flows.job.job import RenderJob
from renderers.plan.video_plan import json_safe

__all__ = ["bad_rows", "duration", "out", "print_json", "print_table", "problems", "stderr"]

stderr = Console(stderr=True, highlight=False)
out = Console(highlight=False)


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    json.dump(json_safe(value), sys.stdout, indent=1, ensure_ascii=False, default=str)
    sys.stdout.write("\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> None:
    """A table on stdout; cells are text, never markup."""
    table = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")  # an id or a reason that is cut off helps nobody
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))
    # a pipe has no width: whoever greps for an id finds it on one line with all that belongs to it
    console = out if out.is_terminal else Console(highlight=False, width=10_000)
    console.print(table)


def problems(lines: Iterable[str]) -> None:
    """Problems, one per line, on stderr, whole: a terminal's width must not cut the remedy off."""
    for line in lines:
        print(f"nightreel: {line}", file=sys.stderr)


def bad_rows(job: RenderJob) -> list[str]:
    """A sentence for each problem of the manifest's rows and each row that could not be planned, its video named."""
    refused = [
        reason if f"'{row.video_id}'" in reason else f"video '{row.video_id}': {reason}" for row, reason in job.refused
    ]
    return [str(problem) for problem in job.problems] + refused


def duration(seconds: float) -> str:
    """Seconds for people: 42 s, 3 min 10 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s" if whole >= 10 else f"{seconds:.1f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"

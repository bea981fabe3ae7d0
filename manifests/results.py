"""What reading or building a manifest yields: a good row, or a problem that a person can act on.

ManifestError   a whole file can't be used: not Parquet, an unknown column, no column `video_id`
RowProblem      one value of one row is wrong; the other rows go on
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, TypeAlias

from manifests.errors import ErrorKind, NightreelError
from manifests.masking import without_secrets
from manifests.schema import ManifestRow
from manifests.schema.alike import Alike


class ManifestError(NightreelError, ValueError):
    """A manifest, or a source of one, of which no row can be trusted."""

    kind = ErrorKind.BAD_INPUT


class GoodRow(NamedTuple):
    """A valid row and where it stands; `number` counts from 1 (rows of Parquet, lines of a text, items of YAML)."""

    row: ManifestRow
    file: str
    number: int
    unit: str = "row"  # what `number` counts
    alike: Alike | None = None  # rows that it differs from in name, prompt and seed alone, where that is known


@dataclass(frozen=True, slots=True)
class RowProblem:
    """One thing wrong with one row. A row with three mistakes gives three problems with the same `file` and `row`.
    It goes to logs, reports and tables, so none of its texts holds a secret."""

    file: str
    row: int
    video_id: str | None
    column: str
    value: str
    allowed: str
    message: str
    unit: str = "row"  # what `row` counts: "row", "line" or "item"

    def __post_init__(self) -> None:
        for name in ("file", "value", "message"):
            object.__setattr__(self, name, without_secrets(getattr(self, name)))

    def __str__(self) -> str:
        place = [f"{self.unit} {self.row}", *([f"video '{self.video_id}'"] if self.video_id else []), self.file]
        has_remedy = "; " in self.message or "allowed" in self.message  # the message names its remedy already
        allowed = f"; allowed: {self.allowed}" if self.allowed and not has_remedy else ""
        return f"{self.message}{allowed} ({', '.join(place)})"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for `--json` and tables."""
        return asdict(self)


RowResult: TypeAlias = GoodRow | RowProblem


def bad_rows(problems: Iterable[RowProblem]) -> int:
    """Count the rows that have problems: one row may have several."""
    return len({(problem.file, problem.row) for problem in problems})

"""Manifests as Python values."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from flows.job.lengths import with_lengths
from infra.settings import load_settings
from infra.storage.storage import FilesBeside, SourceReader, absolute_uri, manifest_files, read_uri
from manifests.building import build, kind_of
from manifests.problems import Listed, Problems
from manifests.reading import read_rows
from manifests.results import GoodRow, ManifestError, RowResult
from manifests.schema import ManifestRow

__all__ = ["Manifest", "read_manifest"]


@dataclass(frozen=True)
class Manifest:
    """The good `rows` of a manifest, and the first `problems` of the others, with counts of all
    (`problems.kinds`). Iterating gives the rows."""

    rows: tuple[ManifestRow, ...]
    problems: Problems = Problems()  # noqa: RUF009 - a tuple

    def __iter__(self) -> Iterator[ManifestRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> ManifestRow:
        return self.rows[index]


def read_manifest(manifest: str | Path, *, strict: bool = False) -> Manifest:
    """Read the rows of a manifest: a Parquet file, a folder or glob of them, or the YAML, CSV or JSONL that one is
    built from; a path, or any URI that storage can read.

    Example:
        >>> manifest = nightreel.read_manifest("manifests/demo.yaml")
        >>> [row.video_id for row in manifest]
        >>> print(*manifest.problems, sep="\\n")

    Raises:
        ManifestError: no row can be trusted; or a row is bad, and that is to be an error since `strict`.
        StorageError: it can't be read.
    """
    rows, problems = [], Listed()
    for result in _results(str(manifest)):
        if isinstance(result, GoodRow):
            rows.append(result.row)
        else:
            problems.add(result)
    if strict and problems.problems:
        raise ManifestError("; ".join(problems.problems.lines()))
    return Manifest(tuple(rows), problems.problems)


def _results(uri: str) -> Iterable[RowResult]:
    try:
        kind = kind_of(uri)
    except ManifestError:
        return read_rows(
            manifest_files(uri, load_settings().reading())
        )  # no ending of a source: Parquet, whatever its name
    policy = load_settings().reading()
    results = build(io.BytesIO(read_uri(uri, policy)), kind, uri, FilesBeside(uri, policy))
    return with_lengths(results, SourceReader(policy), absolute_uri(uri).rpartition("/")[0])

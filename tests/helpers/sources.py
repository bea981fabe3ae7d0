"""Manifests' sources with files beside them, built in this process."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from manifests.building import build
from manifests.results import GoodRow, ManifestError, RowProblem

__all__ = ["Folder", "built", "refusal", "rows"]


class Folder(dict[str, Any]):
    """Files beside a source, by their paths."""

    def read(self, path: str, *, within: bool = False) -> bytes | None:
        found = self.get(path)
        return found.encode() if isinstance(found, str) else found

    def names(self, folder: str) -> list[str]:
        return [path.rpartition("/")[2] for path in self if path.rpartition("/")[0] == folder]


def built(source: Any, files: dict[str, Any] | None = None) -> tuple[list[dict[str, Any]], list[RowProblem]]:
    """The good rows of a source, as they were given, and the problems."""
    text = source if isinstance(source, str) else yaml.safe_dump(source, allow_unicode=True, sort_keys=False)
    good, bad = [], []
    for result in build(text, "yaml", "night.yaml", Folder(files or {})):
        if isinstance(result, GoodRow):
            good.append(result.row.model_dump(exclude_unset=True))
        else:
            bad.append(result)
    return good, bad


def rows(block: dict[str, Any], **files: Any) -> list[dict[str, Any]]:
    """The rows of a block, without what says which values they come from."""
    good, bad = built({"expand": block}, {path.replace("__", "/"): data for path, data in files.items()})
    assert not bad, bad
    return [{key: value for key, value in row.items() if key != "axes"} for row in good]


def refusal(block: Any, files: dict[str, Any] | None = None) -> str:
    with pytest.raises(ManifestError) as caught:
        built({"expand": block}, files)
    return str(caught.value)

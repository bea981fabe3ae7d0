"""What tests of the command line share: how a command ended, and manifests to give it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest

from flows.cli import run
from manifests.schema import ManifestRow, rows_to_table
from tests.helpers.root import ROOT

DEMO = ROOT / "manifests" / "demo.parquet"


class Said(NamedTuple):
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def in_this_process(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """The command line as a function of its arguments."""

    def call(*arguments: object) -> Said:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        return Said(code, *capsys.readouterr())

    return call


def manifest_of(path: Path, *rows: dict[str, Any]) -> Path:
    """A Parquet manifest of good rows."""
    pq.write_table(rows_to_table([ManifestRow.model_validate(row) for row in rows]), path)
    return path

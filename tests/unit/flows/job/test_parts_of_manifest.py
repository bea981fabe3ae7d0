"""A part of a manifest, as the source of a job's work reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.job.manifest_source import ManifestSource
from flows.job.parameters import RenderParameters
from flows.planning.parts import Cut, CutInOrder
from infra.settings import InfraSettings
from infra.storage.storage import ReadingPolicy, Storage
from renderers.errors import BadInput
from tests.helpers.render_jobs import quick_row, write_manifest


def source(kind: type[ManifestSource], tmp_path: Path, part: int, most: int = 1) -> ManifestSource:
    parameters = RenderParameters(str(tmp_path / "m.parquet"), str(tmp_path / "out"), videos_per_run=most, part=part)
    return kind(parameters, InfraSettings(models_folder=tmp_path / "models"))


def test_each_part_knows_how_many_there_are(tmp_path: Path) -> None:
    write_manifest(tmp_path / "m.parquet", [quick_row("a"), quick_row("b")])
    plan = source(ManifestSource, tmp_path, 2).read(
        Storage(str(tmp_path / "out")), write=False, reading=ReadingPolicy()
    )
    assert (list(plan.runs), plan.parts) == (["b"], 2)


@pytest.mark.parametrize("continues", [None, "nobody@0"])
def test_parts_follow_the_order_of_rows_and_leave_bad_ones_out(tmp_path: Path, continues: str | None) -> None:
    rows = [quick_row(name) for name in "abcd"] + [quick_row("e", continues=continues)]
    write_manifest(tmp_path / "m.parquet", [rows[0], rows[1], rows[1], *rows[2:]])  # one name twice
    made = [
        list(
            source(ManifestSource, tmp_path, part, most=2)
            .read(Storage(str(tmp_path / "out")), write=False, reading=ReadingPolicy())
            .runs
        )
        for part in (1, 2, 3)
    ]
    assert made == [["a", "b"], ["c", "d"], ["e"] if continues is None else []]


def test_a_manifest_that_is_replaced_while_a_part_reads_it_is_said(tmp_path: Path) -> None:
    class Replaced(ManifestSource):
        def cut(self, most: int, reading: ReadingPolicy) -> Cut | CutInOrder:
            made = super().cut(most, reading)
            write_manifest(tmp_path / "m.parquet", [quick_row("a"), quick_row("new")])
            return made

    write_manifest(tmp_path / "m.parquet", [quick_row("a"), quick_row("b")])
    with pytest.raises(BadInput, match=r"m\.parquet' was replaced while it was read \(video 'new' is new\): Retry"):
        source(Replaced, tmp_path, 1).read(Storage(str(tmp_path / "out")), write=False, reading=ReadingPolicy())
